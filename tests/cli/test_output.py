"""What commands print where nobody looks."""

from __future__ import annotations

import pytest

from vidops.cli import output


def test_a_row_is_a_line_in_a_pipe(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    long = "no device with serial 0042; " * 20
    output.table(("NAME", "MESSAGE"), [("source/door", long), ("source/yard", "")])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(maxsplit=1)[0] for line in lines if line.strip()] == ["NAME", "source/door", "source/yard"]
    assert long.strip() in lines[1]
