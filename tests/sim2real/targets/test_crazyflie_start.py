"""What a Crazyflie has to say of its motion before it is flown, and where its goal counts from."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

import robots
from hgrpo_control.config.learning import Network
from hgrpo_control.training.simulation import policy_spec
from policies.spec import PolicySpec
from sim2real.flight.clock import MonotonicClock
from sim2real.flight.loop import LoopOptions, fly
from sim2real.flight.target import TargetEnded, TargetError
from sim2real.flight.watchdog import WatchdogOptions

pytest.importorskip("cflib", reason="cflib is not here: pip install '.[crazyflie]'")

import cflib.crtp
from cflib.crazyflie.commander import Commander
from support.crazyflie_link import STATE, CrazyflieLink

from sim2real.targets.crazyflie import CrazyflieTarget

HIGH_LEVEL, SUPERVISOR = 8, 9  # ports


@pytest.fixture(autouse=True)
def link(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cflib.crtp, "CLASSES", [CrazyflieLink])


def spec_of(interface: str) -> PolicySpec:
    return policy_spec(robots.make("quadrotor-hover", interface=interface).spec, Network(), critic=False)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"stateEstimate.z": np.nan}, r"its position is \[0\.0, 0\.0, nan\]"),
        ({"stateEstimate.vy": np.inf}, r"its velocity is \[0\.0, inf, 0\.0\]"),
        ({"stateEstimate.qw": 0.0}, r"its attitude is \[0\.0, 0\.0, 0\.0, 0\.0\]"),
        ({"stateEstimate.qx": np.nan}, r"its attitude is \[1\.0, nan, 0\.0, 0\.0\]"),
    ],
)
def test_without_a_motion_it_is_neither_armed_nor_landed(
    monkeypatch: pytest.MonkeyPatch, wrong: dict[str, float], message: str
) -> None:
    monkeypatch.setitem(STATE, *next(iter(wrong.items())))
    target = CrazyflieTarget(spec_of("velocity"), MonotonicClock(), "test://", arm=True, wait_seconds=2.0)
    with pytest.raises(TargetError, match=f"the Crazyflie cannot take off: {message}"):
        target.start()
    target.stop()
    assert not {SUPERVISOR, HIGH_LEVEL} & {port for port, *_ in CrazyflieLink.current.sent}


def test_an_old_motion_is_none() -> None:
    target = CrazyflieTarget(spec_of("velocity"), MonotonicClock(), "test://", arm=True, max_age=1e-9, wait_seconds=2.0)
    with pytest.raises(TargetError, match=r"its motion is 0\.\d\d s old; allowed: max_age, 1e-09 s"):
        target.start()
    target.stop()
    assert not {SUPERVISOR, HIGH_LEVEL} & {port for port, *_ in CrazyflieLink.current.sent}


def saying_before_it_is_armed(monkeypatch: pytest.MonkeyPatch, target: CrazyflieTarget, x: float) -> None:
    """The estimate of x becomes another after it was first looked at, while the thrust is unlocked."""
    unlock = Commander.send_setpoint

    def change(commander: Commander, *setpoint: float) -> None:
        unlock(commander, *setpoint)
        CrazyflieLink.current.state["stateEstimate.x"] = x
        while (known := target._motion()) is None or not np.array_equal(known[0].position[0], x, equal_nan=True):
            time.sleep(0.01)

    monkeypatch.setattr(Commander, "send_setpoint", change)


def test_a_motion_that_is_lost_before_it_is_armed_prevents_that(monkeypatch: pytest.MonkeyPatch) -> None:
    target = CrazyflieTarget(spec_of("ctbr"), MonotonicClock(), "test://", arm=True, max_age=20.0, wait_seconds=2.0)
    saying_before_it_is_armed(monkeypatch, target, np.nan)
    with pytest.raises(TargetError, match=r"its position is \[nan, 0\.0, 0\.0\]"):
        target.start()
    target.stop()
    assert not {SUPERVISOR, HIGH_LEVEL} & {port for port, *_ in CrazyflieLink.current.sent}


def test_the_goal_counts_from_where_it_is_armed(monkeypatch: pytest.MonkeyPatch) -> None:
    target = CrazyflieTarget(spec_of("ctbr"), MonotonicClock(), "test://", arm=True, max_age=20.0, wait_seconds=20.0)
    saying_before_it_is_armed(monkeypatch, target, 5.0)
    target.start()
    reading = target.read()
    assert reading is not None
    np.testing.assert_allclose(reading.observation[:3], [0.0, 0.0, 1.0], atol=1e-6)
    assert SUPERVISOR in {port for port, *_ in CrazyflieLink.current.sent}
    target._cf.close_link()


def test_an_estimate_that_fails_in_flight_is_missed_and_flown_on_from() -> None:
    seen: list[np.ndarray] = []

    class Hovering:
        spec = spec_of("velocity")

        def __call__(self, observation: np.ndarray, /) -> np.ndarray:
            seen.append(observation)
            state = CrazyflieLink.current.state
            if len(seen) == 5:
                state["stateEstimate.x"] = np.nan
                threading.Timer(0.2, state.update, [{"stateEstimate.x": 0.0}]).start()
            if len(seen) > 5 and state["stateEstimate.x"] == 0.0:
                raise TargetEnded("it knows where it is again")
            return np.array(self.spec.safe_action)

    target = CrazyflieTarget(Hovering.spec, MonotonicClock(), "test://", max_age=20.0, wait_seconds=20.0)
    options = LoopOptions(seconds=60.0, max_age=20.0, watchdog=WatchdogOptions(hold_seconds=60.0))
    flight = fly(Hovering(), target, options)
    assert flight.reason == "it knows where it is again"
    assert flight.statistics.misses["observation not finite"] > 0
    np.testing.assert_allclose(seen[-1][:3], [0.0, 0.0, 1.0], atol=1e-6)


def test_an_estimate_that_comes_late_is_what_the_goal_counts_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(STATE, "stateEstimate.x", np.nan)
    target = CrazyflieTarget(
        spec_of("velocity"), MonotonicClock(), "test://", arm=True, max_age=20.0, wait_seconds=20.0
    )

    def settle() -> None:
        while target._motion() is None:
            time.sleep(0.01)
        assert not [port for port, *_ in CrazyflieLink.current.sent if port == SUPERVISOR]
        CrazyflieLink.current.state["stateEstimate.x"] = 3.0

    settling = threading.Thread(target=settle)
    settling.start()
    target.start()
    settling.join()
    reading = target.read()
    assert reading is not None
    np.testing.assert_allclose(reading.observation[:3], [0.0, 0.0, 1.0], atol=1e-6)
    target._cf.close_link()
