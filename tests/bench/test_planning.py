"""What planning and loading cost, printed; `make bench` runs it."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import pytest

from tests.planning.worlds import applied_of, many
from tests.stack.support import built_ins, load_text, resources_of
from vidops.planning.plan import Plan, plan

pytestmark = pytest.mark.bench


def best(call: Callable[[], object], times: int = 3) -> float:
    """Processor seconds of the fastest of some calls: what other work on the machine does not change."""
    taken = []
    for _ in range(times):
        started = time.process_time()
        call()
        taken.append(time.process_time() - started)
    return min(taken)


def planned(count: int) -> float:
    """Seconds to plan `count` resources that all change, with specs and fingerprints made anew."""

    def call() -> Plan:
        return plan(many(count, argument="new"), applied)

    applied = applied_of(many(count))
    assert len(call().actions) == count - 1 - (count - 1) % 2
    return best(call)


def test_planning_grows_with_what_is_planned() -> None:
    small, large = planned(1_000), planned(10_000)
    print(
        f"\nplan of 1,000 resources: {small * 1e3:.0f} ms; of 10,000: {large * 1e3:.0f} ms ({large / small:.1f} times)"
    )
    assert small < 1
    assert large < 10
    assert large / small < 20


def stack_of(cameras: int) -> str:
    entries = "".join(
        f"  c{i}: {{source: testsrc, mode: {{framerate: 15, video_size: 640x360}}, start_timeout: 10s}}\n"
        for i in range(cameras)
    )
    recordings = "".join(f"  r{i}: {{device: c{i}, segment: {{duration: 60s}}}}\n" for i in range(cameras))
    return f"apiVersion: vidops/v1\ndevices:\n{entries}captures:\n{recordings}"


def test_a_reload_of_a_typical_file() -> None:
    text = stack_of(16)
    load_text(text)
    taken = []
    for _ in range(50):
        started = time.process_time()
        load_text(text)
        taken.append(time.process_time() - started)
    print(f"\nload of 16 cameras and recordings: median {median(taken) * 1e3:.1f} ms, worst {max(taken) * 1e3:.1f} ms")
    assert median(taken) < 0.015


def test_from_text_to_resources_grows_with_the_file() -> None:
    def call(cameras: int) -> float:
        text = stack_of(cameras)
        return best(lambda: resources_of(load_text(text)))

    built_ins()
    call(10)
    small, large = call(250), call(2_500)
    print(f"\ntext to 500 resources: {small * 1e3:.0f} ms; to 5,000: {large * 1e3:.0f} ms ({large / small:.1f} times)")
    assert large / small < 20
