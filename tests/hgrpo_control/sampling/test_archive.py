"""The archive of roots: which states enter, how often each is drawn, and what starts from it leave unchanged."""

from __future__ import annotations

import dataclasses
import io
from collections import Counter
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.replay_env import Ledger, LedgerState, spelled_out_critic
from support.states import same
from torch import Tensor

from hgrpo_control.algorithms.rollout import FinishedEpisodes, Rollout, RolloutFailedError
from hgrpo_control.sampling import archive as archives
from hgrpo_control.sampling.archive import BOUND, Archive
from hgrpo_control.sampling.sampler import Sampler
from hgrpo_errors import HgrpoError
from robots.episodes import Episodes, FreshEpisodes
from robots.simulator import Step

E, N, T, LIMIT = 8, 3, 32, 60


class Failing(Ledger):
    """Ends in failure where the action is above 0.9, and has longer episodes; `fails_at` is a step that raises."""

    def __init__(self) -> None:
        super().__init__(self.harder)
        self.spec = dataclasses.replace(self.spec, max_episode_steps=LIMIT)
        self.fails_at = -1

    def harder(self, step: Step) -> Step:
        if len(self.seen) == self.fails_at:
            raise HgrpoError("the engine stopped")
        return step._replace(terminated=step.reward > 0.9)

    def success(self, state: LedgerState) -> Tensor:
        return torch.zeros(len(state.age), dtype=torch.bool)


def sampler(num_samples: int = 1, branch_length: int = T, share: float | None = 0.5, seed: int = 3) -> Sampler:
    simulator = Failing()
    policy = spelled_out_critic(simulator)
    return Sampler(simulator, policy, E, num_samples, branch_length, T, seed, archive_share=share)


def episodes(age: Tensor) -> Episodes:
    """Rows that tell their number by `birth` and their clock by `age`."""
    rows = torch.arange(len(age)).float()
    return Episodes(LedgerState(rows, age, torch.zeros(len(age))), age, torch.zeros(len(age), 0))


def archive(rows: int = 2, seed: int = 0, share: float = 0.5) -> Archive:
    return Archive(Ledger(), episodes(torch.zeros(rows, dtype=torch.int64)), share, seed)


def watched(clock: int, seed: int = 0, rows: int = 2) -> Archive:
    """An archive whose rows took `clock` steps."""
    made = archive(rows, seed)
    for t in range(clock):
        made.watch(episodes(torch.full((rows,), t)), 1)
    return made


