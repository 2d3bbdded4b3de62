"""Host settings: what differs between hosts and is not in the stack file.

Precedence, first to last: flags, `VIDOPS_*` in the environment, `.env` in the working directory, files of the
secrets directory (`VIDOPS_SECRETS_DIR`, default /run/secrets/vidops), the stack file's `settings`, defaults.
"""

from __future__ import annotations

import os
from typing import Any, Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from vidops.errors import PermanentError
from vidops.resources.layout import Layout


def default_run_dir() -> str:
    if os.geteuid() == 0:
        return "/run/vidops"
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    return f"{runtime}/vidops" if runtime else f"/tmp/vidops-{os.geteuid()}"  # noqa: S108 - refused where not ours


def default_state_dir() -> str:
    if os.geteuid() == 0:
        return "/var/lib/vidops"
    home = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return f"{home}/vidops"


class Settings(BaseSettings):
    """Every field is a variable (`run_dir` is `VIDOPS_RUN_DIR`); places and plugins are flags, too (`--run-dir`)."""

    model_config = SettingsConfigDict(
        env_prefix="VIDOPS_", env_file=".env", extra="ignore", env_ignore_empty=True, use_attribute_docstrings=True
    )

    run_dir: str = Field(default_factory=default_run_dir)
    """Sockets and generated files; gone after a boot. At most some 60 characters."""
    state_dir: str = Field(default_factory=default_state_dir)
    """Revisions, inventory, events."""
    data_dir: str = ""
    """Recordings. Empty: the stack file's `settings.data_dir`, else `recordings` in the state directory."""
    plugins_dir: list[str] = Field(default_factory=list)
    """Directories of single-file plugins."""
    blocked_plugins: list[str] = Field(default_factory=list)
    """Names of plugins that are not loaded."""
    on_exit: Literal["stop", "keep"] = "stop"
    """What `vidops run` does with the data plane when it is asked to end: stop it, or keep it running."""
    supervisor: Literal["own", "external"] = "own"
    """Who keeps the data plane's supervisord: this program starts one where none answers, or a service manager
    does (`vidops supervise`) and this program waits for it."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Of the control plane's own log."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, dotenv_settings, file_secret_settings

    def layout(self, stack_data_dir: str | None = None, base_dir: str = "") -> Layout:
        """The places, with what the stack file says of them where nothing goes before it."""
        data = self.data_dir
        if not data:
            data = (
                os.path.join(base_dir, stack_data_dir) if stack_data_dir else os.path.join(self.state_dir, "recordings")
            )
        return Layout(*(os.path.abspath(os.path.expanduser(d)) for d in (self.run_dir, self.state_dir, data)))


def load_settings(**flags: Any) -> Settings:
    """Settings with `flags` (None: not given) before all else. Raises `PermanentError` that names the bad one."""
    given = {name: value for name, value in flags.items() if value is not None}
    secrets = os.environ.get("VIDOPS_SECRETS_DIR", "/run/secrets/vidops")
    # A working directory that may not be entered has no .env for us.
    env_file = ".env" if os.access(".env", os.R_OK) else None
    try:
        return Settings(_secrets_dir=secrets if os.path.isdir(secrets) else None, _env_file=env_file, **given)
    except ValidationError as error:
        said = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_url=False))
        raise PermanentError(f"host settings: {said}: see VIDOPS_* in the environment, .env and flags") from None
    except ValueError as error:  # SettingsError: a list that is not JSON
        raise PermanentError(f"host settings: {error}") from None
