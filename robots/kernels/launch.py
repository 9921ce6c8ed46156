"""Launch of Warp kernels on torch tensors, and their adjoints where gradients are wanted.

Warp reads and writes the memory of the tensors. Rows are independent, so large batches are split over as many threads
as torch may use, and the bits of a row do not depend on the split.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, NamedTuple

import torch
import warp as wp
from torch import Tensor

from robots.kernels.start import announced, start

_ROWS_PER_THREAD = 1024
_KEEP_GRADIENT = 1  # flag of an array: its gradient is only read


class Output(NamedTuple):
    """An output of a kernel."""

    shape: tuple[int, ...] = ()
    """Shape of one row."""
    dtype: torch.dtype | None = None
    """Type; None is the floating type of the kernel."""
    read_back: bool = False
    """Whether the kernel reads what it wrote, so that its adjoint needs memory for the gradient."""


class Kernel:
    """A Warp kernel whose arguments are inputs, shared arrays, numbers and outputs, in this order.

    Args:
        make: Returns the Warp kernel for a floating type of Warp, with its adjoint if the second argument is true.
        dtype: Floating type of the tensors.
        outputs: Outputs of one row.
        numbers: Numbers that the kernel takes.
    """

    def __init__(
        self,
        make: Callable[[Any, bool], Any],
        dtype: torch.dtype,
        outputs: Sequence[Output],
        numbers: Sequence[float] = (),
    ) -> None:
        self._make, self._dtype, self._numbers = make, dtype, tuple(numbers)
        self._outputs = [(output.shape, output.dtype or dtype) for output in outputs]
        self._read_back = [output.read_back for output in outputs]
        self._steady = [not dtype.is_floating_point for _, dtype in self._outputs]
        self._commands = threading.local()

    def __call__(self, *inputs: Tensor, shared: Sequence[Tensor] = ()) -> tuple[Tensor, ...]:
        """Launch the kernel, one thread per row.

        Args:
            inputs: (B, ...) tensors; the first has B rows, another may have one row for all.
            shared: Tensors that every row reads; they have no gradient.

        Returns:
            The outputs, (B, ...) each.
        """
        if torch.is_grad_enabled() and any(x.requires_grad for x in inputs):
            return _Launch.apply(self, tuple(shared), *inputs)
        return self._forward(inputs, shared)

    def _forward(self, inputs: Sequence[Tensor], shared: Sequence[Tensor]) -> tuple[Tensor, ...]:
        first = inputs[0]
        rows = first.shape[0]
        outputs = tuple(first.new_empty((rows, *shape), dtype=dtype) for shape, dtype in self._outputs)
        if rows:
            self._launch(False, rows, len(inputs), (*inputs, *shared, *outputs))
        return outputs

    def _adjoint(
        self,
        inputs: Sequence[Tensor],
        shared: Sequence[Tensor],
        outputs: Sequence[Tensor],
        wanted: Sequence[bool],
        given: Sequence[Tensor | None],
    ) -> list[Tensor | None]:
        """Gradients of the inputs that are `wanted` for `given` gradients of the outputs."""
        into = [
            torch.zeros(x.shape, dtype=x.dtype, device=x.device) if want else None
            for x, want in zip(inputs, wanted, strict=True)
        ]
        if len(inputs[0]):
            nothing = (None,) * len(shared)
            self._launch(True, len(inputs[0]), len(inputs), (*inputs, *shared, *outputs), (*into, *nothing, *given))
        return into

    def _launch(
        self,
        backward: bool,
        rows: int,
        inputs: int,
        tensors: Sequence[Tensor],
        gradients: Sequence[Tensor | None] = (),
    ) -> None:
        """Launch with all tensors in the order of the arguments; blocks of rows run in threads of their own."""
        device = tensors[0].device
        blocks = 1
        if rows >= 2 * _ROWS_PER_THREAD and device.type == "cpu":
            blocks = min(torch.get_num_threads(), rows // _ROWS_PER_THREAD)
        if blocks == 1:
            self._command(device, backward, 0, inputs, tensors).run(0, rows, tensors, gradients)
            return
        bounds = [rows * i // blocks for i in range(blocks + 1)]
        commands = [self._command(device, backward, i, inputs, tensors) for i in range(blocks)]
        jobs = [
            _pool(blocks).submit(command.run, bounds[i], bounds[i + 1], tensors, gradients)
            for i, command in enumerate(commands)
        ]
        for job in jobs:
            job.result()

    def _command(
        self, device: torch.device, backward: bool, block: int, inputs: int, tensors: Sequence[Tensor]
    ) -> _Command:
        """The command of this thread for a block of rows."""
        try:
            return self._commands.of[device, backward, block]
        except (AttributeError, KeyError):
            start()
            with announced():
                kernel = self._make(wp.dtype_from_torch(self._dtype), backward)
                command = _Command(kernel, backward, tensors, inputs, len(self._outputs), self._numbers)
            self._commands.__dict__.setdefault("of", {})[device, backward, block] = command
            return command


class _Command:
    """A launch of a kernel whose tensors are replaced between launches.

    Args:
        kernel: The Warp kernel.
        backward: Whether its adjoint is launched.
        tensors: Tensors with the types, the device and the shapes of all launches but for the number of rows.
        inputs: How many of them are inputs; they come first.
        outputs: How many are outputs; they come last.
        numbers: Numbers of the kernel, which come before the outputs.
    """

    def __init__(
        self,
        kernel: Any,
        backward: bool,
        tensors: Sequence[Tensor],
        inputs: int,
        outputs: int,
        numbers: Sequence[float],
    ) -> None:
        self.launch = wp.Launch(kernel, wp.device_from_torch(tensors[0].device), adjoint=backward)
        self.backward, self.rows, read = backward, -1, len(tensors) - outputs
        self.slots: list[tuple[Any, torch.dtype, int, bool, int]] = []
        self.gradients = [_descriptor(tensor) for tensor in tensors] if backward else []
        for i, tensor in enumerate(tensors):
            array, index = _descriptor(tensor), i if i < read else i + len(numbers)
            self.launch.set_param_at_index_from_ctype(index, array)
            size = math.prod(tensor.shape[1:])
            by_row = i < inputs or i >= read
            self.slots.append((array, tensor.dtype, size, by_row, size * tensor.element_size()))
            if backward:
                self.gradients[i].flags = 0 if i < read else _KEEP_GRADIENT
                self.launch.set_param_at_index_from_ctype(index, self.gradients[i], adjoint=True)
        for i, number in enumerate(numbers, read):
            self.launch.set_param_at_index(i, number)
        self.stream = _stream if tensors[0].is_cuda else None

    def run(self, first: int, end: int, tensors: Sequence[Tensor], gradients: Sequence[Tensor | None]) -> None:
        """Launch for rows `first` to `end`."""
        rows, keep = end - first, []
        if rows != self.rows:
            self.launch.set_dim(rows)
            self.rows = rows
        for (array, dtype, size, by_row, stride), tensor in zip(self.slots, tensors, strict=True):
            count = tensor.shape[0]
            if tensor.dtype is not dtype or tensor.numel() != count * size:
                raise ValueError(f"a kernel takes {size} numbers {dtype} a row; given {tensor.dtype} {tensor.shape}")
            if not tensor.is_contiguous():
                tensor = tensor.contiguous()
                keep.append(tensor)
            split = by_row and count > 1
            array.data = tensor.data_ptr() + first * stride if split else tensor.data_ptr()
            array.shape[0] = rows if split else count
        if self.backward:
            for array, gradient, (_, _, _, _, stride) in zip(self.gradients, gradients, self.slots, strict=True):
                array.data = 0 if gradient is None else gradient.data_ptr() + first * stride
                array.shape[0] = 0 if gradient is None else rows
        self.launch.launch(None if self.stream is None else self.stream(tensors[0].device))


def _descriptor(tensor: Tensor) -> Any:
    """Warp's descriptor of an array with the shape and type of a tensor, without the tensor itself."""
    array = wp.from_torch(tensor.detach().contiguous(), requires_grad=False, return_ctype=True)
    array._ref = None
    return array


