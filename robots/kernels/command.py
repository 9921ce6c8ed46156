"""A launch of a Warp kernel whose tensors are replaced between launches."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Sequence
from typing import Any

import torch
import warp as wp
from torch import Tensor

_KEEP_GRADIENT = 1  # flag of an array: its gradient is only read

Gradients = tuple[Sequence[Tensor | None], Sequence[Tensor | None]]
"""Gradients of the inputs, to add to, and given gradients of the outputs."""


class Command:
    """A launch of a kernel whose tensors are replaced between launches; a row has the same shape in all of them.

    Args:
        kernel: The Warp kernel.
        backward: Whether its adjoint is launched.
        inputs: Inputs of one launch.
        shared: Its shared arrays.
        numbers: Numbers of the kernel.
        outputs: Outputs of the launch.
    """

    def __init__(
        self,
        kernel: Any,
        backward: bool,
        inputs: Sequence[Tensor],
        shared: Sequence[Tensor],
        numbers: Sequence[float],
        outputs: Sequence[Tensor],
    ) -> None:
        self.launch = wp.Launch(kernel, warp_device(outputs[0].device), adjoint=backward)
        self.rows = -1
        start = len(inputs) + len(shared) + len(numbers)
        types = [argument.type.dtype for argument in kernel.adj.args if hasattr(argument.type, "dtype")]

        def slots(tensors: Sequence[Tensor], first: int) -> list[Slot]:
            return [Slot(x, types[first + i]) for i, x in enumerate(tensors)]

        self.inputs, self.shared = slots(inputs, 0), slots(shared, len(inputs))
        self.outputs = slots(outputs, len(inputs) + len(shared))
        self.kept: list[Tensor | None] = [None] * len(shared)
        self.into = slots(inputs, 0) if backward else []
        self.given = slots(outputs, len(inputs) + len(shared)) if backward else []
        for i, slot in (*enumerate([*self.inputs, *self.shared]), *enumerate(self.outputs, start)):
            self.launch.set_param_at_index_from_ctype(i, slot.array)
        for i, number in enumerate(numbers, start - len(numbers)):
            self.launch.set_param_at_index(i, number)
        for i, slot in (*enumerate(self.into), *enumerate(self.given, start)):
            self.launch.set_param_at_index_from_ctype(i, slot.array, adjoint=True)
        for slot in self.given:
            slot.array.flags = _KEEP_GRADIENT
        self.packed = None if outputs[0].is_cuda else _Packed(self.launch)
        if self.packed is not None:
            places = self.packed.arguments
            for i, slot in (*enumerate([*self.inputs, *self.shared]), *enumerate(self.outputs, start)):
                slot.array = places[0][i]
            for i, slot in (*enumerate(self.into), *enumerate(self.given, start)):
                slot.array = places[1][i]

    def share(self, tensors: Sequence[Tensor]) -> None:
        """Set the shared arrays; a tensor that is set already is kept."""
        for i, tensor in enumerate(tensors):
            if tensor is not self.kept[i]:
                self.shared[i].check(tensor)
                self.kept[i] = tensor = tensor.contiguous()
                self.shared[i].array.data = tensor.data_ptr()
                self.shared[i].array.shape[0] = len(tensor)

    def run(
        self,
        first: int,
        end: int,
        inputs: Sequence[Tensor],
        outputs: Sequence[Tensor],
        gradients: Gradients | None = None,
    ) -> None:
        """Launch for rows `first` to `end`."""
        rows, total, copies = end - first, outputs[0].shape[0], []
        if rows != self.rows:
            self.launch.set_dim(rows)
            for slot in (*self.inputs, *self.outputs, *self.given):
                slot.array.shape[0] = rows
            self.rows = rows
        for slot, tensor in zip(self.inputs, inputs, strict=True):
            count = tensor.shape[0]
            if tensor.dtype is not slot.dtype or tensor.numel() != count * slot.size:
                slot.check(tensor)
            if count not in (1, total):
                raise ValueError(f"a kernel takes {total} rows or one for all; given {tuple(tensor.shape)}")
            if not tensor.is_contiguous():
                tensor = tensor.contiguous()
                copies.append(tensor)
            step = 0 if count == 1 else slot.stride
            if step != slot.step:
                slot.array.strides[0] = slot.step = step
            slot.array.data = tensor.data_ptr() + first * step
        for slot, tensor in zip(self.outputs, outputs, strict=True):
            slot.array.data = tensor.data_ptr() + first * slot.stride
        if gradients is not None:
            into, given = gradients
            for slot, gradient in zip((*self.into, *self.given), (*into, *given), strict=True):
                slot.array.data = 0 if gradient is None else gradient.data_ptr() + first * slot.stride
                slot.array.shape[0] = 0 if gradient is None else rows
        if self.packed is not None:
            self.packed.launch(self.launch)
        else:
            self.launch.launch(wp.stream_from_torch(torch.cuda.current_stream(outputs[0].device)))


class _Packed:
    """Arguments of a launch on the CPU as the structures that a compiled kernel takes, changed in place.

    Warp's own launch fills these structures anew on each call, which takes longer than 64 rows of a small kernel.

    Args:
        launch: The launch.
    """

    def __init__(self, launch: wp.Launch) -> None:
        number, packs = len(launch.kernel.adj.args), []
        for first in range(1, len(launch.params), number):
            values = launch.params[first : first + number]
            fields = [(f"argument_{i}", type(value)) for i, value in enumerate(values)]
            packs.append(type("Arguments", (ctypes.Structure,), {"_fields_": fields})(*values))
        self.arguments = [[getattr(pack, name) for name, _ in pack._fields_] for pack in packs]
        self._pointers = [ctypes.byref(pack) for pack in packs]
        self._function = launch.hooks.backward if launch.adjoint else launch.hooks.forward

    def launch(self, launch: wp.Launch) -> None:
        """Run the kernel for the rows of `launch`."""
        self._function(ctypes.byref(launch.bounds), *self._pointers)


class Slot:
    """An argument of a launch: Warp's descriptor of an array, without the tensor itself."""

    __slots__ = ("array", "dtype", "size", "step", "stride")

    def __init__(self, tensor: Tensor, dtype: Any) -> None:
        scalar, vector = getattr(dtype, "_wp_scalar_type_", dtype), getattr(dtype, "_shape_", None)
        self.dtype = wp.dtype_to_torch(scalar)
        self.size = math.prod(tensor.shape[1:] if vector is None or not tensor.numel() else vector)
        self.step = self.stride = self.size * tensor.element_size()
        self.check(tensor)
        if not tensor.numel():  # an array that the kernel does not use
            tensor = tensor.new_zeros(1, *getattr(dtype, "_shape_", [1] * (tensor.ndim - 1)))
        self.array = wp.from_torch(tensor.detach().contiguous(), dtype, requires_grad=False, return_ctype=True)
        self.array._ref = None
        self.array.strides[0] = self.stride  # torch calls one row of a wider tensor contiguous

    def check(self, tensor: Tensor) -> None:
        """Raise ValueError for a tensor of another type or size: the kernel would read other memory."""
        if tensor.dtype is not self.dtype or tensor.numel() != len(tensor) * self.size:
            raise ValueError(
                f"a kernel takes {self.size} numbers {self.dtype} a row; given {tensor.dtype} {tuple(tensor.shape)}"
            )


def warp_device(device: torch.device) -> Any:
    """Warp's name of a device of torch."""
    return wp.device_from_torch(device)
