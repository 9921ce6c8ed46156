"""The sampler, step by step, on a simulator whose observation is its whole state."""

from __future__ import annotations

import io
from typing import Any

import pytest
import torch
from support.analytic_envs import fresh_policy
from support.replay_env import TIME_LIMIT, Ledger, spelled_out_critic
from torch import Tensor

import robots
from hgrpo_control.algorithms.rollout import FinishedEpisodes, Rollout
from hgrpo_control.sampling.sampler import Sampler
from policies.normalizer import ObservationNormalizer

E, N, T = 6, 3, 8
BRANCHES = pytest.mark.parametrize("branch_length", [1, 4, T])


def sampler(simulator: Any, num_samples: int = N, branch_length: int = T, **options: Any) -> Sampler:
    settings = {"num_envs": E, "rollout_steps": T, "seed": 3} | options
    return Sampler(
        simulator, spelled_out_critic(simulator), num_samples=num_samples, branch_length=branch_length, **settings
    )


def seen_by(rollout: Rollout) -> Tensor:
    """(T, E, N, O) what each sample saw, shared or not."""
    return rollout.observation.expand(*rollout.done.shape, -1)


def following(rollout: Rollout) -> Tensor:
    """(T, E, N, O) the observation that each step leads to, before any restart; the reward is the action taken."""
    birth, age, total = seen_by(rollout).unbind(-1)
    return torch.stack((birth, age + 1.0, total + rollout.reward), dim=-1)


@BRANCHES
def test_shapes(branch_length: int) -> None:
    rollout, _ = sampler(Ledger(), branch_length=branch_length).collect()
    shared = 1 if branch_length == 1 else N
    assert rollout.value is not None
    assert rollout.next_value is not None
    assert rollout.observation.shape == (T, E, shared, 3)
    assert rollout.value.shape == (T, E, shared)
    assert rollout.action.shape == (T, E, N, 1)
    per_sample = (rollout.log_prob, rollout.reward, rollout.next_value, rollout.terminated, rollout.done)
    assert {x.shape for x in per_sample} == {(T, E, N)}
    assert torch.equal(rollout.executed_observation, rollout.observation[:, :, 0])
    assert rollout.branch_length == branch_length


@BRANCHES
@pytest.mark.parametrize("num_samples", [1, N])
def test_counters(branch_length: int, num_samples: int) -> None:
    ledger = Ledger()
    rollout, _ = sampler(ledger, num_samples, branch_length).collect()
    assert rollout.executed_steps == T * E
    assert rollout.simulator_steps == T * E * num_samples
    assert sum(len(action) for _, action in ledger.seen) == rollout.simulator_steps


@BRANCHES
def test_branches_start_in_exactly_the_roots_state(branch_length: int) -> None:
    ledger = Ledger()
    collecting = sampler(ledger, branch_length=branch_length)
    for _ in range(2):
        ledger.seen.clear()
        roots = collecting.roots.state
        rollout, _ = collecting.collect()
        for start in range(0, T, branch_length):
            state, _ = ledger.seen[start]
            by_sample = [tuple(x.view(E, N)[:, i].tolist() for x in state) for i in range(N)]
            assert by_sample == [by_sample[0]] * N
            assert torch.equal(seen_by(rollout)[start, :, 0], ledger.observe(state)[::N])
        assert torch.equal(rollout.executed_observation[0], ledger.observe(roots))


@BRANCHES
def test_every_step_follows_from_the_one_before_or_begins_a_new_episode(branch_length: int) -> None:
    collecting = sampler(Ledger(), branch_length=branch_length)
    restarts = 0
    for _ in range(3):
        rollout, _ = collecting.collect()
        seen, after = seen_by(rollout), following(rollout)
        assert torch.equal(rollout.reward, collecting.policy.to_environment(rollout.action)[..., 0])
        assert torch.equal(rollout.terminated, rollout.reward > 0.6)
        assert torch.equal(rollout.done, rollout.terminated | (after[..., 1] == TIME_LIMIT))
        for t in range(T - 1):
            done, went_on = rollout.done[t], seen[t + 1]
            expected = after[t]
            if (t + 1) % branch_length == 0:  # every sample goes on from where the executed one ended
                done, expected = done[:, :1].expand(E, N), expected[:, :1].expand(E, N, 3)
            assert torch.equal(went_on[~done], expected[~done])
            assert not went_on[done][:, 1:].any()
            assert not (went_on[done][:, 0] == expected[done][:, 0]).any()
            restarts += int(done.sum())
    assert restarts > 50