def filled(counts: list[tuple[int, int]], rows: int = 1) -> Archive:
    """An archive of one entry per pair of starts and failures."""
    made = archive(max(rows, -(-len(counts) // archives.ENTRIES_PER_ROOT)))
    made._add(episodes(torch.arange(len(counts))))
    made.starts[: len(counts)], made.failures[: len(counts)] = torch.tensor(counts).t()
    return made


# Which states enter


@pytest.mark.parametrize(
    ("clock", "began", "entering"),
    [
        (125, 0, {0, 25, 50, 75, 100}),  # 25 to 125 steps before the failure
        (140, 0, {25, 50, 75, 100}),  # the save at 125 is 15 steps old, too young; that of 0 has been overwritten
        (140, 60, {75, 100}),  # the saves at 25 and 50 belong to another episode
        (84, 0, {0, 25, 50}),
        (140, 110, set()),  # the episode's only save is too young
        (24, 0, set()),
    ],
)
def test_a_state_from_before_a_failure_enters(
    clock: int, began: int, entering: set[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "KEPT_FAILURES", 1.0)
    seen = []
    for seed in range(100):
        made = watched(clock, seed)
        made.began[1] = began
        whole = made.finish(torch.tensor([0, 1]), torch.tensor([False, True]))
        assert whole.tolist() == [True, True]
        assert made.added == (1 if entering else 0)
        if entering:
            assert made.entries.state.birth[0] == 1.0  # the row that failed
            assert made.entries.state.age[0] == made.entries.elapsed[0]
            seen.append(int(made.entries.elapsed[0]))
    assert set(seen) == entering
    if entering:
        assert min(Counter(seen).values()) > 50 / len(entering)  # about uniform


def test_a_quarter_of_the_failures_enters() -> None:
    made = watched(100, rows=1000)
    made.finish(torch.arange(1000), torch.ones(1000, dtype=torch.bool))
    assert 210 < made.added < 290


def test_late_roots_enter_at_the_end_of_a_rollout() -> None:
    age = torch.arange(64) % 32
    entered: set[int] = set()
    for seed in range(60):
        made = archive(64, seed)
        made.end_rollout(episodes(age))
        assert made.added <= 64 // archives.ROOTS_PER_LATE_ENTRY
        entered |= set(made.entries.elapsed[: made.added].tolist())
    assert entered == set(range(15, 32))  # the median is 15
    made = archive(64)
    made.end_rollout(episodes(torch.zeros(64, dtype=torch.int64)))
    assert made.added == 0  # initial states are not late


def test_the_oldest_entries_are_replaced_and_their_starts_not_counted_any_more() -> None:
    made = archive(rows=1)
    for clock in range(4):  # the capacity
        made._add(episodes(torch.tensor([clock])))
    made.source[0] = 1
    made.finish(torch.tensor([0]), torch.tensor([True]))
    assert made.starts.tolist() == made.failures.tolist() == [0, 1, 0, 0]
    for clock in (4, 5):
        made._add(episodes(torch.tensor([clock])))
    assert made.size == 4
    assert made.entries.elapsed.tolist() == [4, 5, 2, 3]
    assert made.starts.tolist() == [0, 0, 0, 0]
    made.finish(torch.tensor([0]), torch.tensor([True]))  # started from entry 1, which entry 5 replaced
    assert made.starts.tolist() == [0, 0, 0, 0]
    assert made.metrics()["archive_failure_rate"] == 1.0


def test_outcomes_of_starts_by_hand() -> None:
    made = archive(rows=3)
    made._add(episodes(torch.arange(2)))
    made.source = torch.tensor([0, 1, -1])
    whole = made.finish(torch.arange(3), torch.tensor([True, False, True]))
    assert whole.tolist() == [False, False, True]
    assert made.starts[:3].tolist() == [1, 1, 0]
    assert made.failures[:3].tolist() == [1, 0, 0]
    assert made.metrics()["archive_failure_rate"] == 0.5


# How often an entry is drawn


def test_probabilities_by_hand() -> None:
    # rates (failures + 1) / (starts + 2): 1/2, 3/4, 1/4, 9/10; plus 1/4: 0.75, 1, 0.5, 1.15, together 3.4
    made = filled([(0, 0), (2, 2), (2, 0), (8, 8)])
    expected = torch.tensor([0.75, 1.0, 0.5, 1.15], dtype=torch.float64) / 3.4
    torch.testing.assert_close(made.probabilities(), expected, rtol=1e-12, atol=0.0)


@given(st.lists(st.integers(0, 10**6).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))), min_size=1))
def test_every_probability_is_within_the_bound_of_uniform(counts: list[tuple[int, int]]) -> None:
    p = filled(counts).probabilities()
    assert BOUND == 5.0
    assert p.sum().item() == pytest.approx(1.0, abs=1e-9)
    assert (p * len(counts) <= BOUND).all()
    assert (p * len(counts) >= 1.0 / BOUND).all()
    rate = torch.tensor([(failures + 1) / (starts + 2) for starts, failures in counts], dtype=torch.float64)
    order = rate.argsort()
    assert (p[order].diff() >= -1e-12).all()  # what fails more often is drawn more often


def test_entries_are_drawn_by_their_probabilities_and_new_episodes_by_the_rest() -> None:
    made = filled([(0, 0), (2, 2), (2, 0), (8, 8)], rows=20_000)
    fresh = FreshEpisodes(made.simulator, 20_000, torch.Generator().manual_seed(0))
    begun = made.draw(torch.arange(20_000), fresh)
    started = made.source >= 0
    assert started.double().mean().item() == pytest.approx(0.5, abs=0.02)
    frequency = torch.bincount(made.source[started], minlength=4) / started.sum()
    torch.testing.assert_close(frequency.double(), made.probabilities(), rtol=0.0, atol=0.02)
    assert torch.equal(begun.episodes.elapsed, made.source.clamp(min=0))  # entry k was saved at clock k
    assert torch.equal(begun.observation, made.simulator.observe(begun.episodes.state))


# In a sampler


def replayed(collecting: Sampler, rollouts: int) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]], int]:
    """Finished episodes from initial states, those reported, and starts from the archive."""
    expected, reported, starts = [], [], 0
    begun = [True] * E
    births: set[float] = set(collecting.roots.state.birth.tolist())
    totals, lengths = [0.0] * E, [0] * E
    for _ in range(rollouts):
        rollout, finished = collecting.collect()
        counted = 0
        reported += [*zip(finished.episode_return.tolist(), finished.length.tolist(), strict=True)]
        following = [*rollout.executed_observation[1:], collecting.root_observation]
        for t in range(T):
            for env in range(E):
                totals[env] += rollout.reward[t, env, 0].item()
                lengths[env] += 1
                if rollout.done[t, env, 0]:
                    if begun[env]:
                        expected.append((pytest.approx(totals[env], abs=1e-5), lengths[env]))
                    totals[env], lengths[env] = 0.0, 0
                    birth = following[t][env, 0].item()
                    begun[env] = birth not in births
                    births.add(birth)
                    counted += not begun[env]
        assert collecting.archive is not None
        assert collecting.archive.metrics()["archive_starts"] == counted
        starts += counted
    return expected, reported, starts


