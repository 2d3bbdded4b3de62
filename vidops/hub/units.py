"""As much of H.264 and HEVC as the hub has to know: whether an access unit is whole. Pure.

Source: ISO/IEC 14496-15 (avcC, hvcC and samples of NAL units, each with its length before it).
"""

from __future__ import annotations

from vidops.runtime.matroska import Track

_LENGTH_AT = {"h264": 4, "hevc": 21}
"""Where in its configuration the low two bits say how many bytes a length has, less one."""


def whole(data: bytes, track: Track) -> bool:
    """Whether an access unit is its NAL units and nothing else."""
    place = _LENGTH_AT[track.codec]
    if len(track.private) <= place:
        return False
    width = (track.private[place] & 3) + 1
    at = 0
    while at + width <= len(data):
        length = int.from_bytes(data[at : at + width], "big")
        if not length:
            return False
        at += width + length
    return at == len(data) > 0