@BRANCHES
def test_every_step_bootstraps_the_observation_it_led_to(branch_length: int) -> None:
    rollout, _ = sampler(Ledger(), branch_length=branch_length).collect()
    assert rollout.value is not None
    assert rollout.next_value is not None
    coefficients = torch.tensor([1.0, 10.0, 100.0])
    torch.testing.assert_close(rollout.value, rollout.observation @ coefficients)
    counts = ~rollout.terminated
    expected = following(rollout) @ coefficients
    torch.testing.assert_close(rollout.next_value[counts], expected[counts], atol=1e-4, rtol=1e-5)
    truncated = rollout.done & counts
    assert truncated[:-1].any()  # in the middle too, where the next observation is already another episode's


@BRANCHES
def test_log_density_is_that_of_the_unclipped_action_and_the_simulator_gets_the_clipped_one(branch_length: int) -> None:
    ledger = Ledger()
    policy = fresh_policy(ledger, init_sigma=1.0)
    rollout, _ = Sampler(ledger, policy, E, N, branch_length, T, seed=0).collect()
    assert (rollout.action.abs() > 1.0).any()
    assert len(rollout.action.unique()) == T * E * N  # nobody draws what another one drew
    expected = torch.distributions.Normal(policy.mean(seen_by(rollout)), policy.sigma).log_prob(rollout.action)
    torch.testing.assert_close(rollout.log_prob, expected.sum(-1))
    sent = torch.stack([action for _, action in ledger.seen]).view(T, E, N, 1)
    torch.testing.assert_close(sent, rollout.action.clamp(-1.0, 1.0))


@pytest.mark.parametrize(("task", "episodes"), [("ledger", 50), ("quadrotor-hover", 3)])
def test_branching_changes_no_bit_of_the_executed_trajectory(task: str, episodes: int) -> None:
    steps = 32

    def collect(num_samples: int, branch_length: int) -> list[tuple[Rollout, FinishedEpisodes]]:
        simulator = Ledger() if task == "ledger" else robots.make(task)
        policy = fresh_policy(simulator, (16,))
        if task == "quadrotor-hover":
            torch.nn.init.constant_(policy.actor[-1].bias, -1.0)  # rotors off: it falls to the ground
        collecting = Sampler(simulator, policy, 5, num_samples, branch_length, steps, seed=1)
        return [collecting.collect() for _ in range(3)]

    alone = collect(num_samples=1, branch_length=steps)
    assert sum(len(finished.length) for _, finished in alone) >= episodes
    for num_samples, branch_length in ((4, 1), (4, 4), (4, steps), (1, 4)):
        for (one, ended), (other, ended_too) in zip(alone, collect(num_samples, branch_length), strict=True):
            for name in ("action", "log_prob", "reward", "terminated", "done"):
                assert torch.equal(getattr(one, name)[:, :, 0], getattr(other, name)[:, :, 0]), name
            assert torch.equal(one.executed_observation, other.executed_observation)
            assert all(torch.equal(x, y) for x, y in zip(ended, ended_too, strict=True))


def test_a_normaliser_fed_with_executed_observations_does_not_notice_the_siblings() -> None:
    normalizers = []
    for num_samples, branch_length in ((1, T), (4, T), (4, 1)):
        normalizers.append(ObservationNormalizer(3))
        rollout, _ = sampler(Ledger(), num_samples, branch_length).collect()
        normalizers[-1].update(rollout.executed_observation)
    for other in normalizers[1:]:
        assert all(torch.equal(x, y) for x, y in zip(normalizers[0].buffers(), other.buffers(), strict=True))
    assert normalizers[0].count.item() == T * E


@pytest.mark.parametrize(("num_samples", "branch_length"), [(1, T), (N, T), (N, 4), (N, 1)])
def test_every_executed_episode_is_reported_once(num_samples: int, branch_length: int) -> None:
    collecting = sampler(Ledger(), num_samples, branch_length)
    collected = [collecting.collect() for _ in range(4)]
    expected = []
    for env in range(E):
        episode_return, length = 0.0, 0
        for rollout, _ in collected:
            for t in range(T):
                episode_return += rollout.reward[t, env, 0].item()
                length += 1
                if rollout.done[t, env, 0]:
                    success = following(rollout)[t, env, 0, 2].item() > 0.0  # also where the episode ended for good
                    expected.append((pytest.approx(episode_return, abs=1e-6), length, success))
                    episode_return, length = 0.0, 0
    reported = [row for _, finished in collected for row in zip(*(x.tolist() for x in finished), strict=True)]
    assert len(reported) > 30
    assert {success for _, _, success in reported} == {True, False}
    by_return = sorted(reported)
    assert by_return == sorted(expected, key=lambda row: row[0].expected)


@pytest.mark.parametrize("initial_states", [False, True])
@pytest.mark.parametrize("branch_length", [1, 4])
def test_a_sampler_goes_on_bit_for_bit_from_its_saved_state(branch_length: int, initial_states: bool) -> None:
    first = sampler(Ledger(), branch_length=branch_length, initial_states=initial_states)
    first.collect()
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    expected = [first.collect() for _ in range(2)]
    second = sampler(Ledger(), branch_length=branch_length, initial_states=initial_states, seed=99)
    file.seek(0)
    second.load_state_dict(torch.load(file, weights_only=True))
    for (rollout, finished), (again, finished_again) in zip(
        expected, [second.collect() for _ in range(2)], strict=True
    ):
        assert all(torch.equal(x, y) for x, y in zip(rollout[:8], again[:8], strict=True))
        assert all(torch.equal(x, y) for x, y in zip(finished, finished_again, strict=True))


