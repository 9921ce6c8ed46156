"""The estimators that `hgrpo diagnose` compares, each a function of one rollout."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from hgrpo_control import algorithms
from hgrpo_control.algorithms import advantages
from hgrpo_control.algorithms.batch import Batch, flatten
from hgrpo_control.algorithms.rollout import Rollout
from hgrpo_control.config.algorithms import GRPO, PPO, Algorithm, HybridGRPO
from hgrpo_control.config.divisors import divisors
from hgrpo_control.config.pathwise import PathwiseSettings
from hgrpo_control.config.run import Config
from hgrpo_control.diagnose.fixed_roots import first_steps
from hgrpo_control.diagnose.mix import Mix
from hgrpo_control.diagnose.settings import DiagnoseSettings

HYBRID_ESTIMATORS = ("paper", "per_sample", "group", "group_shrunk")
THIS_RUN = "This run"
SLOPE, MIX_AUTO = "Slope", "Mix auto"
_IN_COLUMNS = ("gamma", "gae_lambda", "num_samples", "branch_steps")  # gamma is that of all estimators


class Estimator(NamedTuple):
    """An estimator of advantages from N samples in branches of n steps."""

    name: str
    num_samples: int
    branch_length: int
    gae_lambda: float | None
    """None where the estimator has no lambda."""
    read: Callable[[Rollout], Batch]
    note: str = ""
    """What name and numbers leave out."""

    @property
    def mix(self) -> Mix | None:
        """How slopes are used; None for an estimator without them."""
        return self.read if isinstance(self.read, Mix) else None

    @property
    def mean_share(self) -> float | None:
        """alpha, averaged over the steps of a branch and the entries of an action; None without slopes."""
        share = None if self.mix is None else self.mix.share
        return share.mean().item() if isinstance(share, Tensor) else share


def estimators(
    settings: DiagnoseSettings, run: Algorithm, critic: bool, slopes_of: Tensor | None = None
) -> list[list[Estimator]]:
    """Every estimator of the settings, with the run's gamma; those of one list share rollouts.

    The reward of the rollouts must already be f(R).

    Args:
        settings: Which estimators.
        run: Settings of the run's algorithm.
        critic: Whether the policy has one; without it only GRPO's estimators are left.
        slopes_of: (A,) sigma of the policy whose slopes are recorded; None leaves out slopes.
    """
    own_lambda = getattr(run, "gae_lambda", 1.0) if settings.gae_lambda is None else settings.gae_lambda
    shared = []
    if critic and settings.lambdas:
        shared.append([_ppo(run, value, settings.steps) for value in dict.fromkeys(settings.lambdas)])
    for steps in dict.fromkeys(settings.branch_steps):
        for samples in dict.fromkeys(settings.samples):
            members = _grpo(run, samples, steps) if samples > 1 else []
            if critic:
                kinds = HYBRID_ESTIMATORS if samples > 1 else ("per_sample",)
                members += [_hybrid(run, kind, samples, steps, own_lambda) for kind in kinds]
            if critic and slopes_of is not None:
                score = _hybrid(run, "group" if samples > 1 else "per_sample", samples, steps, own_lambda)
                members += [
                    _mixed(score, share, slopes_of) for share in dict.fromkeys(settings.shares) if share != "off"
                ]
            if members:
                shared.append(members)
    return shared


def own_estimator(settings: DiagnoseSettings, run: Config, sigma: Tensor) -> Estimator:
    """The run's algorithm with all of its options, for rollouts of f(R).

    Its branches are as long as those rollouts where they are longer, and the next shorter length that divides them
    where their own does not. A run whose branch is its rollout is measured on whole rollouts, too, unless it follows
    slopes, which end with a branch: its branches keep their length.

    Args:
        settings: Has the length of the rollouts.
        run: Settings of the run.
        sigma: (A,) of the policy.
    """
    algorithm, steps = run.algorithm, settings.steps
    wanted = run.branch_length if algorithm.uses_slopes else algorithm.branch_length(steps)
    length = max(n for n in divisors(steps) if n <= wanted)
    options = {f.name: (getattr(algorithm, f.name), f.default) for f in fields(algorithm) if f.name not in _IN_COLUMNS}
    given = [f"{name} {value}" for name, (value, default) in options.items() if value != default or name == "estimator"]
    note = ", ".join((run.algorithm_name, *given))
    if length != wanted:
        measured = f"cut at {steps}" if wanted > steps else f"measured with {length}, which divides {steps}"
        note += f"; its branches have {wanted} steps and are {measured} (--steps)"
    own_lambda = getattr(algorithm, "gae_lambda", None)
    read = partial(algorithms.make_batch, algorithm=algorithm)
    own = Estimator(THIS_RUN, algorithm.num_samples, length, own_lambda, read, note)
    return own._replace(read=Mix(read, sigma, algorithm.fixed_share)) if algorithm.uses_slopes else own


def monte_carlo(rollout: Rollout, run: Algorithm, steps: int) -> Batch:
    """The unbiased estimate of a rollout's first steps, from one long branch.

    A = return to the end of the rollout - V - leave-one-out mean of the same over the siblings at that step. With a
    critic the end of the rollout is bootstrapped; without one V = 0 throughout.

    Args:
        rollout: Of f(R), in branches as long as itself.
        run: Has gamma; lambda is 1.
        steps: Number of first steps in the batch.
    """
    value, next_value = rollout.value, rollout.next_value
    if value is None or next_value is None:
        value = next_value = torch.zeros_like(rollout.reward)
    delta = advantages.td_error(rollout.reward, value, next_value, rollout.terminated, run.gamma)
    estimate = advantages.hybrid(delta, value, rollout.done, run.gamma, 1.0, rollout.branch_length, "group")
    advantage = estimate.advantage[:steps]
    kept = first_steps(rollout, steps)
    return flatten(kept, advantage, torch.ones_like(advantage), value_target=None)


def _mixed(score: Estimator, share: str, sigma: Tensor) -> Estimator:
    """A mix of slopes and a score, by a share as `--pathwise` has it."""
    fixed = PathwiseSettings(pathwise=share).fixed_share
    name = MIX_AUTO if fixed is None else SLOPE if fixed == 1.0 else f"Mix {fixed:g}"
    used = None if name == SLOPE else score.gae_lambda
    return score._replace(name=name, gae_lambda=used, read=Mix(score.read, sigma, fixed))


def _ppo(run: Algorithm, gae_lambda: float, steps: int) -> Estimator:
    algorithm = PPO(gamma=run.gamma, gae_lambda=gae_lambda)
    return Estimator("PPO", 1, steps, gae_lambda, partial(algorithms.make_batch, algorithm=algorithm))


def _grpo(run: Algorithm, samples: int, steps: int) -> list[Estimator]:
    scored = GRPO(gamma=run.gamma, num_samples=samples, branch_steps=steps)
    unscaled = replace(scored, scale="none")
    return [
        Estimator("GRPO", samples, steps, None, partial(algorithms.make_batch, algorithm=scored)),
        Estimator("GRPO unscaled", samples, steps, None, partial(algorithms.make_batch, algorithm=unscaled)),
    ]


def _hybrid(run: Algorithm, kind: str, samples: int, steps: int, gae_lambda: float) -> Estimator:
    own = 1.0 if kind == "paper" else gae_lambda
    algorithm = HybridGRPO(
        gamma=run.gamma,
        gae_lambda=own,
        num_samples=samples,
        branch_steps=steps,
        estimator=kind,  # type: ignore[arg-type]
    )
    return Estimator(f"Hybrid {kind}", samples, steps, own, partial(algorithms.make_batch, algorithm=algorithm))
