"""A GPU that is none: tensors that are told apart from the CPU's by label alone, so that code for GPUs is tested on a
machine without one.

Every tensor made with `device="cuda"`, or computed from such tensors, is labelled. An operation on labelled and other
tensors raises, as on a real GPU, unless it copies or the other is a number; and every operation whose result the CPU
waits for is counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import warp as wp
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten, tree_map

from robots.kernels import command

GPU = torch.device("cuda", 0)
_RealGenerator = torch.Generator
_MOVES = {"to", "copy_", "cpu", "cuda", "__get__", "__set__", "_has_compatible_shallow_copy_type"}
_WAITS = {"item", "tolist", "nonzero", "__bool__", "__float__", "__int__", "cpu", "unique"}


class MixedDevicesError(RuntimeError):
    """Raised for an operation on tensors of two devices."""


class OnGpu(Tensor):
    """A tensor with the label."""

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        """The simulated GPU."""
        return GPU

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        with torch._C.DisableTorchFunctionSubclass():
            return function(*args, **(kwargs or {}))


class SimulatedGenerator(_RealGenerator):
    """A generator that says where it was made for, and draws on the CPU."""

    def __new__(cls, device: Any = "cpu") -> SimulatedGenerator:
        made = super().__new__(cls, "cpu")
        made.made_for = torch.device(device).type
        return made

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        """The device it was made for."""
        return GPU if self.made_for == "cuda" else torch.device("cpu")


class SimulatedGpu(TorchFunctionMode):
    """Runs what is asked of the GPU on the CPU and keeps the books; `waits` counts what the CPU had to wait for."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: dict[str, int] = {}

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        name = getattr(function, "__name__", str(function))
        leaves, _ = tree_flatten((args, kwargs))
        labelled = any(isinstance(leaf, OnGpu) for leaf in leaves)
        others = [x for x in leaves if isinstance(x, Tensor) and not isinstance(x, OnGpu) and x.dim() > 0]
        if labelled and others and name not in _MOVES and not _indexes_from_the_cpu(name, args):
            raise MixedDevicesError(f"{name} of tensors on the GPU and a tensor {tuple(others[0].shape)} on the CPU")
        if labelled and (name in _WAITS or _masks(name, args)):
            self.waits[name] = self.waits.get(name, 0) + 1
        if labelled and name == "numpy":
            raise MixedDevicesError("numpy() of a tensor on the GPU")
        devices = [torch.device(x) for x in _devices(name, args, kwargs)]
        on_gpu = devices[-1].type == "cuda" if devices else labelled and name not in ("cpu", "tolist", "item")
        generator = kwargs.get("generator")
        if isinstance(generator, SimulatedGenerator) and (generator.made_for == "cuda") != on_gpu:
            raise MixedDevicesError(f"{name} on {'cuda' if on_gpu else 'cpu'} by a generator of {generator.made_for}")
        args, kwargs = tree_map(_on_cpu, (args, kwargs)) if devices else (args, kwargs)
        result = function(*args, **kwargs)
        if name in ("__set__", "__get__", "copy_", "set_") and not isinstance(result, Tensor):
            return result
        return tree_map(lambda x: _label(x, on_gpu), result) if name != "set_state" else result


def _devices(name: str, args: Any, kwargs: Any) -> list[Any]:
    """Devices that a call names."""
    positional = args[1:2] if name == "to" else ()
    given = [x for x in positional if isinstance(x, (torch.device, str))]
    given += [x.device for x in positional if isinstance(x, Tensor)]
    return given + ([kwargs["device"]] if kwargs.get("device") is not None else [])


def _on_cpu(x: Any) -> Any:
    return "cpu" if isinstance(x, torch.device) or (isinstance(x, str) and x in ("cuda", "cuda:0")) else x


def _masks(name: str, args: Any) -> bool:
    """Whether an index holds a mask, whose number of rows the CPU has to know."""
    index = tree_flatten(args[1:2])[0] if name in ("__getitem__", "__setitem__") else []
    return any(isinstance(x, Tensor) and x.dtype == torch.bool for x in index)


def _indexes_from_the_cpu(name: str, args: Any) -> bool:
    """torch takes indices from the CPU; they wait, but they work."""
    return name in ("__getitem__", "__setitem__") and isinstance(args[0], OnGpu)


def _label(x: Any, on_gpu: bool) -> Any:
    if not isinstance(x, Tensor) or isinstance(x, OnGpu) == on_gpu:
        return x
    return x.as_subclass(OnGpu) if on_gpu else x.as_subclass(Tensor)


@contextmanager
def simulated_gpu(monkeypatch: Any) -> Iterator[SimulatedGpu]:
    """Let `cuda` be the simulated GPU, for what is made and done within."""
    monkeypatch.setattr(torch, "Generator", SimulatedGenerator)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(command, "warp_device", lambda device: wp.get_device("cpu"))
    before = torch.__future__.get_overwrite_module_params_on_conversion()
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    try:
        with SimulatedGpu() as gpu:
            yield gpu
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(before)
