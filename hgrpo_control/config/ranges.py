"""Ranges of the numbers in a config; importable without torch."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hgrpo_control.config.run import Config


def range_problem(config: Config) -> str | None:
    """What lies outside the range in which it means something, in one line; None if nothing does."""
    a, n, p = config.algorithm, config.network, config.learning
    at_least_one = {
        "num_envs": config.num_envs,
        "rollout_steps": config.rollout_steps,
        "num_samples": a.num_samples,
        "branch_steps": config.branch_steps,
        "checkpoint_every": config.checkpoint_every,
        "update_epochs": p.update_epochs,
        "num_minibatches": p.num_minibatches,
        **{f"hidden_sizes[{i}]": size for i, size in enumerate(n.hidden_sizes)},
    }
    for label, count in at_least_one.items():
        if count < 1:
            return f"{label} must be at least 1; given {count}"
    for label, share in {"gamma": a.gamma, "gae_lambda": getattr(a, "gae_lambda", 0.0)}.items():
        if not 0.0 <= share <= 1.0:
            return f"{label} must lie in [0, 1]; given {share}"
    positive = {"learning_rate": p.learning_rate, "clip_coef": p.clip_coef, "max_grad_norm": p.max_grad_norm}
    clip_high = p.clip_coef if p.clip_high is None else p.clip_high
    for label, value in (positive | {"clip_high": clip_high, "min_sigma": n.min_sigma}).items():
        if not value > 0.0:
            return f"{label} must be above 0; given {value}"
    if not p.learning_rate < math.inf:
        return f"learning_rate must be finite; given {p.learning_rate}"
    if p.target_kl is not None and not p.target_kl > 0.0:
        return f"target_kl must be above 0, or left out; given {p.target_kl}"
    for label, weight in {"vf_coef": p.vf_coef, "ent_coef": p.ent_coef, "kl_coef": p.kl_coef}.items():
        if not 0.0 <= weight < math.inf:
            return f"{label} must be at least 0 and finite; given {weight}"
    if p.kl_coef > 0.0 and p.reference is None:
        return f"kl_coef {p.kl_coef} needs a reference policy: name its run folder with --reference"
    if p.kl_coef == 0.0 and p.reference is not None:
        return f"the reference {p.reference} does nothing with kl_coef 0; allowed: a kl_coef above 0"
    if not n.min_sigma < n.init_sigma < math.inf:
        return f"init_sigma must be above min_sigma {n.min_sigma} and finite; given {n.init_sigma}"
    return None