def _stream(device: torch.device) -> Any:
    """Warp's view of the stream that torch uses now."""
    return wp.stream_from_torch(torch.cuda.current_stream(device))


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="kernel")


class _Launch(torch.autograd.Function):
    """The launch as a node of autograd."""

    @staticmethod
    def forward(ctx: Any, kernel: Kernel, shared: tuple[Tensor, ...], *inputs: Tensor) -> tuple[Tensor, ...]:
        outputs = kernel._forward(inputs, shared)
        ctx.kernel, ctx.shared, ctx.number = kernel, shared, len(inputs)
        ctx.save_for_backward(*inputs, *outputs)
        ctx.mark_non_differentiable(*(x for x, steady in zip(outputs, kernel._steady, strict=True) if steady))
        ctx.set_materialize_grads(False)
        return outputs

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        inputs, outputs = ctx.saved_tensors[: ctx.number], ctx.saved_tensors[ctx.number :]
        given = [
            _own_gradient(x, output) if read_back else None if x is None else x.contiguous()
            for x, output, read_back in zip(gradients, outputs, ctx.kernel._read_back, strict=True)
        ]
        into = ctx.kernel._adjoint(inputs, ctx.shared, outputs, ctx.needs_input_grad[2:], given)
        return (None, None, *into)


def _own_gradient(gradient: Tensor | None, output: Tensor) -> Tensor:
    """Copy of the gradient of an output, which an adjoint may change."""
    return torch.zeros_like(output) if gradient is None else gradient.clone(memory_format=torch.contiguous_format)
