"""What cameras on the network have in common: address, credentials, patience; how FFmpeg gets to know them. Pure.

FFmpeg takes credentials in its URL alone, and everybody on the host may read a process's arguments. So what it opens is
a list of one entry (its concat demuxer's script) in memory, made by the exec shim, which holds the URL.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, Field, model_validator

from vidops.api import SECRET_INPUT, Device, PermanentError, PositiveDuration, SecretInput, SecretRef
from vidops_plugins.sources.command import LOGGING

PROTOCOLS = "file,rtsp,rtp,udp,tcp,http,https,tls,crypto,httpproxy"

PROBING = {"fpsprobesize": "0", "analyzeduration": "2000000"}
"""What FFmpeg looks at before the first packet goes on: until it knows codec and size, for two seconds at most."""


def check_url(url: str) -> str:
    authority = url.partition("://")[2].partition("/")[0]
    if "@" in authority:
        raise ValueError("no credentials in here, where everybody reads them: give username and password of their own")
    if not authority:
        raise ValueError("it names no host")
    return url


class NetworkCamera(Device):
    """A camera that is reached by a URL."""

    username: Annotated[str, Field(min_length=1, max_length=256)] | SecretRef | None = None
    """Who vidops is to the camera (Basic or Digest, as the camera asks for)."""
    password: SecretRef | None = None
    timeout: PositiveDuration = "5s"  # type: ignore[assignment]
    """How long the camera may say nothing while it is connected to, or read from."""

    @model_validator(mode="after")
    def _both_or_none(self) -> NetworkCamera:
        if self.password is not None and self.username is None:
            raise ValueError("a password needs a username")
        return self


Url = Annotated[str, Field(max_length=2000), AfterValidator(check_url)]


def network_input(options: NetworkCamera, url: str, **more: str) -> tuple[tuple[str, ...], SecretInput]:
    """FFmpeg's words up to its input, and the script behind `SECRET_INPUT`. `more`: options of the opened format."""
    values: dict[str, SecretRef] = {}
    user = ""
    if isinstance(options.username, SecretRef):
        values["username"] = options.username
        user = "@secret:username@"
    elif options.username is not None:
        # A name that is no secret is written as one, so that it is encoded like one.
        user = "".join(f"%{byte:02X}" for byte in options.username.encode())
    if options.password is not None:
        values["password"] = options.password
        user += ":@secret:password@"
    scheme, _, rest = url.partition("://")
    whole = f"{scheme}://{user}@{rest}" if user else url
    settings = {"timeout": f"{options.timeout * 1e6:.0f}", **PROBING, **more}
    lines = ["ffconcat version 1.0", f"file '{whole}'", *(f"option {name} {value}" for name, value in settings.items())]
    words = (
        *LOGGING,
        # Times that a camera leaves out are made up; it is live, and nothing is waited for.
        *("-fflags", "+genpts+nobuffer", *(word for name, value in PROBING.items() for word in (f"-{name}", value))),
        *("-f", "concat", "-safe", "0", "-protocol_whitelist", PROTOCOLS),
        *("-i", SECRET_INPUT, "-map", "0:v:0", "-c:v", "copy"),
    )
    return words, SecretInput(text="\n".join(lines) + "\n", values=values)


def refuse_mode(options: Device) -> None:
    """Raises `PermanentError` where the file asks for what such a camera is not asked for."""
    if options.mode.model_fields_set:
        raise PermanentError("mode is a device's: what a network camera delivers is set in the camera, or in its URL")


def described(options: Any, driver: str, url: str) -> dict[str, Any]:
    host = url.partition("://")[2].partition("/")[0]
    return {"device_name": host, "driver": driver, "url": url.partition("?")[0]}
