"""Launching Warp kernels on torch tensors, with an adjoint where a gradient is wanted."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import warp as wp
from torch import Tensor


class Launcher:
    """One kernel with fixed structs and numbers; every call names the tensors it reads and writes.

    Args:
        make: Builds the kernel, with its adjoint if True is given.
        constants: Structs and numbers, which the kernel takes between inputs and outputs.
    """

    def __init__(self, make: Callable[[bool], Any], constants: Sequence[Any]) -> None:
        self._make, self._constants = make, tuple(constants)
        self._commands: dict[tuple[Any, ...], Any] = {}

    def forward(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> None:
        """Write `outputs` from `inputs`, row by row; (B, k) tensors of one device."""
        command = self._command(False, inputs, outputs)
        first = len(inputs) + len(self._constants)
        for index, tensor in (*enumerate(inputs), *enumerate(outputs, first)):
            command.set_param_at_index_from_ctype(index, wp.from_torch(tensor, requires_grad=False, return_ctype=True))
        command.set_dim(len(outputs[0]))
        command.launch()

    def adjoint(
        self,
        inputs: Sequence[Tensor],
        outputs: Sequence[Tensor],
        input_gradients: Sequence[Tensor | None],
        output_gradients: Sequence[Tensor | None],
    ) -> None:
        """Add to `input_gradients` what `output_gradients` give; None stands for a tensor without one."""
        wp.launch(
            self._make(True),
            dim=len(outputs[0]),
            inputs=[*map(_array, inputs), *self._constants],
            outputs=[*map(_array, outputs)],
            adj_inputs=[*map(_array, input_gradients), *self._constants],
            adj_outputs=[*map(_array, output_gradients)],
            adjoint=True,
            device=wp.device_from_torch(inputs[0].device),
        )

    def _command(self, backward: bool, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> Any:
        device = outputs[0].device
        if device not in self._commands:
            self._commands[device] = wp.launch(
                self._make(backward),
                dim=len(outputs[0]),
                inputs=[*map(_array, inputs), *self._constants],
                outputs=[*map(_array, outputs)],
                device=wp.device_from_torch(device),
                record_cmd=True,
            )
        return self._commands[device]


def _array(tensor: Tensor | None) -> Any:
    return None if tensor is None else wp.from_torch(tensor, requires_grad=False)


class _Launch(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, launcher: Launcher, sizes: tuple[int, ...], *inputs: Tensor) -> Any:
        outputs, touched = _run(launcher, sizes, inputs)
        ctx.launcher, ctx.inputs_number = launcher, len(inputs)
        ctx.save_for_backward(*inputs, *outputs, touched)
        ctx.mark_non_differentiable(touched)
        return (*outputs, touched)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> Any:
        saved, number = ctx.saved_tensors, ctx.inputs_number
        inputs, outputs = saved[:number], saved[number:]
        wanted = ctx.needs_input_grad[2:]
        into = [torch.zeros_like(x) if needed else None for x, needed in zip(inputs, wanted, strict=True)]
        given = [None if g is None else g.contiguous() for g in gradients[:-1]]
        ctx.launcher.adjoint(inputs, outputs, into, [*given, None])
        return (None, None, *into)


def launch(launcher: Launcher, sizes: tuple[int, ...], *inputs: Tensor) -> tuple[Tensor, ...]:
    """Outputs (B, size) of the given sizes, and (B,) bool; with an adjoint if an input asks for a gradient."""
    if torch.is_grad_enabled() and any(x.requires_grad for x in inputs):
        return _Launch.apply(launcher, sizes, *inputs)  # type: ignore[no-any-return]
    outputs, touched = _run(launcher, sizes, inputs)
    return (*outputs, touched)


def _run(launcher: Launcher, sizes: tuple[int, ...], inputs: Sequence[Tensor]) -> tuple[list[Tensor], Tensor]:
    like = inputs[0]
    outputs = [like.new_empty(len(like), size) for size in sizes]
    touched = torch.empty(len(like), dtype=torch.bool, device=like.device)
    launcher.forward(inputs, (*outputs, touched))
    return outputs, touched
