"""Checks that a checkpoint's training state fits a trainer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from hgrpo_control.training.trainer import Trainer


def add_memory(sampler: dict[str, Any]) -> None:
    """Give the episodes of a sampler's saved state the empty memory that earlier versions did not save."""
    for saved, name in ((sampler, "roots"), *((sampler.get("archive", {}), name) for name in ("entries", "saves"))):
        if len(saved.get(name, ())) == 2:  # the simulator's state and the age
            saved[name] = [*saved[name], torch.zeros(len(saved[name][1]), 0)]


def samplers_of(saved: dict[str, Any]) -> list[dict[str, Any]]:
    """Saved states of the samplers of all processes, in the order of their ranks."""
    return [saved["sampler"], *saved.get("other_samplers", ())]


def states_fit(trainer: Trainer, saved: dict[str, Any]) -> bool:
    """Whether the saved states of the simulator have the arrays and sizes of the trainer's simulator.

    Another number of processes does not use them.
    """
    if len(samplers_of(saved)) != trainer.ranks.size:
        return True
    return _layout(saved["sampler"]["roots"]) == _layout(trainer.sampler.state_dict()["roots"])


def fits(trainer: Trainer, saved: dict[str, Any]) -> bool:
    """Whether the rest of a saved state has the parts and sizes that the trainer's settings need.

    Sizes of generators differ between a CPU and a GPU.
    """
    ours, theirs = trainer.sampler.state_dict(), saved["sampler"]
    if _layout(list(theirs["generators"].values())) != _layout(list(ours["generators"].values())):
        return False
    entries = (state.get("archive", {}).get("entries", []) for state in (ours, theirs))
    if len(samplers_of(saved)) == trainer.ranks.size and _layout(next(entries)) != _layout(next(entries)):
        return False
    if ("guidance" in saved) != (trainer.guidance is not None):
        return False
    if saved.get("curriculum", {}).get("progress", {}).keys() != trainer.config.curriculum.keys():
        return False
    parts = ((trainer.learner, saved["learner"]), (trainer.reward_transform, saved.get("reward_transform", {})))
    return all(part.state_dict().keys() == state.keys() for part, state in parts)


def _layout(roots: Any) -> Any:
    """Shapes of the tensors in a state that a sampler saved, nested as they are."""
    return [_layout(part) for part in roots] if isinstance(roots, list) else roots.shape
