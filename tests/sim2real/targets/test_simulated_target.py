"""A simulator under the loop does what it does without it, and does not wait for who is late."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.hover_controller import hover_controller

import robots
from hgrpo_control.cli import main
from hgrpo_files import unwritable
from policies.actor_critic import ActorCritic
from policies.spec import PolicySpec
from robots.episodes import reset_episodes, step_episodes
from robots.quadrotor.flight.simulator import QuadrotorFlight
from sim2real.export.onnx import export_onnx
from sim2real.flight.clock import SteppedClock
from sim2real.flight.loop import LoopOptions, fly
from sim2real.flight.record import FlightRecord
from sim2real.flight.target import TargetError
from sim2real.targets.simulated import SimulatedTarget

pytestmark = pytest.mark.slow


class Acting:
    """A network as the loop's policy."""

    def __init__(self, policy: ActorCritic) -> None:
        self.policy, self.spec = policy, policy.spec

    def __call__(self, observation: np.ndarray, /) -> np.ndarray:
        with torch.no_grad():
            action: np.ndarray = self.policy(torch.from_numpy(observation)).numpy()
        return action


@pytest.fixture(scope="module")
def policy() -> ActorCritic:
    simulator = robots.make("quadrotor-hover")
    assert isinstance(simulator, QuadrotorFlight)
    return hover_controller(simulator)


def test_episodes_under_the_loop_are_those_of_the_simulator(policy: ActorCritic) -> None:
    clock = SteppedClock()  # at full difficulty the hand-made policy crashes soon, and the next episode begins
    target = SimulatedTarget(policy.spec, clock, seed=3, episodes=2)
    flight = fly(Acting(policy), target, clock=clock)
    assert flight.reason == "2 episodes have ended"
    simulator, generator = robots.make("quadrotor-hover"), torch.Generator().manual_seed(3)
    for episode in target.finished:
        running, reward, length = reset_episodes(simulator, 1, generator), 0.0, 0
        observation, ended = simulator.observe(running.state), False
        while not ended:
            with torch.no_grad():
                transition = step_episodes(simulator, running, policy(observation))
            running, observation = transition.episodes, transition.observation
            reward, length = reward + float(transition.reward), length + 1
            ended = bool(transition.terminated | transition.truncated)
        success = bool(simulator.success(running.state))
        assert episode == (pytest.approx(reward, rel=1e-5), length, success, bool(transition.terminated))
    assert target.finished[0].length != target.finished[1].length


class Counting:
    """A policy of constant action that lets time pass as it is told."""

    def __init__(self, spec: PolicySpec, clock: SteppedClock, seconds: dict[int, float]) -> None:
        self.spec, self.clock, self.seconds, self.calls = spec, clock, seconds, 0

    def __call__(self, observation: np.ndarray, /) -> np.ndarray:
        self.clock.advance(self.seconds.get(self.calls, 0.0))
        self.calls += 1
        return np.array(self.spec.safe_action) + 0.01 * self.calls


def test_the_simulator_flies_on_while_the_loop_is_late(policy: ActorCritic) -> None:
    clock = SteppedClock()
    target = SimulatedTarget(policy.spec, clock)
    steps: list[tuple[int, Any]] = []
    read = target.read

    def noting() -> Any:
        reading = read()
        steps.append((target._steps, reading.observation[-4:] - policy.spec.safe_action))
        return reading

    target.read = noting  # type: ignore[method-assign]
    # slot 2 takes 3.2 periods: slots 3 and 4 are skipped, slot 5 runs late with 3 steps behind it
    slow = Counting(policy.spec, clock, {2: 0.032})
    fly(slow, target, LoopOptions(seconds=0.075), clock)
    assert [count for count, _ in steps] == [0, 1, 2, 5, 6, 7]
    # past actions are those that were truly applied: the one of slot 2 came too late, so that of slot 1 was held
    np.testing.assert_allclose([past[0] for _, past in steps], [0, 0.01, 0.02, 0.02, 0.04, 0.05], atol=1e-6)


def test_a_simulator_far_behind_gives_up_what_it_cannot_make_up_for(policy: ActorCritic) -> None:
    clock = SteppedClock()
    target = SimulatedTarget(policy.spec, clock)
    target.start()
    target.read()
    clock.advance(1000.0)
    target.read()
    # one second's worth, in which an uncontrolled drone may have ended an episode or two
    assert sum(episode.length for episode in target.finished) + target._length == 100


