"""The gradient of a recurrent policy goes through time, as far as the run's sequences do."""

from __future__ import annotations

import pytest
import torch
from support.analytic_envs import ScalarLQR
from support.finite_differences import by_parameters
from torch import Tensor

from hgrpo_control.algorithms.batch import Batch
from hgrpo_control.algorithms.rollout import Rollout
from hgrpo_control.config.algorithms import PPO
from hgrpo_control.config.learning import Learning, Network
from hgrpo_control.config.run import Config
from hgrpo_control.diagnose.estimators import monte_carlo
from hgrpo_control.diagnose.fixed_roots import first_steps, on_policy_states, rollouts
from hgrpo_control.diagnose.measurement import Row, diagnose
from hgrpo_control.diagnose.policy_gradient import actor_parameters, along_paths, gradient
from hgrpo_control.diagnose.settings import DiagnoseSettings
from hgrpo_control.training.simulation import policy_spec
from policies import gaussian
from policies.actor_critic import ActorCritic

STEPS, ROOTS, SAMPLES = 5, 2, 3
NETWORK = Network(hidden_sizes=(4,), memory="gru", memory_size=3)


@pytest.fixture
def recurrent() -> ActorCritic:
    spec = policy_spec(ScalarLQR(0.9, 20.0, 100).spec, NETWORK, True)
    return ActorCritic(spec, 0.4, torch.Generator().manual_seed(0))


def drawn(policy: ActorCritic) -> Rollout:
    """Branches of STEPS + 2 steps; the second root is within an episode, so its memory is not zero."""
    simulator = ScalarLQR(0.9, 20.0, 100)
    roots = on_policy_states(simulator, policy, ROOTS, 0)
    (rollout,) = rollouts(simulator, policy, roots, SAMPLES, STEPS + 2, STEPS + 2, 1, 0)
    return rollout


def in_double(batch: Batch) -> Batch:
    return Batch(*(c.double() if isinstance(c, Tensor) and c.is_floating_point() else c for c in batch))


def surrogate_by_steps(policy: ActorCritic, batch: Batch) -> float:
    """mean(A log pi) with the memory computed anew, step by step, from what is stored at a restart."""
    assert batch.memory is not None
    assert batch.restart is not None
    stored, total = batch.memory[:, : policy.spec.memory_width], 0.0
    features = policy.actor_features()(batch.observation)
    state = stored[0]
    for row, begins in enumerate(batch.restart.tolist()):
        state = stored[row] if begins else state
        mean, state = policy.actor(features[row], state)
        log_prob = gaussian.log_density(batch.action[row], mean.unsqueeze(0), policy.sigma)
        total += (batch.advantage[row] * log_prob).sum().item()
    return total / batch.advantage.numel()


@pytest.mark.parametrize("sequence_steps", [None, 2])
def test_it_is_uphill_by_finite_differences(recurrent: ActorCritic, sequence_steps: int | None) -> None:
    rollout = drawn(recurrent)
    batch = monte_carlo(rollout, PPO(gamma=0.9), STEPS)
    batch = in_double(along_paths(batch, first_steps(rollout, STEPS), recurrent, sequence_steps))
    assert batch.restart is not None
    begins = batch.restart.view(-1, STEPS).any(0).nonzero().flatten().tolist()
    assert begins == list(range(0, STEPS, sequence_steps or STEPS))
    policy = recurrent.double()
    uphill = by_parameters(actor_parameters(policy), lambda: surrogate_by_steps(policy, batch), 1e-5)
    torch.testing.assert_close(gradient(policy, batch), uphill, rtol=1e-4, atol=1e-7)


def test_sequences_of_one_step_take_the_memory_as_it_is(recurrent: ActorCritic) -> None:
    rollout = drawn(recurrent)
    plain = monte_carlo(rollout, PPO(gamma=0.9), STEPS)
    one_by_one = along_paths(plain, first_steps(rollout, STEPS), recurrent, 1)
    torch.testing.assert_close(gradient(recurrent, one_by_one), gradient(recurrent, plain), rtol=1e-4, atol=1e-6)
    through_time = along_paths(plain, first_steps(rollout, STEPS), recurrent)
    assert (gradient(recurrent, through_time) - gradient(recurrent, plain)).norm() > 1e-3


def test_siblings_of_one_step_follow_the_executed_path(recurrent: ActorCritic) -> None:
    simulator = ScalarLQR(0.9, 20.0, 100)
    roots = on_policy_states(simulator, recurrent, ROOTS, 0)
    (rollout,) = rollouts(simulator, recurrent, roots, SAMPLES, 1, STEPS, 1, 0)
    batch = along_paths(monte_carlo(rollout, PPO(gamma=0.9), STEPS), rollout, recurrent)
    assert batch.action.shape[:2] == (ROOTS * STEPS, SAMPLES)
    assert batch.restart is not None
    assert batch.restart.sum() == ROOTS


def own_row(policy: ActorCritic, sequence_steps: int | None) -> tuple[Row, Row]:
    """The run's own row and PPO's, whose lambda is that of the run."""
    learning = Learning(sequence_steps=sequence_steps, num_minibatches=1)
    run = Config("scalar-lqr", PPO(gamma=0.9, gae_lambda=1.0), rollout_steps=4, network=NETWORK, learning=learning)
    settings = DiagnoseSettings(
        roots=8, steps=4, samples=(2,), branch_steps=(4,), lambdas=(1.0,), budget=2**9, reference_branches=32, horizon=4
    )
    diagnosis = diagnose(policy, ScalarLQR(0.9, 20.0, 100), run, settings, lambda done, total: None)
    assert diagnosis.own is not None
    assert all(row.measurement.variance.value > 0.0 for row in diagnosis.rows)
    (ppo,) = (row for row in diagnosis.rows if row.estimator.name == "PPO")
    return diagnosis.own, ppo


def test_a_run_is_measured_with_the_sequences_that_it_learns(recurrent: ActorCritic) -> None:
    own, ppo = own_row(recurrent, None)
    assert own.measurement == ppo.measurement
    cut, ppo = own_row(recurrent, 2)
    assert cut.measurement != ppo.measurement
