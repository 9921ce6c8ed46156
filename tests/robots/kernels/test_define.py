"""Kernels compiled with and without optimisation have the same bits, forwards and backwards."""

from __future__ import annotations

import pytest
import torch
import warp as wp
from torch import Tensor

import robots
from robots.quadrotor.flight.whole_step_kernel import whole_step

pytestmark = pytest.mark.slow


def flown(level: int | None, monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """Bodies after a control step whose kernel is compiled at a level of optimisation, and their gradients."""
    monkeypatch.setattr(wp.config, "optimization_level", level)
    whole_step.cache_clear()
    simulator = robots.make("quadrotor-hover", interface="velocity")
    state, generator = simulator.reset(64, 0), torch.Generator().manual_seed(0)
    action = torch.randn(64, 4, generator=generator).requires_grad_()
    body = state.body.values.clone().requires_grad_()
    step = simulator.step(state._replace(body=type(state.body)(body)), action)
    end = step.state.body.values
    assert whole_step.cache_info().misses == 1, "the kernel was made anew"
    signs = torch.randn(end.shape, generator=generator)
    return [end.detach(), *torch.autograd.grad(end, (body, action), signs)]


def test_results_have_the_same_bits_without_optimisation(monkeypatch: pytest.MonkeyPatch) -> None:
    optimised, plain = flown(None, monkeypatch), flown(0, monkeypatch)
    assert all(map(torch.equal, optimised, plain))
