"""How long the command line takes, from exec to exit. Medians of several runs, as a user's shell sees them."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.bench

ROOT = Path(__file__).parents[2]
VIDOPS = str(Path(sys.executable).with_name("vidops"))
RUNS = 9


@pytest.mark.parametrize(
    ("arguments", "limit"), [(["--version"], 0.150), (["check", str(ROOT / "stacks" / "demo.yaml")], 0.600)]
)
def test_time_of_a_command(arguments: list[str], limit: float, capsys: pytest.CaptureFixture[str]) -> None:
    times = []
    for _ in range(RUNS):
        begun = time.monotonic()
        subprocess.run([VIDOPS, *arguments], check=True, capture_output=True, timeout=60)
        times.append(time.monotonic() - begun)
    took = statistics.median(times)
    with capsys.disabled():
        print(f"\nvidops {arguments[0]}: {took * 1000:.0f} ms")
    assert took < limit
