from __future__ import annotations

import pytest

from vidops.hub.__main__ import MAX_BACKLOG, MAX_FRAME, arguments


def test_the_limits_have_defaults() -> None:
    given = arguments(["--run-dir", "/run/v"])
    assert (given.run_dir, given.max_frame, given.max_backlog) == ("/run/v", MAX_FRAME, MAX_BACKLOG)


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--max-frame", "0"], "between 1 and"),
        (["--max-backlog", "-1"], "between 1 and"),
        (["--max-frame", "1e6"], "invalid"),
        (["--max-frame", "999999999999"], "between 1 and"),
        (["--frames"], "unrecognized"),
    ],
)
def test_wrong_flags_are_said(flags: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        arguments(["--run-dir", "/run/v", *flags])
    assert says in capsys.readouterr().err
