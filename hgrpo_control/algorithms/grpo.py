"""GRPO: no critic; the returns of N branches from one state are compared with each other (paper eq. 5-9).

What it can do: prefer the better of several branches from the same state, over the horizon of a branch. What it cannot
do, by its definition: see anything that a branch's n steps do not show, since no value function stands in for the rest.
"""

from __future__ import annotations

from hgrpo_control.algorithms import group_advantages
from hgrpo_control.algorithms.batch import Batch, flatten
from hgrpo_control.algorithms.rollout import Rollout
from hgrpo_control.config.algorithms import GRPO


def batch(rollout: Rollout, config: GRPO) -> Batch:
    """Rollout to batch by the chosen comparison; unless told otherwise, every step of a branch's first episode gets the
    z-score of the branch's discounted return.

    Raises ValueError for N = 1.
    """
    # (T, E, N) -> (n, K, E, N) and back: steps of a branch first, the K branches of a rollout side by side
    by_step, done, terminated = (
        x.unflatten(0, (-1, rollout.branch_length)).transpose(0, 1)
        for x in (rollout.reward, rollout.done, rollout.terminated)
    )
    options = (config.scale, config.baseline, config.credit, config.drop_zero_variance)
    compared = group_advantages.grpo(by_step, done, terminated, config.gamma, *options)
    advantage, weight = (x.transpose(0, 1).flatten(0, 1) for x in compared)
    return flatten(rollout, advantage, weight, value_target=None)
