"""GRPO: returns of N branches from one state, compared without a critic (eq. 5-9).

GRPO prefers the better of several branches from one state, over the horizon of a branch. It cannot see what happens
after a branch's n steps, since no value function stands in for the rest.
"""

from __future__ import annotations

from hgrpo_control.algorithms import group_advantages
from hgrpo_control.algorithms.batch import Batch, flatten
from hgrpo_control.algorithms.rollout import Rollout
from hgrpo_control.config.algorithms import GRPO
from hgrpo_control.ranks.ranks import ALONE, Ranks


def make_batch(rollout: Rollout, config: GRPO, ranks: Ranks = ALONE) -> Batch:
    """Rollout to batch by the chosen comparison.

    By default every step of a branch's first episode gets the z-score of the branch's discounted return. Raises
    ValueError for N = 1.
    """
    # (T, E, N) -> (n, K, E, N) and back: steps of a branch first, the K branches of a rollout side by side
    by_step, done, terminated = (
        x.unflatten(0, (-1, rollout.branch_length)).transpose(0, 1)
        for x in (rollout.reward, rollout.done, rollout.terminated)
    )
    options = (config.scale, config.baseline, config.credit, config.drop_zero_variance)
    compared = group_advantages.grpo(by_step, done, terminated, config.gamma, *options, ranks=ranks)
    advantage, weight = (x.transpose(0, 1).flatten(0, 1) for x in compared)
    return flatten(rollout, advantage, weight, value_target=None)
