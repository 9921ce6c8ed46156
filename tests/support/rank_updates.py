"""Updates of one process on all roots, and of two processes on half of the roots each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hgrpo_control.algorithms.rollout import Rollout
from hgrpo_control.config.algorithms import GRPO, PPO, Algorithm, HybridGRPO
from hgrpo_control.config.learning import Learning, Network
from hgrpo_control.config.run import Config
from hgrpo_control.ranks.ranks import Ranks
from hgrpo_control.training.trainer import Trainer

ROOTS = 16


def _config(algorithm: Algorithm, memory: str = "none", **learning: Any) -> Config:
    network = Network((8,), **({"memory": "gru", "memory_size": 4} if memory == "gru" else {}))  # type: ignore[arg-type]
    return Config(
        task="quadrotor-hover",
        algorithm=algorithm,
        num_envs=ROOTS,
        rollout_steps=8,
        total_steps=10**6,
        network=network,
        learning=Learning(num_minibatches=1, update_epochs=1, **learning),
    )


CASES = {
    "ppo": _config(PPO(reward_transform="scale")),
    "ppo, rolling rewards": _config(PPO(reward_transform="rolling", reward_window=100)),
    "grpo": _config(GRPO(num_samples=4, branch_steps=4)),
    "grpo, one scale": _config(GRPO(num_samples=4, branch_steps=1, scale="batch", drop_zero_variance=True)),
    "hybrid": _config(HybridGRPO(num_samples=4, branch_steps=4, estimator="group")),
    "hybrid, correlated siblings": _config(HybridGRPO(num_samples=4, branch_steps=4, estimator="group_shrunk")),
    "hybrid, guided": _config(HybridGRPO(num_samples=4, branch_steps=4, guided_candidates=4)),
    "slopes": _config(HybridGRPO(num_samples=4, branch_steps=8, pathwise="auto")),
    "slopes, one sample": _config(HybridGRPO(num_samples=1, branch_steps=8, pathwise="auto")),
    "gru": _config(HybridGRPO(num_samples=4, branch_steps=4), memory="gru"),
}


def prepare(folder: Path) -> dict[str, dict[str, Any]]:
    """Update one process, and store what it began with for the two; returns its results by case."""
    results, begun = {}, {}
    for name, config in CASES.items():
        trainer = Trainer.from_config(config)
        rollout, _ = trainer.sampler.collect()
        begun[name] = (trainer.policy.state_dict(), tuple(rollout))
        begun[name] = torch_copy(begun[name])
        results[name] = _updated(trainer, rollout)
    torch.save(begun, folder / "begun.pt")
    return results


def update_half(ranks: Ranks, folder: Path) -> dict[str, dict[str, Any]]:
    """Update one of two processes on its half of the roots; returns its results by case."""
    begun, results = torch.load(folder / "begun.pt"), {}
    half = ROOTS // ranks.size
    for name, config in CASES.items():
        policy, rollout = begun[name]
        trainer = Trainer.from_config(config, ranks)
        trainer.policy.load_state_dict(policy)
        own = slice(ranks.rank * half, (ranks.rank + 1) * half)
        results[name] = _updated(trainer, Rollout(*(x[:, own] if isinstance(x, Tensor) else x for x in rollout)))
    return results


def torch_copy(value: Any) -> Any:
    """The same containers with copies of their tensors."""
    if isinstance(value, Tensor):
        return value.clone()
    if isinstance(value, dict):
        return {key: torch_copy(entry) for key, entry in value.items()}
    return tuple(map(torch_copy, value)) if isinstance(value, tuple) else value


def _updated(trainer: Trainer, rollout: Rollout) -> dict[str, Any]:
    figures = trainer.learn(rollout)
    adam = trainer.learner.optimizer
    result = {"gradient": 10.0 * adam.mean.clone(), "figures": figures, "policy": trainer.policy.state_dict()}
    result["transform"] = trainer.reward_transform.state_dict()
    if trainer.guidance is not None:
        result["guidance"] = 10.0 * trainer.guidance.learner.optimizer.mean.clone()
    return torch_copy(result)
