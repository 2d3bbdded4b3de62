"""The rules, in tables and in simulated lives. No clock, no process."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidops.hub import lifecycle
from vidops.hub.lifecycle import CameraState, Do, Life, Rules, decide
from vidops.resources.restart import Backoff, RestartPolicy

POLICY = RestartPolicy(base=1.0, jitter=0.0, cap=8.0, healthy_after=10.0, crash_loop_after=3)
RULES = Rules(
    program="source.door", fingerprint="a", close_after=5.0, start_timeout=10, stall_timeout=3, restart=POLICY
)
ALWAYS = replace(RULES, close_after=None)
UP = Life(running=True, program="source.door", fingerprint="a", started_at=100.0, wanted_until=inf)
ONLINE = replace(UP, state=CameraState.ONLINE, last_frame=101.0)


@pytest.mark.parametrize(
    ("rules", "life", "now", "do", "look_again"),
    [
        pytest.param(RULES, Life(), 0, Do.NOTHING, inf, id="nobody wants it"),
        pytest.param(ALWAYS, Life(), 0, Do.START, inf, id="always on"),
        pytest.param(RULES, Life(wanted_until=inf), 0, Do.START, inf, id="somebody wants it"),
        pytest.param(RULES, Life(wanted_until=3), 2, Do.START, inf, id="still wanted"),
        pytest.param(RULES, Life(wanted_until=3), 3, Do.NOTHING, inf, id="no more"),
        pytest.param(Rules(), Life(wanted_until=inf), 0, Do.NOTHING, inf, id="no device"),
        pytest.param(ALWAYS, Life(backoff=Backoff(2, 7.0)), 5, Do.NOTHING, 7, id="has to wait"),
        pytest.param(ALWAYS, Life(backoff=Backoff(2, 7.0)), 7, Do.START, inf, id="has waited"),
        pytest.param(RULES, Life(wanted_until=6, backoff=Backoff(2, 7.0)), 5, Do.NOTHING, 6, id="waits and closes"),
        pytest.param(RULES, UP, 105, Do.NOTHING, 110, id="first frame not due"),
        pytest.param(RULES, UP, 110, Do.END, inf, id="first frame overdue"),
        pytest.param(RULES, ONLINE, 103, Do.NOTHING, 104, id="next frame not due"),
        pytest.param(RULES, ONLINE, 104, Do.END, inf, id="stalled"),
        pytest.param(RULES, replace(ONLINE, gone=True), 102, Do.END, inf, id="ended"),
        pytest.param(RULES, replace(ONLINE, wanted_until=103.5), 103, Do.NOTHING, 103.5, id="closes soon"),
        pytest.param(RULES, replace(ONLINE, wanted_until=103), 103, Do.STOP, inf, id="closes"),
        pytest.param(replace(RULES, fingerprint="b"), ONLINE, 102, Do.STOP, inf, id="another program"),
        pytest.param(Rules(), ONLINE, 102, Do.STOP, inf, id="device is gone"),
        pytest.param(RULES, lifecycle.uncertain(Life(), "source.door"), 0, Do.STOP, inf, id="may be there"),
        pytest.param(ALWAYS, Life(retry_at=9), 8, Do.NOTHING, 9, id="supervisord is away"),
        pytest.param(RULES, replace(ONLINE, gone=True, retry_at=103), 102, Do.NOTHING, 103, id="away, and ended"),
    ],
)
def test_what_is_to_be_done(rules: Rules, life: Life, now: float, do: Do, look_again: float) -> None:
    decision = decide(rules, life, now)
    assert (decision.do, decision.look_again) == (do, look_again)


def fail(life: Life, now: float, reason: str = "Exited", rules: Rules = ALWAYS) -> Life:
    return lifecycle.ended(rules, life, now, reason=reason, message="why", chance=0.5)


def test_the_first_end_is_answered_at_once_and_is_no_failure_yet() -> None:
    life = fail(ONLINE, 102.0)
    assert (life.state, life.message, life.restarts) == (CameraState.STARTING, "why", 1)
    assert decide(ALWAYS, life, 102.0).do is Do.START


def test_ends_in_a_row_wait_longer_and_become_a_crash_loop() -> None:
    life, seen = Life(), []
    now = 0.0
    for _ in range(6):
        life = fail(lifecycle.starting(ALWAYS, life, now), now)
        seen.append((life.state.value, life.reason, life.backoff.next_start - now))
        now = life.backoff.next_start
    assert seen == [
        ("Starting", "Exited", 0.0),
        ("Failed", "Exited", 1.0),
        ("Failed", "CrashLoop", 2.0),
        ("Failed", "CrashLoop", 4.0),
        ("Failed", "CrashLoop", 8.0),
        ("Failed", "CrashLoop", 8.0),
    ]
    assert lifecycle.starting(ALWAYS, life, now).state is CameraState.FAILED
    assert lifecycle.framed(lifecycle.starting(ALWAYS, life, now), now).state is CameraState.ONLINE


def test_a_healthy_time_begins_the_count_anew() -> None:
    life = fail(replace(UP, last_frame=200.0, backoff=Backoff(7, 0)), 203.0)
    assert life.backoff.failures == 1


def test_a_stall_says_so() -> None:
    assert fail(ONLINE, 104.0, "Stalled").state is CameraState.STALLED


def test_another_program_gets_a_fresh_try() -> None:
    failed = replace(Life(), state=CameraState.FAILED, message="why", backoff=Backoff(9, 500.0))
    life = lifecycle.applied(ALWAYS, replace(ALWAYS, fingerprint="b"), failed, 0.0)
    assert (life.state, life.message) == (CameraState.STARTING, "")
    assert decide(ALWAYS, life, 0.0).do is Do.START


def test_other_timeouts_leave_a_failing_camera_as_it_is() -> None:
    failed = replace(Life(), state=CameraState.FAILED, message="why", backoff=Backoff(9, 500.0))
    assert lifecycle.applied(ALWAYS, replace(ALWAYS, stall_timeout=1), failed, 0.0) == failed


def test_a_device_comes_goes_and_is_told_of() -> None:
    missing = Rules(missing="no device with serial 1")
    life = lifecycle.applied(Rules(), missing, Life(), 0.0)
    assert (life.state, life.message) == (CameraState.MISSING, "no device with serial 1")
    life = lifecycle.applied(missing, Rules(missing="no device with serial 2"), life, 0.0)
    assert life.message == "no device with serial 2"
    assert lifecycle.applied(missing, RULES, life, 0.0).state is CameraState.IDLE


def test_a_bad_file_is_a_failed_camera_until_there_is_a_good_one() -> None:
    bad = Rules(error="it cannot be used")
    life = lifecycle.applied(Rules(), bad, Life(), 0.0)
    assert (life.state, life.reason) == (CameraState.FAILED, "BadFile")
    assert lifecycle.applied(bad, Rules(missing="m"), life, 0.0).state is CameraState.MISSING
    assert lifecycle.applied(bad, RULES, life, 0.0).state is CameraState.IDLE


def test_the_first_viewer_after_a_rest_gets_a_fresh_try() -> None:
    rested = replace(Life(), backoff=Backoff(4, 500.0), wanted_until=10.0, message="why")
    life = lifecycle.demanded(RULES, rested, 20.0, consumers=1)
    assert decide(RULES, life, 20.0).do is Do.START


def test_a_viewer_who_comes_back_at_once_does_not() -> None:
    waiting = replace(Life(), backoff=Backoff(4, 500.0), wanted_until=10.0, state=CameraState.FAILED)
    life = lifecycle.demanded(RULES, waiting, 9.0, consumers=1)
    assert life.state is CameraState.FAILED
    assert decide(RULES, life, 9.0).do is Do.NOTHING


def test_a_failing_camera_that_nobody_wants_rests_and_says_what_was_wrong() -> None:
    failed = replace(Life(), state=CameraState.FAILED, message="why", wanted_until=10.0)
    assert lifecycle.looked(RULES, failed, 9.0) == failed
    assert lifecycle.looked(RULES, failed, 10.0) == replace(failed, state=CameraState.IDLE, reason="Idle")


def test_a_supervisord_that_is_away_is_not_the_cameras_failure() -> None:
    life = lifecycle.unreachable(ALWAYS, Life(), 5.0, pause=0.5, reason="SupervisorDown", message="away")
    assert (life.state, life.reason, life.retry_at) == (CameraState.STARTING, "SupervisorDown", 5.5)
    assert life.backoff == Backoff()
    assert lifecycle.unreachable(RULES, Life(), 5.0, pause=1, reason="r", message="m").state is CameraState.IDLE


# -- lives -----------------------------------------------------------------------------------------------------


@dataclass
class World:
    """A host with one device, a supervisord that may be away, and sources that work, stall or die."""

    rules: Rules = RULES
    life: Life = field(default_factory=Life)
    now: float = 1000.0
    process: str | None = None
    """The fingerprint of what runs."""
    works: bool = True
    away: bool = False
    consumers: int = 0
    starts: int = 0

    def turn(self) -> None:
        """What the supervising task does, until there is nothing to do now."""
        for _ in range(20):
            self.life = lifecycle.looked(self.rules, self.life, self.now)
            decision = decide(self.rules, self.life, self.now)
            if decision.do is Do.NOTHING:
                assert decision.look_again > self.now
                return
            if self.away:
                self.life = lifecycle.unreachable(
                    self.rules, self.life, self.now, pause=1.0, reason="SupervisorDown", message="away"
                )
            elif decision.do is Do.START:
                assert self.process is None, "a second opener of the device"
                self.life = lifecycle.starting(self.rules, self.life, self.now)
                self.process = self.rules.fingerprint
                self.starts += 1
            else:
                self.process = None
                self.life = (
                    lifecycle.stopped(self.rules, self.life, self.now)
                    if decision.do is Do.STOP
                    else fail(self.life, self.now, decision.reason, self.rules)
                )
        pytest.fail("it never rests")

    def wait(self, seconds: float) -> None:
        """Time goes by in steps of a quarter of a second; a source that works delivers."""
        end = self.now + seconds
        while self.now < end:
            self.now += 0.25
            if self.process is not None and self.works and self.life.running:
                if self.life.state is not CameraState.ONLINE:
                    self.life = lifecycle.framed(self.life, self.now)
                self.life = replace(self.life, last_frame=self.now)
            self.turn()

    def apply(self, rules: Rules) -> None:
        self.life = lifecycle.applied(self.rules, rules, self.life, self.now)
        self.rules = rules
        self.turn()

    def consume(self, count: int) -> None:
        self.consumers = count
        self.life = lifecycle.demanded(self.rules, self.life, self.now, consumers=count)
        self.turn()

    def die(self) -> None:
        """Killed from outside."""
        if self.process is not None:
            self.process = None
            self.life = replace(self.life, gone=True, gone_because="killed") if self.life.running else self.life
            self.turn()


steps = st.one_of(
    st.tuples(st.just("wait"), st.floats(0.1, 30)),
    st.tuples(st.just("consume"), st.integers(0, 2)),
    st.tuples(st.just("die"), st.none()),
    st.tuples(st.just("works"), st.booleans()),
    st.tuples(st.just("away"), st.booleans()),
    st.tuples(st.just("apply"), st.sampled_from([RULES, ALWAYS, replace(RULES, fingerprint="b"), Rules(missing="m")])),
)


def live(world: World, history: list[tuple[str, object]]) -> None:
    for step, value in history:
        match step:
            case "wait":
                assert isinstance(value, float)
                world.wait(value)
            case "consume":
                assert isinstance(value, int)
                world.consume(value)
            case "apply":
                assert isinstance(value, Rules)
                world.apply(value)
            case "die":
                world.die()
            case "works":
                world.works = bool(value)
            case "away":
                world.away = bool(value)
        assert world.life.running or world.process is None, "an orphan"


@given(st.lists(steps, max_size=25))
@settings(max_examples=200, deadline=None)
def test_whatever_happened_it_comes_to_what_the_rules_say(history: list[tuple[str, object]]) -> None:
    world = World()
    live(world, history)
    world.away, world.works = False, True
    world.wait(POLICY.cap + RULES.start_timeout + 20)
    if lifecycle.wanted(world.rules, world.life, world.now):
        assert (world.life.state, world.process) == (CameraState.ONLINE, world.rules.fingerprint)
    else:
        rest = CameraState.MISSING if world.rules.program is None else CameraState.IDLE
        assert (world.life.state, world.process) == (rest, None)


@given(st.lists(steps.filter(lambda s: s[0] not in ("apply", "consume")), max_size=25))
@settings(max_examples=100, deadline=None)
def test_a_camera_that_never_works_is_started_ever_more_seldom(history: list[tuple[str, object]]) -> None:
    world = World(works=False)
    world.apply(ALWAYS)
    live(world, [step for step in history if step[0] != "works"])
    world.away = False
    before = world.starts
    world.wait(200)
    assert world.starts - before <= 200 / POLICY.cap + 6