@pytest.mark.parametrize(
    ("task", "options", "message"),
    [
        ("quadrotor-hover", {"interface": "ctbr"}, "'previous_motor_1' of the policy, 'previous_collective_thrust'"),
        ("quadrotor-hover", {"action_history": 0}, "'previous_motor_1' of the policy, no further entry of the task"),
        ("quadrotor-waypoints", {}, "first observation entry that differs is 'position_error_x' of the policy"),
    ],
)
def test_other_tasks_are_refused(policy: ActorCritic, task: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(TargetError, match=message):
        SimulatedTarget(policy.spec, SteppedClock(), task, options)


class PassingClock(SteppedClock):
    """Between two looks at it a time passes."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds, self.time = seconds, 0.0

    def now(self) -> float:
        self.time += self.seconds
        return self.time


def test_a_simulator_that_is_slower_than_its_period_is_not_flown_in_real_time(policy: ActorCritic) -> None:
    SimulatedTarget(policy.spec, PassingClock(0.009)).start()
    with pytest.raises(TargetError, match=r"takes 11\.0 ms here, longer than its period of 10\.0 ms.*--fast"):
        SimulatedTarget(policy.spec, PassingClock(0.011)).start()


@pytest.fixture(scope="module")
def exported(policy: ActorCritic, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("exported") / "policy.onnx"
    export_onnx(policy, path)
    return path


def test_the_command_flies_and_records(exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = tmp_path / "flight.npz"
    words = ["fly", str(exported), "simulated", "--fast", "--episodes", "1", "--record", str(record)]
    words += ["--task-options", "difficulty=0.05"]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "ended: 1 episodes have ended" in out
    assert "success_rate 1.000, length 500" in out
    assert "ticks 500 (flying 500), missed 0" in out
    with np.load(record) as file:
        assert file["observation"].shape == (500, 16)
        assert not file["state"].any()
    assert main(words) == 2
    assert "flight.npz exists already" in capsys.readouterr().err
    assert main([*words[:-3], str(tmp_path / "nowhere" / "flight.npz")]) == 2
    assert "nowhere to write flight.npz into" in capsys.readouterr().err


def test_a_record_that_cannot_be_written_is_told_after_the_flight(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def write(record: FlightRecord, path: Path) -> None:
        raise unwritable(path, OSError(28, "No space left on device"))

    monkeypatch.setattr(FlightRecord, "write", write)
    words = ["fly", str(exported), "simulated", "--fast", "--seconds", "0.2"]
    assert main([*words, "--record", str(tmp_path / "flight.npz"), "--task-options", "difficulty=0.05"]) == 1
    captured = capsys.readouterr()
    assert "ticks 20 (flying 20), missed 0" in captured.out
    assert "flight.npz: No space left on device" in captured.err


def test_the_command_flies_in_real_time(exported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    patient = ("--hold-seconds", "5", "--max-age", "5")  # on a busy machine many slots may be missed
    status = main(["fly", str(exported), "simulated", "--seconds", "0.5", *patient])
    out = capsys.readouterr().out
    assert status == 0
    assert "ended: the time was up" in out
    assert "no episode ended" in out
    assert "p99.9" in out


def test_a_watchdog_that_ended_the_flight_shows_in_the_status(exported: Path) -> None:
    impatient = ("--max-age", "1e-9", "--hold-seconds", "0", "--safe-seconds", "0.05")
    assert main(["fly", str(exported), "simulated", "--seconds", "60", *impatient]) == 1


def test_a_target_that_cannot_be_stopped_costs_no_statistics(
    exported: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(target: SimulatedTarget) -> None:
        raise TargetError("landing was not confirmed")

    monkeypatch.setattr(SimulatedTarget, "stop", stop)
    words = ["fly", str(exported), "simulated", "--fast", "--seconds", "0.2"]
    assert main([*words, "--task-options", "difficulty=0.05"]) == 2
    captured = capsys.readouterr()
    assert "ticks 20 (flying 20), missed 0" in captured.out
    assert "landing was not confirmed" in captured.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("simulated", "--seconds", "-1"), "seconds must be above 0"),
        (("simulated", "--task", "quadrotor-hovr"), "did you mean 'quadrotor-hover'"),
        (("simulated", "--recovery-ticks", "0"), "recovery_ticks must be at least 1"),
    ],
)
def test_mistakes_are_told(
    exported: Path, words: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fly", str(exported), *words]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