def test_a_saved_state_stays_as_it_was_when_samplers_go_on() -> None:
    first, second = sampler(Ledger()), sampler(Ledger(), seed=99)
    first.collect()
    saved = first.state_dict()
    expected = first.collect()[1].episode_return
    second.load_state_dict(saved)
    assert torch.equal(second.collect()[1].episode_return, expected)
    second.load_state_dict(saved)
    assert torch.equal(second.collect()[1].episode_return, expected)


def test_one_forward_pass_serves_all_samples_of_one_step_branches(monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = Ledger()
    policy = fresh_policy(ledger)
    rows: list[int] = []
    forward = policy.actor[0].forward

    def counted(x: Tensor) -> Tensor:
        rows.append(len(x))
        return forward(x)

    monkeypatch.setattr(policy.actor[0], "forward", counted)
    Sampler(ledger, policy, E, N, 1, T, seed=0).collect()
    assert rows == [E] * T


def test_a_policy_without_critic_gives_a_rollout_without_values() -> None:
    ledger = Ledger()
    rollout, _ = Sampler(ledger, fresh_policy(ledger, critic=False), E, N, 4, T, seed=0).collect()
    assert rollout.value is None
    assert rollout.next_value is None


# Groups that start in initial states


@BRANCHES
def test_every_group_starts_in_one_fresh_initial_state(branch_length: int) -> None:
    ledger = Ledger()
    collecting = sampler(ledger, branch_length=branch_length, initial_states=True)
    births: list[float] = []
    for _ in range(2):
        ledger.seen.clear()
        rollout, _ = collecting.collect()
        for start in range(0, T, branch_length):
            state, _ = ledger.seen[start]
            assert not state.age.any()
            assert not state.total.any()
            by_sample = state.birth.view(E, N)
            assert torch.equal(by_sample, by_sample[:, :1].expand(E, N))
            assert torch.equal(seen_by(rollout)[start, :, 0], ledger.observe(state)[::N])
            births += by_sample[:, 0].tolist()
    assert len(set(births)) == len(births) == 2 * (T // branch_length) * E


@pytest.mark.parametrize("branch_length", [2, 4, T])
def test_inside_a_branch_initial_states_change_nothing(branch_length: int) -> None:
    rollout, _ = sampler(Ledger(), branch_length=branch_length, initial_states=True).collect()
    seen, after = seen_by(rollout), following(rollout)
    for t in (t for t in range(T - 1) if (t + 1) % branch_length):
        went_on = ~rollout.done[t]
        assert torch.equal(seen[t + 1][went_on], after[t][went_on])


def test_an_episode_that_its_branch_cuts_is_not_finished() -> None:
    # 4 of at most 5 steps: only episodes that end for good in their branch are finished, each with its own return
    collecting = sampler(Ledger(), branch_length=4, initial_states=True)
    expected, reported = [], []
    for _ in range(4):
        rollout, finished = collecting.collect()
        reported += [*zip(finished.episode_return.tolist(), finished.length.tolist(), strict=True)]
        for env, start in ((env, start) for env in range(E) for start in range(0, T, 4)):
            episode_return, length = 0.0, 0
            for t in range(start, start + 4):
                episode_return, length = episode_return + rollout.reward[t, env, 0].item(), length + 1
                if rollout.done[t, env, 0]:
                    expected.append((pytest.approx(episode_return, abs=1e-6), length))
                    episode_return, length = 0.0, 0
    assert len(reported) > 10
    assert sorted(reported) == sorted(expected, key=lambda row: row[0].expected)


def test_initial_states_and_all_that_follows_depend_on_the_seed_alone() -> None:
    def collect(num_samples: int, seed: int) -> list[Tensor]:
        collecting = sampler(Ledger(), num_samples, 4, initial_states=True, seed=seed)
        return [collecting.collect()[0].executed_observation for _ in range(2)]

    first = collect(N, seed=3)
    assert all(torch.equal(x, y) for x, y in zip(first, collect(N, seed=3), strict=True))
    assert all(torch.equal(x, y) for x, y in zip(first, collect(1, seed=3), strict=True))  # nor on the siblings
    assert not torch.equal(first[0], collect(N, seed=4)[0])


def test_branches_that_do_not_fill_the_rollout_are_refused() -> None:
    with pytest.raises(ValueError, match="branch_length 3 does not divide rollout_steps 8"):
        sampler(Ledger(), branch_length=3)
