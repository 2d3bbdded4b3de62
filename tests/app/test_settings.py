"""Host settings: what goes before what, and how a bad one is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from vidops.app.settings import Settings, load_settings
from vidops.errors import PermanentError


@pytest.fixture(autouse=True)
def a_place_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"VIDOPS_{name.upper()}", raising=False)
    (tmp_path / "secrets").mkdir()
    monkeypatch.setenv("VIDOPS_SECRETS_DIR", str(tmp_path / "secrets"))
    monkeypatch.chdir(tmp_path)


def test_precedence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def now(**flags: str) -> str:
        return load_settings(**flags).layout("from-stack", "/etc/vidops").data_dir

    assert load_settings(state_dir="/s").layout().data_dir == "/s/recordings"
    assert now() == "/etc/vidops/from-stack"
    (tmp_path / "secrets" / "VIDOPS_data_dir").write_text("/from-secrets")
    assert now() == "/from-secrets"
    (tmp_path / ".env").write_text("VIDOPS_DATA_DIR=/from-dotenv\n")
    assert now() == "/from-dotenv"
    monkeypatch.setenv("VIDOPS_DATA_DIR", "/from-environment")
    assert now() == "/from-environment"
    assert now(data_dir="/from-flag") == "/from-flag"


def test_an_absolute_data_dir_of_the_stack_is_taken_as_it_is() -> None:
    assert load_settings().layout("/srv/footage", "/etc/vidops").data_dir == "/srv/footage"


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [("VIDOPS_ON_EXIT", "explode", "on_exit"), ("VIDOPS_PLUGINS_DIR", "not json", "plugins_dir")],
)
def test_a_bad_value_is_named(monkeypatch: pytest.MonkeyPatch, variable: str, value: str, said: str) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(PermanentError, match=said):
        load_settings()
