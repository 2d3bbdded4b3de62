"""From a plug to the start of the camera's program, by a real control plane, hub and supervisord, not emulated."""

from __future__ import annotations

import json
import statistics

import pytest

from tests.devices.wrapper import needs_umockdev, printed

pytestmark = [pytest.mark.integration, needs_umockdev]

MOST = 0.15
"""Seconds that the first picture may come later than with FFmpeg alone: before its start is where they can go."""


def test_a_camera_that_is_plugged_in_is_opened_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = printed("tests.devices.plug_child")
    took = json.loads(line)
    with capsys.disabled():
        print(
            f"\nfrom udev's event to FFmpeg's start: {1000 * statistics.median(took):.0f} ms (most {max(took):.3f} s)"
        )
    assert len(took) == 9
    assert statistics.median(took) < MOST