@pytest.mark.parametrize(("num_samples", "branch_length"), [(1, T), (N, T), (N, 4), (N, 1)])
def test_only_episodes_from_initial_states_are_reported(num_samples: int, branch_length: int) -> None:
    expected, reported, starts = replayed(sampler(num_samples, branch_length), rollouts=6)
    assert starts > 10
    assert len(reported) > 20
    assert sorted(reported) == sorted(expected, key=lambda row: (row[0].expected, row[1]))


def test_a_start_keeps_the_time_limit_of_its_episode() -> None:
    collecting = sampler()
    for _ in range(6):
        rollout, _ = collecting.collect()
        assert torch.equal(collecting.roots.elapsed, collecting.roots.state.age)
        age = rollout.executed_observation[..., 1]
        truncated = rollout.done[:, :, 0] & ~rollout.terminated[:, :, 0]
        assert torch.equal(truncated, (age == LIMIT - 1) & ~rollout.terminated[:, :, 0])


def test_starts_are_states_that_were_executed_before() -> None:
    collecting = sampler()
    met: set[tuple[float, ...]] = set()
    starts = 0
    for _ in range(6):
        rollout, _ = collecting.collect()
        seen, done = rollout.executed_observation, rollout.done[:, :, 0]
        for t in range(T):
            rows = seen[t].tolist()
            if t:
                started = [
                    tuple(row) for row, ended in zip(rows, done[t - 1].tolist(), strict=True) if ended and row[1]
                ]
                assert met.issuperset(started)
                starts += len(started)
            met |= set(map(tuple, rows))
    assert starts > 10


def test_before_its_first_start_the_archive_changes_no_bit() -> None:
    with_archive, without = sampler(), sampler(share=None)
    ours, theirs = with_archive.collect()[0], without.collect()[0]
    started = (ours.executed_observation[1:] != theirs.executed_observation[1:]).any(-1).any(-1).nonzero()
    first = int(started[0]) + 1 if len(started) else T
    assert first > 10
    for name in ("observation", "action", "reward", "log_prob"):
        assert torch.equal(getattr(ours, name)[:first], getattr(theirs, name)[:first])
    assert "archive" not in without.state_dict()


def test_siblings_change_no_bit_of_the_executed_path() -> None:
    def collect(num_samples: int, branch_length: int) -> list[tuple[Rollout, FinishedEpisodes]]:
        collecting = sampler(num_samples, branch_length)
        return [collecting.collect() for _ in range(4)]

    alone = collect(1, T)
    for num_samples, branch_length in ((4, 1), (4, 4), (4, T)):
        for (one, ended), (other, ended_too) in zip(alone, collect(num_samples, branch_length), strict=True):
            assert torch.equal(one.executed_observation, other.executed_observation)
            assert torch.equal(one.action[:, :, 0], other.action[:, :, 0])
            assert all(torch.equal(x, y) for x, y in zip(ended, ended_too, strict=True))


@pytest.mark.parametrize("branch_length", [1, 4, T])
def test_a_sampler_continues_bit_for_bit_from_its_saved_state(branch_length: int) -> None:
    first = sampler(N, branch_length)
    for _ in range(3):
        first.collect()
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    expected = [first.collect() for _ in range(3)]
    second = sampler(N, branch_length, seed=99)
    file.seek(0)
    second.load_state_dict(torch.load(file, weights_only=True))
    for (rollout, finished), (again, finished_again) in zip(
        expected, [second.collect() for _ in range(3)], strict=True
    ):
        assert all(torch.equal(x, y) for x, y in zip(rollout[:8], again[:8], strict=True))
        assert all(torch.equal(x, y) for x, y in zip(finished, finished_again, strict=True))
    assert first.archive is not None
    assert second.archive is not None
    assert first.archive.metrics() == second.archive.metrics()
    assert same(first.archive.entries, second.archive.entries)


def test_a_saved_state_stays_as_it_was_when_samplers_continue() -> None:
    first, second = sampler(), sampler(seed=99)
    for _ in range(3):
        first.collect()
    saved = first.state_dict()
    expected = first.collect()[0].executed_observation
    for _ in range(2):
        second.load_state_dict(saved)
        assert torch.equal(second.collect()[0].executed_observation, expected)


def test_a_rollout_that_failed_leaves_the_archive_as_it_was() -> None:
    failing, whole = sampler(), sampler()
    for collecting in (failing, whole):
        for _ in range(3):
            collecting.collect()
    assert isinstance(failing.simulator, Failing)
    failing.simulator.fails_at = len(failing.simulator.seen) + T - 1
    with pytest.raises(RolloutFailedError, match="the engine stopped"):
        failing.collect()
    failing.simulator.fails_at = -1
    for _ in range(3):
        ours, theirs = failing.collect()[0], whole.collect()[0]
        assert torch.equal(ours.executed_observation, theirs.executed_observation)
