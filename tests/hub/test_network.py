from __future__ import annotations

import pytest

from vidops.hub.network import network_reason
from vidops.hub.words import essence


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("/dev/fd/3: Server returned 401 Unauthorized (authorization failed)", "Unauthorized"),
        ("/dev/fd/3: Server returned 403 Forbidden (access denied)", "Forbidden"),
        ("/dev/fd/3: Server returned 404 Not Found", "NotFound"),
        ("/dev/fd/3: Server returned 5XX Server Error reply", "ServerError"),
        ("/dev/fd/3: Connection refused", "Unreachable"),
        ("/dev/fd/3: No route to host", "Unreachable"),
        ("/dev/fd/3: Connection timed out", "Timeout"),
        ("[tcp @ 0x55] Failed to resolve hostname cam: Name or service not known", "UnknownHost"),
        ("/dev/video0: Device or resource busy", ""),
        ("", ""),
    ],
)
def test_why_a_network_camera_is_away(said: str, reason: str) -> None:
    assert network_reason(said) == reason


def test_the_line_that_says_why_is_the_one_before_what_follows_of_it() -> None:
    log = (
        "[tcp @ 0x5] Failed to resolve hostname cam: Name or service not known\n"
        "[concat @ 0x5] Impossible to open 'rtsp://ann:***@cam/x'\n"
        "/dev/fd/3: Input/output error\n"
    )
    assert essence(log) == "[tcp] Failed to resolve hostname cam: Name or service not known"
    assert essence("/dev/fd/3: Connection refused\n") == "Connection refused"
