"""Launch of Warp kernels on torch tensors, and their adjoints where gradients are wanted.

Warp reads and writes the memory of the tensors. Rows are independent, so large batches are split over as many threads
as torch may use, and the bits of a row do not depend on the split.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, NamedTuple

import torch
import warp as wp
from torch import Tensor

from robots.kernels.command import Command, Gradients
from robots.kernels.start import announced, start

_ROWS_PER_THREAD = 1024


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
        make: Returns the Warp kernel for a floating type of Warp, with its adjoint if the second argument is true. Both
            give the same bits.
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
        self._scratch = [0 in output.shape or output.scratch for output in outputs]
        self._read_back = [output.read_back for output in outputs]
        self._steady = [output.dtype is not None and not output.dtype.is_floating_point for output in outputs]
        self._commands = threading.local()
        # Whether that variant serves every launch, so that no other is compiled; float64 is for checks of gradients.
        self._with_adjoint = dtype == torch.float64

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

    def recorded(
        self, inputs: Sequence[Tensor], shared: Sequence[Tensor], wanted: Sequence[bool]
    ) -> tuple[tuple[Tensor, ...], Callable[[Sequence[Tensor | None]], list[Tensor | None]]]:
        """The outputs, which autograd does not follow, and a function from their gradients to those of the inputs.

        None is a gradient of zero, and that of an input that is not `wanted`.
        """
        outputs = self._forward(inputs, shared, anew=True)
        return outputs, lambda given: self._adjoint(inputs, shared, outputs, wanted, given)

    def _forward(self, inputs: Sequence[Tensor], shared: Sequence[Tensor], anew: bool = False) -> tuple[Tensor, ...]:
        """The outputs; all of them are new tensors if `anew`."""
        first, self._with_adjoint = inputs[0], self._with_adjoint or anew
        rows, kept = first.shape[0], self._kept(first.shape[0], first.device)
        outputs = tuple(
            [x if again and not anew else torch.empty_like(x) for x, again in zip(kept, self._scratch, strict=True)]
        )
        if rows:
            self._launch(False, rows, inputs, shared, outputs)
        return outputs

    def _kept(self, rows: int, device: torch.device) -> list[Tensor]:
        """Outputs of this thread: memory of those that nobody reads, and models of the others."""
        of_thread = self._commands.__dict__
        if of_thread.get("sizes") != (rows, device):
            shapes = [((rows, *shape), dtype) for shape, dtype in self._outputs]
            of_thread["sizes"] = (rows, device)
            of_thread["kept"] = [torch.empty(shape, dtype=dtype, device=device) for shape, dtype in shapes]
        kept: list[Tensor] = of_thread["kept"]
        return kept

    def _adjoint(
        self,
        inputs: Sequence[Tensor],
        shared: Sequence[Tensor],
        outputs: Sequence[Tensor],
        wanted: Sequence[bool],
        given: Sequence[Tensor | None],
    ) -> list[Tensor | None]:
        """Gradients of the inputs that are `wanted` for `given` gradients of the outputs."""
        rows = inputs[0].shape[0]
        given = [
            _own_gradient(x, output) if read_back else None if x is None else x.contiguous()
            for x, output, read_back in zip(given, outputs, self._read_back, strict=True)
        ]
        into: list[Tensor | None] = []
        for tensor, want in zip(inputs, wanted, strict=True):
            if want and tensor.shape[0] != rows:
                raise ValueError(f"one row for all has no gradient; given {tuple(tensor.shape)} for {rows} rows")
            into.append(torch.zeros_like(tensor, memory_format=torch.contiguous_format) if want else None)
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
        gradients: Gradients | None = None,
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
    ) -> Command:
        """The command of this thread for a block of rows."""
        try:
            command: Command = self._commands.of[device, backward, block]
        except (AttributeError, KeyError):
            start()
            with announced():
                kernel = self._make(wp.dtype_from_torch(self._dtype), backward or self._with_adjoint)
                command = Command(kernel, backward, inputs, shared, self._numbers, outputs)
            self._commands.__dict__.setdefault("of", {})[device, backward, block] = command
        command.share(shared)
        return command


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
        into = ctx.kernel._adjoint(inputs, ctx.shared, outputs, ctx.needs_input_grad[2:], gradients)
        return (None, None, *into)


def _own_gradient(gradient: Tensor | None, output: Tensor) -> Tensor:
    """Copy of the gradient of an output, which an adjoint may change."""
    return torch.zeros_like(output) if gradient is None else gradient.clone(memory_format=torch.contiguous_format)
