"""A reward transform that the user wrote, named as MODULE:FUNCTION."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor

from hgrpo_control.algorithms.rollout import NotFiniteError
from hgrpo_control.rewards.transform import RewardTransform
from hgrpo_errors import HgrpoError, closest
from hgrpo_imports import UserModuleError, load


class RewardTransformError(HgrpoError):
    """Raised for a MODULE:FUNCTION that cannot be used."""


class CustomTransform(RewardTransform):
    """f(R) by a user's function of a tensor (T, E, N).

    The function returns a tensor of the same shape and dtype. MODULE:FUNCTION names a function, a callable object, or a
    class that is made without arguments. If it has a method `update(reward, done)`, it gets the executed steps (T, E)
    after every rollout, the first included, and then needs `state_dict()` and `load_state_dict(saved)` too, so that a
    resumed run continues as if it had never stopped. All tensors given to it, those of its state included, are on the
    run's device. With several processes the function gets the samples of one of them, and `update` the executed
    steps of all.
    """

    def __init__(self, name: str, device: torch.device | None = None) -> None:
        self.name, self._device = name, device
        self.function = _instantiate(name, _imported(name))
        offered = {method for method in ("update", "state_dict", "load_state_dict") if hasattr(self.function, method)}
        self._updates, self._remembers = "update" in offered, "state_dict" in offered
        missing = sorted({"state_dict", "load_state_dict"} - offered)
        if offered and missing:
            raise RewardTransformError(
                f"reward transform {name!r} offers {', '.join(sorted(offered))} but not {', '.join(missing)}: "
                "a run with it could not be resumed"
            )

    @property
    def learns(self) -> bool:
        """Whether the user's object has `update`."""
        return self._updates

    def apply(self, reward: Tensor) -> Tensor:
        """f(R); raises RewardTransformError for another shape or dtype, NotFiniteError for NaN or infinity."""
        given = f"reward transform {self.name!r} was given {_kind(reward)}"
        wanted = f"wanted {_kind(reward)}"
        try:
            with torch.no_grad():
                returned = self.function(reward.clone())  # the function may work in place
        except Exception as error:  # of any kind: it is the user's code
            raise RewardTransformError(f"{given} and raised {_one_line(error)}") from error
        if not isinstance(returned, Tensor):
            raise RewardTransformError(f"{given} and returned a {type(returned).__name__}; {wanted}")
        if returned.shape != reward.shape or returned.dtype != reward.dtype:
            raise RewardTransformError(f"{given} and returned {_kind(returned)}; {wanted}")
        bad = int((~torch.isfinite(returned)).sum())
        if bad:
            raise NotFiniteError(f"{given} and returned {bad} values that are not finite; {wanted}, all finite")
        return returned

    def update(self, reward: Tensor, done: Tensor) -> None:
        """Pass the executed steps on to an object with `update`; raises RewardTransformError."""
        if self._updates:
            try:
                self.function.update(reward.clone(), done.clone())
            except Exception as error:  # of any kind: it is the user's code
                raise RewardTransformError(
                    f"update of reward transform {self.name!r} raised {_one_line(error)}"
                ) from error

    def state_dict(self) -> dict[str, Any]:
        """State of the user's object; raises RewardTransformError for what a checkpoint cannot hold."""
        if not self._remembers:
            return {}
        state = self.function.state_dict()
        _require_storable(self.name, state)
        return {"custom": copy.deepcopy(state)}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Restore the state of the user's object."""
        if self._remembers:
            self.function.load_state_dict(_moved(copy.deepcopy(saved["custom"]), self._device))


def _imported(name: str) -> Any:
    """The attribute that MODULE:FUNCTION names; the current directory is searched first, as by `python -m`."""
    module_name, _, attribute = name.partition(":")
    try:
        module = load(module_name)
    except UserModuleError as error:
        raise RewardTransformError(f"reward transform {name!r} {error}") from error
    if not hasattr(module, attribute):
        callables = [word for word, value in vars(module).items() if callable(value) and not word.startswith("_")]
        close = closest(attribute, callables)
        hint = f"did you mean {module_name}:{close}?" if close else f"it has: {', '.join(callables) or 'none'}"
        where = getattr(module, "__file__", None) or "built in"
        raise RewardTransformError(f"module {module_name!r} ({where}) has no function {attribute!r}; {hint}")
    return getattr(module, attribute)


def _instantiate(name: str, found: Any) -> Any:
    """A callable of this run's own: a class is made, an object copied."""
    try:
        ours = found() if isinstance(found, type) else copy.deepcopy(found)
    except Exception as error:  # of any kind: it is the user's code
        raise RewardTransformError(f"reward transform {name!r} cannot be made: {_one_line(error)}") from error
    if not callable(ours):
        kind = type(ours).__name__
        raise RewardTransformError(f"reward transform {name!r} is a {kind}; allowed: a function or another callable")
    return ours


def _require_storable(name: str, state: Any, path: str = "state_dict()") -> None:
    """Raise RewardTransformError unless a checkpoint can hold `state`."""
    if isinstance(state, dict):
        for key, value in state.items():
            _require_storable(name, key, f"a key of {path}")
            _require_storable(name, value, f"{path}[{key!r}]")
    elif isinstance(state, (list, tuple)):
        for index, value in enumerate(state):
            _require_storable(name, value, f"{path}[{index}]")
    elif not (state is None or type(state) in (Tensor, bool, int, float, str)):
        raise RewardTransformError(
            f"{path} of reward transform {name!r} is a {type(state).__name__}; allowed: tensors, numbers, strings, and "
            "dicts, lists and tuples of them"
        )


def _moved(state: Any, device: torch.device | None) -> Any:
    """The same containers with their tensors on a device; None leaves them where they are."""
    if isinstance(state, dict):
        return {key: _moved(value, device) for key, value in state.items()}
    if isinstance(state, (list, tuple)):
        return type(state)(_moved(value, device) for value in state)
    return state.to(device) if isinstance(state, Tensor) else state


def _kind(tensor: Tensor) -> str:
    return f"{tuple(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}"


def _one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
