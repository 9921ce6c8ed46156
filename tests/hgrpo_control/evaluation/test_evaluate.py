"""Evaluation: figures worked out by hand on a task with known ends, and independence of everything but the seed."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

import robots
from hgrpo_control.config.algorithms import PPO
from hgrpo_control.config.learning import Learning, Network
from hgrpo_control.config.run import Config
from hgrpo_control.evaluation.evaluate import Evaluation, PolicyMismatchError, evaluate
from hgrpo_control.training.simulation import policy_spec
from hgrpo_control.training.trainer import Trainer
from policies.actor_critic import ActorCritic
from robots.simulator import Channel, Simulator, SimulatorSpec, Step

pytestmark = pytest.mark.slow

LIMIT, HZ = 20, 5.0  # the last second is steps 16 to 20


class ScheduleState(NamedTuple):
    tick: Tensor
    row: Tensor


class Schedule:
    """Row b earns b + 1 per step and ends for good in step `ends[b]` (0: never); what comes after that is NaN.

    Row b counts as successful exactly at the ticks `success_at[b]`. The signal "error [m]" is (3, 4) x tick x row, of
    length 5 x tick x row.
    """

    def __init__(self, ends: tuple[int, ...], success_at: tuple[set[int], ...] | None = None) -> None:
        self.ends = torch.tensor(ends)
        self.success_at = success_at or (set(),) * len(ends)
        spec = SimulatorSpec("schedule", (Channel("tick"),), (Channel("u"),), (-1.0,), (1.0,), HZ, LIMIT, (0.0,))
        self.spec = dataclasses.replace(spec, goal="the tick is among those of the row")

    def reset(self, num: int, seed: int | torch.Generator) -> ScheduleState:
        return ScheduleState(torch.zeros(num, dtype=torch.int64), torch.arange(num))

    def observe(self, state: ScheduleState) -> Tensor:
        return state.tick.float().unsqueeze(1)

    def step(self, state: ScheduleState, action: Tensor) -> Step:
        new = ScheduleState(state.tick + 1, state.row)
        over = self.is_over(new)
        reward = torch.where(over, torch.nan, state.row + 1.0)
        return Step(new, self.observe(new), reward, new.tick == self.ends[new.row])

    def is_over(self, state: ScheduleState) -> Tensor:
        return (self.ends[state.row] > 0) & (state.tick > self.ends[state.row])

    def success(self, state: ScheduleState) -> Tensor:
        rows = zip(state.tick.tolist(), state.row.tolist(), strict=True)
        return torch.tensor([tick in self.success_at[row] for tick, row in rows])

    def signals(self, state: ScheduleState) -> dict[str, Tensor]:
        scale = torch.where(self.is_over(state), torch.nan, (state.tick * state.row).float())
        return {
            "error [m]": torch.stack((3.0 * scale, 4.0 * scale), dim=1),
            "tick [1]": state.tick.unsqueeze(1).float(),
        }

    def metrics(self, state: ScheduleState) -> dict[str, Tensor]:
        """Tick x row, which row 0 does not have; and a figure that no row has."""
        points = torch.where(state.row > 0, (state.tick * state.row).double(), torch.nan)
        return {"points [1]": points, "nothing [1]": torch.full_like(points, torch.nan)}

    def render(self, state: ScheduleState, row: int = 0, width: int = 640, height: int = 480) -> Any:
        raise NotImplementedError


def fresh_policy(simulator: Simulator, seed: int = 0) -> ActorCritic:
    spec = policy_spec(simulator.spec, Network((8,)), critic=True)
    return ActorCritic(spec, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def hover() -> Simulator:
    return robots.make("quadrotor-hover")


def test_every_episode_is_counted_once_to_its_own_end() -> None:
    # Row 0 succeeds by ending in step 3; row 1 ends for good in the very step of the limit and fails there alone; row 2
    # succeeds at the end only; row 3 at all times but the end.
    always = set(range(LIMIT + 1))
    simulator = Schedule((3, 20, 0, 0), ({3}, always - {LIMIT}, {LIMIT}, always - {LIMIT}))
    evaluation, _ = evaluate(fresh_policy(simulator), simulator, episodes=4, seed=6)
    # Returns 1 x 3, 2 x 20, 3 x 20, 4 x 20 = 3, 40, 60, 80: mean 183 / 4 = 45.75,
    # variance (9 + 1600 + 3600 + 6400) / 4 - 45.75^2 = 2902.25 - 2093.0625 = 809.1875.
    assert evaluation == Evaluation(
        task="schedule",
        episodes=4,
        seed=6,
        return_mean=45.75,
        return_std=pytest.approx(math.sqrt(809.1875), rel=1e-12),
        success_rate=0.5,
        length_mean=15.75,  # (3 + 20 + 20 + 20) / 4
        terminated_rate=0.5,
        # Rows 2 and 3 reached the limit. Mean of 5 x tick x row over ticks 16 to 20 (mean 18) and both: 5 x 18 x 2.5.
        final_second={"error [m]": pytest.approx(225.0, rel=1e-12), "tick [1]": 18.0},
        # Rows 1 and 2 end with 20 x 1 and 20 x 2 points; row 0 has no figure and row 3 has 20 x 3: mean 40.
        metrics={"points [1]": 40.0, "nothing [1]": pytest.approx(math.nan, nan_ok=True)},
    )


def test_evaluation_ends_with_the_last_episode() -> None:
    simulator = Schedule((2, 5, 1))
    evaluation, recording = evaluate(fresh_policy(simulator), simulator, episodes=3, record=3)
    assert len(recording.states) == 6, "five steps and the initial state"
    assert evaluation.length_mean == pytest.approx(8 / 3, rel=1e-12)
    assert evaluation.return_mean == pytest.approx((2 * 1 + 5 * 2 + 1 * 3) / 3, rel=1e-12)
    assert evaluation.terminated_rate == 1.0
    assert evaluation.success_rate == 0.0


@pytest.mark.parametrize("ends", [(18, 20), (3, 4)])
def test_without_an_episode_that_reached_the_limit_the_last_second_is_nan(ends: tuple[int, ...]) -> None:
    simulator = Schedule(ends)
    evaluation, _ = evaluate(fresh_policy(simulator), simulator, episodes=2)
    assert evaluation.final_second.keys() == {"error [m]", "tick [1]"}
    assert all(math.isnan(value) for value in evaluation.final_second.values())


def test_a_recording_shows_each_episode_up_to_the_state_it_ended_in() -> None:
    simulator = Schedule((2, 0, 4))
    _, recording = evaluate(fresh_policy(simulator), simulator, episodes=3, record=3)
    steps = torch.arange(LIMIT + 1)
    # Alive when step k begins: until step 2, until the limit, until step 4.
    expected = torch.stack((steps < 2, steps < LIMIT, steps < 4), dim=1)
    assert torch.equal(recording.alive, expected)
    ticks = recording.signals["tick [1]"][:, :, 0]
    for row, end in enumerate((2, LIMIT, 4)):
        assert ticks[: end + 1, row].tolist() == list(range(end + 1))
        assert np.isnan(ticks[end + 1 :, row]).all()
    error = recording.signals["error [m]"]
    assert error.shape == (LIMIT + 1, 3, 2)
    assert error[3, 2].tolist() == [3.0 * 3 * 2, 4.0 * 3 * 2]
    assert [int(state.tick[1]) for state in recording.states] == list(range(LIMIT + 1))


@pytest.mark.parametrize(("record", "kept"), [(0, 0), (2, 2), (9, 3)])
def test_only_as_many_episodes_are_recorded_as_asked_for(record: int, kept: int) -> None:
    simulator = Schedule((0, 0, 0))
    evaluation, recording = evaluate(fresh_policy(simulator), simulator, episodes=3, record=record)
    assert evaluation.episodes == 3
    assert recording.alive.shape == (LIMIT + 1, kept)
    assert {name: values.shape[1] for name, values in recording.signals.items()} == (
        {"error [m]": kept, "tick [1]": kept} if kept else {}
    )


def test_recording_changes_no_figure(hover: Simulator) -> None:
    policy = fresh_policy(hover)
    without, _ = evaluate(policy, hover, episodes=6, seed=1)
    having, _ = evaluate(policy, hover, episodes=6, seed=1, record=4)
    assert repr(without) == repr(having)


def test_figures_depend_on_the_seed_and_on_nothing_else(hover: Simulator) -> None:
    policy = fresh_policy(hover)
    torch.manual_seed(1)
    first, _ = evaluate(policy, hover, episodes=8, seed=3)
    before = torch.get_rng_state()
    second, _ = evaluate(policy, hover, episodes=8, seed=3)
    assert torch.equal(torch.get_rng_state(), before), "the global generator is not touched"
    assert repr(first) == repr(second)
    torch.manual_seed(2)
    assert repr(evaluate(policy, hover, episodes=8, seed=3)[0]) == repr(first)
    other, _ = evaluate(policy, hover, episodes=8, seed=4)
    assert other.return_mean != first.return_mean


def test_actions_are_the_mean_whatever_the_exploration(hover: Simulator) -> None:
    policy = fresh_policy(hover)
    calm, _ = evaluate(policy, hover, episodes=4)
    with torch.no_grad():
        policy.raw_sigma.fill_(3.0)
    assert repr(evaluate(policy, hover, episodes=4)[0]) == repr(calm)


def test_evaluating_in_between_changes_no_bit_of_training() -> None:
    config = Config(
        task="quadrotor-hover",
        algorithm=PPO(),
        total_steps=2 * 128,
        num_envs=16,
        rollout_steps=8,
        network=Network((8,)),
        learning=Learning(update_epochs=1, num_minibatches=2),
    )
    interrupted, plain = Trainer.from_config(config), Trainer.from_config(config)
    for trainer in (interrupted, plain):
        trainer.step()
    before, _ = evaluate(interrupted.policy, interrupted.sampler.simulator, episodes=3)
    assert repr(evaluate(plain.policy, robots.make("quadrotor-hover"), episodes=3)[0]) == repr(before)
    for trainer in (interrupted, plain):
        trainer.step()
    pairs = zip(interrupted.policy.state_dict().values(), plain.policy.state_dict().values(), strict=True)
    assert all(torch.equal(ours, theirs) for ours, theirs in pairs)


def test_a_policy_of_another_task_is_refused(hover: Simulator) -> None:
    schedule = Schedule((0,))
    with pytest.raises(PolicyMismatchError) as caught:
        evaluate(fresh_policy(schedule), hover, episodes=1)
    assert str(caught.value) == "the policy was trained for 'schedule'; the task here is 'quadrotor-hover'"


@pytest.mark.parametrize("entries", ["observation", "action"])
def test_a_policy_with_other_entries_is_refused(hover: Simulator, entries: str) -> None:
    policy = fresh_policy(hover)
    renamed = tuple(dataclasses.replace(entry, name=entry.name + "_old") for entry in getattr(policy.spec, entries))
    policy.spec = dataclasses.replace(policy.spec, **{entries: renamed})
    with pytest.raises(PolicyMismatchError, match="has other observation or action entries than this release"):
        evaluate(policy, hover, episodes=1)


@pytest.mark.parametrize("episodes", [0, -3])
def test_no_episode_is_no_evaluation(hover: Simulator, episodes: int) -> None:
    with pytest.raises(ValueError, match=f"^episodes must be at least 1; given {episodes}$"):
        evaluate(fresh_policy(hover), hover, episodes=episodes)


def test_the_file_holds_every_figure(tmp_path: Path) -> None:
    simulator = Schedule((0, 3), ({LIMIT}, set()))
    evaluation, _ = evaluate(fresh_policy(simulator), simulator, episodes=2, seed=8)
    evaluation.write(tmp_path / "evaluation.json")
    assert json.loads((tmp_path / "evaluation.json").read_text()) == {
        "task": "schedule",
        "episodes": 2,
        "seed": 8,
        "return_mean": 13.0,  # (1 x 20 + 2 x 3) / 2
        "return_std": 7.0,
        "success_rate": 0.5,
        "length_mean": 11.5,
        "terminated_rate": 0.5,
        "final_second": {"error [m]": 0.0, "tick [1]": 18.0},
        "metrics": {"points [1]": 3.0, "nothing [1]": None},  # row 1 ends after 3 steps
        "task_options": {},
        "judged_at": {},
        "disturbances": {},
    }


def test_a_task_without_a_goal_has_no_success_rate(tmp_path: Path) -> None:
    simulator = Schedule((0, 3), ({LIMIT}, set()))
    simulator.spec = dataclasses.replace(simulator.spec, goal="")
    evaluation, _ = evaluate(fresh_policy(simulator), simulator, episodes=2, seed=8)
    assert math.isnan(evaluation.success_rate)
    assert evaluation.summary() == "2 episodes: return 13.0 +- 7.0, length 12\npoints [1] 3"  # 11.5, rounded to even
    evaluation.write(tmp_path / "evaluation.json")
    figures = json.loads((tmp_path / "evaluation.json").read_text())
    assert figures["success_rate"] is None
    assert figures["return_mean"] == 13.0


def test_the_last_second_of_hovering_is_that_of_its_signals(hover: Simulator) -> None:
    # A policy that flies nowhere crashes; with the limit brought down to 30 steps the episodes reach it, and since a
    # second has 100 steps here the whole episode counts.
    short = robots.make("quadrotor-hover")
    short.spec = dataclasses.replace(short.spec, max_episode_steps=30)
    evaluation, recording = evaluate(fresh_policy(short), short, episodes=5, seed=2, record=5)
    assert evaluation.terminated_rate == 0.0
    assert evaluation.length_mean == 30.0
    for name, values in recording.signals.items():
        expected = np.linalg.norm(values[1:], axis=2).mean()  # without the initial state
        assert evaluation.final_second[name] == pytest.approx(expected, rel=1e-9)
