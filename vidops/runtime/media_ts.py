"""What an MPEG transport stream holds: pictures and their times, by the heads of its packets (ISO/IEC 13818-1).

A picture is taken for each PES packet of the video, which is how FFmpeg writes them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field

PACKET = 188
CLOCK = 90_000
"""Ticks a second."""
SYNC = 0x47
LARGEST = 512 * 1024 * 1024
"""Bytes of a file that is looked at: every packet's head is read."""
_CHUNK = PACKET * 5000
_WRAP = 1 << 33
_CODECS = {0x1B: "h264", 0x24: "hevc", 0x02: "mpeg2video"}


@dataclass
class TransportStream:
    """`read` a descriptor; then `moments()` and `codec`."""

    codec: str = ""
    pmt: int = -1
    video: int = -1
    times: list[int] = field(default_factory=list)

    def moments(self) -> list[int]:
        """When each picture is shown, in ticks from the first."""
        # Times wrap after a day; pictures may stand before the first in time, but not by half of one.
        return [(t - self.times[0] + _WRAP // 2) % _WRAP - _WRAP // 2 for t in self.times]

    def read(self, descriptor: int, size: int) -> None:
        for position in range(0, min(size, LARGEST), _CHUNK):
            data = os.pread(descriptor, _CHUNK, position)
            for start in range(0, len(data) - PACKET + 1, PACKET):
                if data[start] == SYNC and data[start + 1] & 0x40:
                    self._begin(data[start : start + PACKET])

    def _begin(self, packet: bytes) -> None:
        """A packet that something begins in."""
        pid = (packet[1] & 0x1F) << 8 | packet[2]
        if pid not in (0, self.pmt, self.video):
            return
        body = 4
        if packet[3] & 0x20:
            body += 1 + packet[4]
        if not packet[3] & 0x10 or body >= PACKET:
            return
        payload = packet[body:]
        if pid == self.video:
            self._picture(payload)
        elif pid == 0 and len(payload) > 12 + payload[0]:
            entry = payload[1 + payload[0] + 8 :]
            self.pmt = (entry[2] & 0x1F) << 8 | entry[3] if len(entry) >= 4 else -1
        elif pid == self.pmt:
            self._programme(payload[1 + payload[0] :])

    def _programme(self, table: bytes) -> None:
        """The first video stream of the programme's table."""
        if len(table) < 12 or self.video >= 0:
            return
        end = min(len(table), 3 + ((table[1] & 0x0F) << 8 | table[2]) - 4)
        place = 12 + ((table[10] & 0x0F) << 8 | table[11])
        while place + 5 <= end:
            if table[place] in _CODECS:
                self.codec = _CODECS[table[place]]
                self.video = (table[place + 1] & 0x1F) << 8 | table[place + 2]
                return
            place += 5 + ((table[place + 3] & 0x0F) << 8 | table[place + 4])

    def _picture(self, payload: bytes) -> None:
        if len(payload) < 14 or payload[:3] != b"\0\0\1" or not payload[7] & 0x80:
            return
        stamp = payload[9:14]
        self.times.append(
            (stamp[0] >> 1 & 7) << 30 | stamp[1] << 22 | stamp[2] >> 1 << 15 | stamp[3] << 7 | stamp[4] >> 1
        )
