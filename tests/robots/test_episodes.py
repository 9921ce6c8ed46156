"""Time limits and restarts: a step counter whose ends are known, and the hover task."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import robots
from robots.episodes import Episodes, FreshEpisodes, autoreset, reset_episodes, step_episodes
from robots.simulator import Channel, SimulatorSpec, Step

LIMIT = 4


class Inner(NamedTuple):
    ticks: Tensor


class CountdownState(NamedTuple):
    """Nested, so that restarts have to reach into it."""

    inner: Inner
    label: Tensor


class Countdown:
    """Row b ends for good when its ticks reach `ends[b]`; 0 is never. Labels of fresh rows are drawn at random."""

    def __init__(self, ends: tuple[int, ...] = ()) -> None:
        self.ends = torch.tensor(ends)
        self.spec = SimulatorSpec(
            "countdown", (Channel("ticks"), Channel("label")), (Channel("x"),), (-1.0,), (1.0,), 10.0, LIMIT, (0.0,)
        )

    def reset(self, num: int, seed: int | torch.Generator) -> CountdownState:
        generator = seed if isinstance(seed, torch.Generator) else torch.Generator().manual_seed(seed)
        return CountdownState(Inner(torch.zeros(num)), torch.rand(num, generator=generator))

    def observe(self, state: CountdownState) -> Tensor:
        return torch.stack((state.inner.ticks, state.label), dim=1)

    def step(self, state: CountdownState, action: Tensor) -> Step:
        new = CountdownState(Inner(state.inner.ticks + 1.0), state.label)
        return Step(new, self.observe(new), action[:, 0], new.inner.ticks == self.ends)

    def success(self, state: CountdownState) -> Tensor:
        return state.inner.ticks > 0.0

    def signals(self, state: CountdownState) -> dict[str, Tensor]:
        return {"ticks [1]": state.inner.ticks.unsqueeze(1)}

    def render(self, state: CountdownState, row: int = 0, width: int = 640, height: int = 480) -> Any:
        raise NotImplementedError


def flat(episodes: Episodes) -> list[Tensor]:
    return [episodes.state.inner.ticks, episodes.state.label, episodes.elapsed]


def test_new_episodes_have_lived_for_no_step() -> None:
    episodes = reset_episodes(Countdown(), 3, 5)
    assert episodes.elapsed.tolist() == [0, 0, 0]
    assert episodes.elapsed.dtype == torch.int64
    # An int stands for a fresh generator with that seed.
    assert torch.equal(episodes.state.label, torch.rand(3, generator=torch.Generator().manual_seed(5)))


def test_a_generator_is_advanced_so_that_the_next_episodes_differ() -> None:
    generator = torch.Generator().manual_seed(5)
    first, second = reset_episodes(Countdown(), 3, generator), reset_episodes(Countdown(), 3, generator)
    expected = torch.rand(6, generator=torch.Generator().manual_seed(5))
    assert torch.equal(torch.cat((first.state.label, second.state.label)), expected)


def test_the_time_limit_cuts_in_the_last_allowed_step_and_not_before() -> None:
    simulator = Countdown((0, 0))
    episodes = reset_episodes(simulator, 2, 0)
    truncated = []
    for _ in range(LIMIT):
        transition = step_episodes(simulator, episodes, torch.zeros(2, 1))
        assert not transition.terminated.any()
        truncated.append(transition.truncated.tolist())
        episodes = transition.episodes
    assert truncated == [[False, False]] * (LIMIT - 1) + [[True, True]]
    assert episodes.elapsed.tolist() == [LIMIT, LIMIT]


def test_rows_of_different_age_meet_the_limit_at_their_own_time() -> None:
    simulator = Countdown((0, 0, 0))
    aged = reset_episodes(simulator, 3, 0)._replace(elapsed=torch.tensor([LIMIT - 2, LIMIT - 1, 0]))
    assert step_episodes(simulator, aged, torch.zeros(3, 1)).truncated.tolist() == [False, True, False]


def test_ending_for_good_in_the_last_step_is_termination_not_truncation() -> None:
    simulator = Countdown((LIMIT, 0, 2))
    episodes = reset_episodes(simulator, 3, 0)
    ends = []
    for _ in range(LIMIT):
        transition = step_episodes(simulator, episodes, torch.zeros(3, 1))
        ends.append((transition.terminated.tolist(), transition.truncated.tolist()))
        episodes = transition.episodes
    nothing = [False, False, False]
    # Row 2 ended in step 2. Nobody restarted it, so like row 1 it is cut again by the limit.
    assert ends == [
        (nothing, nothing),
        ([False, False, True], nothing),
        (nothing, nothing),
        ([True, False, False], [False, True, True]),
    ]


def test_a_transition_shows_the_last_observation_and_reward_of_a_row_that_ended() -> None:
    simulator = Countdown((1, 0))
    episodes = reset_episodes(simulator, 2, 0)
    transition = step_episodes(simulator, episodes, torch.tensor([[0.25], [0.5]]))
    assert transition.terminated.tolist() == [True, False]
    assert transition.observation[:, 0].tolist() == [1.0, 1.0]
    assert transition.reward.tolist() == [0.25, 0.5]
    assert torch.equal(transition.observation, simulator.observe(transition.episodes.state))
    assert episodes.elapsed.tolist() == [0, 0], "the episodes given are left as they were"


@given(rows=st.lists(st.integers(0, 7), unique=True, min_size=1))
@settings(max_examples=50)
def test_a_restart_touches_the_rows_named_and_no_other(rows: list[int]) -> None:
    simulator = Countdown((0,) * 8)
    transition = step_episodes(simulator, reset_episodes(simulator, 8, 1), torch.zeros(8, 1))
    before = [x.clone() for x in (*flat(transition.episodes), transition.observation)]
    chosen = torch.tensor(rows, dtype=torch.int64)
    fresh = fresh_episodes(simulator).draw(len(rows))

    episodes, observation = autoreset(transition.episodes, transition.observation, chosen, fresh)

    expected = [*flat(fresh.episodes), simulator.observe(fresh.episodes.state)]
    others = [b for b in range(8) if b not in rows]
    for new, old, wanted in zip((*flat(episodes), observation), before, expected, strict=True):
        assert torch.equal(new[chosen], wanted)  # the k-th fresh row goes to the k-th row named
        assert torch.equal(new[others], old[others])
    for kept, old in zip((*flat(transition.episodes), transition.observation), before, strict=True):
        assert torch.equal(kept, old), "what was given is left as it was"


@pytest.mark.parametrize("task", robots.names())
def test_restarted_rows_of_a_task_go_on_like_fresh_episodes(task: str) -> None:
    simulator = robots.make(task)
    neutral = torch.tensor(simulator.spec.neutral_action, dtype=torch.float32)
    transition = step_episodes(simulator, reset_episodes(simulator, 4, 0), neutral.expand(4, -1))
    rows = torch.tensor([3, 1])
    fresh = fresh_episodes(simulator).draw(2)
    episodes, observation = autoreset(transition.episodes, transition.observation, rows, fresh)
    assert episodes.elapsed.tolist() == [1, 0, 1, 0]
    assert torch.equal(observation[rows], fresh.observation)
    assert torch.equal(observation, simulator.observe(episodes.state))
    ours = step_episodes(simulator, episodes, neutral.expand(4, -1))
    theirs = step_episodes(simulator, fresh.episodes, neutral.expand(2, -1))
    untouched = step_episodes(simulator, transition.episodes, neutral.expand(4, -1))
    torch.testing.assert_close(ours.observation[rows], theirs.observation, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(ours.observation[[0, 2]], untouched.observation[[0, 2]], rtol=1e-5, atol=1e-6)


class Counted(Countdown):
    """Counts its resets; labels of fresh rows are the difficulty plus the random numbers."""

    def __init__(self, obstacle: str = "") -> None:
        super().__init__()
        self.spec = dataclasses.replace(self.spec, branching_obstacle=obstacle)
        self.sizes: list[int] = []
        self.settings = {"difficulty": 0.0}

    def adjust(self, name: str, value: float) -> None:
        self.settings[name] = value

    def reset(self, num: int, seed: int | torch.Generator) -> CountdownState:
        self.sizes.append(num)
        state = super().reset(num, seed)
        return state._replace(label=state.label + self.settings["difficulty"])


def fresh_episodes(simulator: Any, rows: int = 8, seed: int = 9) -> FreshEpisodes:
    return FreshEpisodes(simulator, rows, torch.Generator().manual_seed(seed))


def labels(fresh: FreshEpisodes, *numbers: int) -> list[float]:
    """Labels of as many episodes as the numbers add up to, drawn in parts."""
    drawn = [fresh.draw(number) for number in numbers]
    assert [len(part.episodes.elapsed) for part in drawn] == list(numbers)
    assert all(torch.equal(part.observation[:, 1], part.episodes.state.label) for part in drawn)
    return [label for part in drawn for label in part.episodes.state.label.tolist()]


def test_fresh_episodes_are_drawn_in_blocks_and_handed_out_once() -> None:
    simulator = Counted()
    drawn = labels(fresh_episodes(simulator, rows=8 * 20), 7, 1, 12, 5)
    assert simulator.sizes == [20, 20]
    assert len(set(drawn)) == 25
    assert drawn == labels(fresh_episodes(Counted(), rows=8 * 20), 1, 1, 18, 5)


def test_more_fresh_episodes_than_a_block_are_one_reset() -> None:
    simulator = Counted()
    assert len(set(labels(fresh_episodes(simulator), 6, 30))) == 36
    assert simulator.sizes == [16, 20]


def test_a_changed_setting_changes_the_fresh_episodes_left_in_a_block() -> None:
    simulator, other = Counted(), Counted()
    fresh, same = fresh_episodes(simulator), fresh_episodes(other)
    assert labels(fresh, 3) == labels(same, 3)
    simulator.adjust("difficulty", 10.0)
    harder, easier = labels(fresh, 4), labels(same, 4)
    assert harder == pytest.approx([label + 10.0 for label in easier])


@pytest.mark.parametrize("taken", [0, 3, 16])
@pytest.mark.parametrize("difficulty", [0.0, 10.0])
def test_fresh_episodes_continue_exactly_from_a_saved_state(taken: int, difficulty: float) -> None:
    simulator, other = Counted(), Counted()
    first, second = fresh_episodes(simulator), fresh_episodes(other, seed=5)
    if taken:
        first.draw(taken)
    second.generator.set_state(first.generator.get_state())
    second.load_state_dict(first.state_dict())
    simulator.adjust("difficulty", difficulty)
    other.adjust("difficulty", difficulty)
    assert labels(first, 5, 30) == labels(second, 5, 30)


def test_a_simulator_that_cannot_restore_states_draws_no_episode_ahead() -> None:
    simulator = Counted(obstacle="it cannot")
    labels(fresh_episodes(simulator), 2, 1, 5)
    assert simulator.sizes == [2, 1, 5]
