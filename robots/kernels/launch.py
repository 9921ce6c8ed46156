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

_ROWS_PER_THREAD = 512
_KEEP_GRADIENT = 1  # flag of an array: its gradient is only read


_Gradients = tuple[Sequence[Tensor | None], Sequence[Tensor | None]]
"""Gradients of the inputs, to add to, and given gradients of the outputs."""


class Output(NamedTuple):
    """An output of a kernel."""

    shape: tuple[int, ...] = ()
    """Shape of one row."""
    dtype: torch.dtype | None = None
    """Type; None is the floating type of the kernel."""
    read_back: bool = False
    """Whether the kernel reads what it wrote, so that its adjoint needs memory for the gradient."""
    scratch: bool = False
    """Whether nobody reads it after the launch, so that launches without a gradient use the same memory."""


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
        self._fresh = [0 not in output.shape and not output.scratch for output in outputs]
        self._read_back = [output.read_back for output in outputs]
        self._steady = [output.dtype is not None and not output.dtype.is_floating_point for output in outputs]
        self._commands = threading.local()

    def __call__(self, *inputs: Tensor, shared: Sequence[Tensor] = ()) -> tuple[Tensor, ...]:
        """Launch the kernel, one thread per row.

        Args:
            inputs: (B, ...) tensors; the first has B rows, another may have one row for all.
            shared: Tensors that every row reads; they have no gradient.

        Returns:
            The outputs, (B, ...) each.
        """
        if torch.is_grad_enabled():
            for tensor in inputs:
                if tensor.requires_grad:
                    return _Launch.apply(self, tuple(shared), *inputs)
        return self._forward(inputs, shared)

    def _forward(self, inputs: Sequence[Tensor], shared: Sequence[Tensor], anew: bool = False) -> tuple[Tensor, ...]:
        """The outputs; all of them are new tensors if `anew`."""
        first = inputs[0]
        rows, device = first.shape[0], first.device
        outputs = tuple(
            [
                torch.empty((rows, *shape), dtype=dtype, device=device)
                if fresh or anew
                else self._scratch(i, (rows, *shape), dtype, device)
                for i, ((shape, dtype), fresh) in enumerate(zip(self._outputs, self._fresh, strict=True))
            ]
        )
        if rows:
            self._launch(False, rows, inputs, shared, outputs)
        return outputs

    def _scratch(self, index: int, shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
        """Memory of an output that this thread uses again in each launch."""
        kept: dict[int, Tensor] = self._commands.__dict__.setdefault("scratch", {})
        tensor = kept.get(index)
        if tensor is None or tensor.shape != shape or tensor.device != device:
            tensor = kept[index] = torch.empty(shape, dtype=dtype, device=device)
        return tensor

    def _adjoint(
        self,
        inputs: Sequence[Tensor],
        shared: Sequence[Tensor],
        outputs: Sequence[Tensor],
        wanted: Sequence[bool],
        given: Sequence[Tensor | None],
    ) -> list[Tensor | None]:
        """Gradients of the inputs that are `wanted` for `given` gradients of the outputs."""
        rows = len(inputs[0])
        into: list[Tensor | None] = []
        for tensor, want in zip(inputs, wanted, strict=True):
            if want and len(tensor) != rows:
                raise ValueError(f"one row for all has no gradient; given {tuple(tensor.shape)} for {rows} rows")
            into.append(torch.zeros(tensor.shape, dtype=tensor.dtype, device=tensor.device) if want else None)
        if rows:
            self._launch(True, rows, inputs, shared, outputs, (into, given))
        return into

    def _launch(
        self,
        backward: bool,
        rows: int,
        inputs: Sequence[Tensor],
        shared: Sequence[Tensor],
        outputs: Sequence[Tensor],
        gradients: _Gradients | None = None,
    ) -> None:
        """Launch; large blocks of rows run in threads of their own."""
        device = outputs[0].device
        blocks = 1
        if rows >= 2 * _ROWS_PER_THREAD and device.type == "cpu":
            blocks = min(torch.get_num_threads(), rows // _ROWS_PER_THREAD)
        if blocks == 1:
            self._command(device, backward, 0, inputs, shared, outputs).run(0, rows, inputs, outputs, gradients)
            return
        ends = [rows * i // blocks for i in range(blocks + 1)]
        commands = [self._command(device, backward, i, inputs, shared, outputs) for i in range(blocks)]
        jobs = [
            _pool(blocks - 1).submit(command.run, first, end, inputs, outputs, gradients)
            for command, first, end in zip(commands[1:], ends[1:-1], ends[2:], strict=True)
        ]
        commands[0].run(0, ends[1], inputs, outputs, gradients)
        for job in jobs:
            job.result()

    def _command(
        self,
        device: torch.device,
        backward: bool,
        block: int,
        inputs: Sequence[Tensor],
        shared: Sequence[Tensor],
        outputs: Sequence[Tensor],
    ) -> _Command:
        """The command of this thread for a block of rows."""
        try:
            command: _Command = self._commands.of[device, backward, block]
        except (AttributeError, KeyError):
            start()
            with announced():
                kernel = self._make(wp.dtype_from_torch(self._dtype), backward)
                command = _Command(kernel, backward, inputs, shared, self._numbers, outputs)
            self._commands.__dict__.setdefault("of", {})[device, backward, block] = command
        command.share(shared)
        return command


class _Command:
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
        self.launch = wp.Launch(kernel, wp.device_from_torch(outputs[0].device), adjoint=backward)
        self.rows = -1
        start = len(inputs) + len(shared) + len(numbers)
        types = [argument.type.dtype for argument in kernel.adj.args if hasattr(argument.type, "dtype")]

        def slots(tensors: Sequence[Tensor], first: int) -> list[_Slot]:
            return [_Slot(x, types[first + i]) for i, x in enumerate(tensors)]

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
        self.stream = _stream if outputs[0].is_cuda else None

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
        gradients: _Gradients | None = None,
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
        self.launch.launch(None if self.stream is None else self.stream(outputs[0].device))


class _Slot:
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
        outputs = kernel._forward(inputs, shared, anew=True)
        ctx.kernel, ctx.shared, ctx.number = kernel, shared, len(inputs)
        ctx.save_for_backward(*inputs, *outputs)
        ctx.mark_non_differentiable(*(x for x, steady in zip(outputs, kernel._steady, strict=True) if steady))
        ctx.set_materialize_grads(False)
        return outputs

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise RuntimeError("the gradient of a kernel has no gradient; given create_graph=True")
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
