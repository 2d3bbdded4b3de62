from __future__ import annotations

import pytest

from vidops.hub.units import whole
from vidops.runtime.matroska import Track

AVC = Track("h264", 8, 8, b"\x01\x64\x00\x0c\xff\xe1")
SHORT = Track("h264", 8, 8, b"\x01\x64\x00\x0c\xfd\xe1")
HEVC = Track("hevc", 8, 8, bytes(21) + b"\x03\x01")


@pytest.mark.parametrize(
    ("data", "track", "expected"),
    [
        (b"\0\0\0\x02ab\0\0\0\x01c", AVC, True),
        (b"\0\0\0\x02ab", HEVC, True),
        (b"\0\x02ab\0\x01c", SHORT, True),
        (b"", AVC, False),
        (b"\0\0\0\x03ab", AVC, False),
        (b"\0\0\0\x02ab\0\0", AVC, False),
        (b"\0\0\0\0", AVC, False),
        (b"\0\0\0\x02ab", Track("h264", 8, 8), False),
        (b"\0\0\0\x01\x67\x64\x00\x0c", AVC, False),  # Annex B, which Matroska does not hold
    ],
)
def test_an_access_unit_is_its_units_and_nothing_else(data: bytes, track: Track, expected: bool) -> None:
    assert whole(data, track) is expected
