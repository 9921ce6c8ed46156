"""Variance and bias of each estimator's policy gradient at one checkpoint.

Every sample at step t of any branch is on-policy from the roots, so all of PPO, GRPO and Hybrid GRPO estimate the same
vector on rollouts of T steps from the same E roots, g* = (1 / T) sum_t E[grad log pi(a_t|s_t) A^pi(s_t, a_t)].
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from hgrpo_control.config.run import Config
from hgrpo_control.diagnose.estimators import (
    Estimator,
    estimators,
    monte_carlo,
    own_estimator,
)
from hgrpo_control.diagnose.fixed_roots import first_steps, on_policy_states, rollouts
from hgrpo_control.diagnose.gradient_statistics import (
    Estimate,
    Measurement,
    jackknife_error,
    moments,
    summarise,
)
from hgrpo_control.diagnose.mix import slope_obstacle
from hgrpo_control.diagnose.policy_gradient import along_paths, gradient
from hgrpo_control.diagnose.replicates import draw_gradients, pilots, with_best_shares, with_transformed_rewards
from hgrpo_control.diagnose.settings import REFERENCE_ROLLOUTS, DiagnoseSettings
from hgrpo_control.evaluation.evaluate import require_same_interface
from hgrpo_control.rewards.transform import RewardTransform
from hgrpo_control.sampling.proposals import GuidedProposals
from policies.actor_critic import ActorCritic
from robots.episodes import Episodes
from robots.simulator import Simulator

Progress = Callable[[int, int], None]
"""Told how many simulator steps have been taken, and how many there will be."""


class Row(NamedTuple):
    """One estimator and what was measured of it."""

    estimator: Estimator
    measurement: Measurement

    @property
    def equal_steps(self) -> Estimate:
        """Noise-to-signal ratio for as many simulator steps as one replicate of PPO takes.

        It is N times that of a replicate, since the variance of a mean of independent replicates falls as 1 / number.
        """
        ratio, cost = self.measurement.noise_to_signal, self.estimator.num_samples
        return Estimate(cost * ratio.value, cost * ratio.error)


class Reference(NamedTuple):
    """The gradient that estimators are compared with."""

    gradients: Tensor
    """(S, P) independent estimates of g*."""
    horizon: int
    """H, steps simulated beyond T."""
    remainder: float
    """gamma^H, weight of what was not simulated."""

    @property
    def squared_norm(self) -> Estimate:
        """|g*|^2."""
        full, left_out, _ = moments(self.gradients, self.gradients)
        return Estimate(full.signal.item(), jackknife_error([left_out.signal]))

    @property
    def relative_error(self) -> float:
        """Root mean square error of the mean over |g*|; NaN for a negative |g*|^2."""
        full, *_ = moments(self.gradients, self.gradients)
        return (full.noise / len(self.gradients) / full.signal).sqrt().item()


class Diagnosis(NamedTuple):
    """All results of `diagnose`."""

    settings: DiagnoseSettings
    critic: bool
    """Whether the policy has one."""
    reference: Reference
    update_steps: int
    """Simulator steps of one of the run's updates, the batch size of `error_left`."""
    rows: list[Row]
    """Of the settings' estimators."""
    own: Row | None = None
    """Of the run's own."""
    slope_obstacle: str = ""
    """Why the settings' slopes were left out; empty where they were not."""

    @property
    def every_row(self) -> list[Row]:
        """The run's own row first."""
        return [*(() if self.own is None else (self.own,)), *self.rows]


def diagnose(
    policy: ActorCritic,
    simulator: Simulator,
    run: Config,
    settings: DiagnoseSettings,
    progress: Progress,
    transform: RewardTransform | None = None,
    proposals: GuidedProposals | None = None,
) -> Diagnosis:
    """Variance and bias of the run's own estimator and of every one of the settings.

    A policy without critic is measured with GRPO's estimators alone.

    Args:
        policy: Of a checkpoint.
        simulator: Of the run's task.
        run: Settings of the run.
        settings: What is measured.
        progress: Called with the simulator steps taken and their total.
        transform: The run's f(R) with its statistics; None takes rewards as they are.
        proposals: Guide the first actions of the run's own samples, as in the run.

    Raises ConfigError for settings that do not fit the run, PolicyMismatchError for a policy of another task and
    NotFiniteError if something that is simulated is not finite.
    """
    require_same_interface(policy, simulator)
    sigma, critic = policy.sigma.detach(), policy.critic is not None
    obstacle = slope_obstacle(simulator.spec, run.algorithm, max((1, *settings.branch_steps)))
    shared = estimators(settings, run.algorithm, critic, None if obstacle else sigma)
    own = own_estimator(settings, run, sigma)
    horizon = settings.horizon_for(run.algorithm.gamma, simulator.spec.max_episode_steps)
    tally = _Tally(_total_steps(settings, horizon, [[own], *shared]), progress)
    roots = on_policy_states(simulator, policy, settings.roots, settings.seed)
    reference = draw_reference(policy, simulator, roots, run, settings, horizon, tally, transform)
    rows: list[Row] = []
    for chosen in ([own], *shared):
        guide, sequence_steps = (proposals, run.sequence_steps) if chosen[0] is own else (None, None)
        members = with_best_shares(policy, simulator, roots, chosen, run, settings, tally)
        drawn = draw_gradients(
            policy, simulator, roots, members, run, settings, tally, transform, guide, sequence_steps
        )
        passes = run.steps_per_iteration / (settings.steps * settings.roots * members[0].num_samples)
        rows += [Row(member, summarise(drawn[:, k], reference.gradients, passes)) for k, member in enumerate(members)]
    return Diagnosis(settings, critic, reference, run.steps_per_iteration, rows[1:], rows[0], obstacle)


def draw_reference(
    policy: ActorCritic,
    simulator: Simulator,
    roots: Episodes,
    run: Config,
    settings: DiagnoseSettings,
    horizon: int,
    tally: Callable[[int], None],
    transform: RewardTransform | None = None,
) -> Reference:
    """Gradients of the first T steps of branches of T + H steps.

    Args:
        policy: Of a checkpoint.
        simulator: Of the run's task.
        roots: E states.
        run: Has gamma.
        settings: T and the number of branches.
        horizon: H.
        tally: Called with the simulator steps of every rollout.
        transform: f(R); None takes rewards as they are.
    """
    siblings = settings.reference_branches // REFERENCE_ROLLOUTS
    length = settings.steps + horizon
    found = []
    drawn = rollouts(simulator, policy, roots, siblings, length, length, REFERENCE_ROLLOUTS, settings.seed)
    for rollout in with_transformed_rewards(drawn, transform):
        batch = monte_carlo(rollout, run.algorithm, settings.steps)
        found.append(gradient(policy, along_paths(batch, first_steps(rollout, settings.steps), policy)))
        tally(rollout.simulator_steps)
    return Reference(torch.stack(found), horizon, run.algorithm.gamma**horizon)


class _Tally:
    """Counts simulator steps and reports the sum."""

    def __init__(self, total: int, progress: Progress) -> None:
        self.done, self.total, self.progress = 0, total, progress

    def __call__(self, steps: int) -> None:
        self.done += steps
        self.progress(self.done, self.total)


def _total_steps(settings: DiagnoseSettings, horizon: int, shared: list[list[Estimator]]) -> int:
    total = (settings.steps + horizon) * settings.roots * settings.reference_branches
    for members in shared:
        samples = members[0].num_samples
        number = settings.replicates(samples) + pilots(settings, members)
        total += number * settings.steps * settings.roots * samples
    return total
