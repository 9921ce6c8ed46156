"""A control step in one launch against its parts, and with gradients."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from support.states import leaves, same
from torch import Tensor

import robots
from robots.catalogue import QUADROTOR_TASKS
from robots.pullback import Pullback, by_autograd, recorder
from robots.quadrotor.flight.kernel_mission import KernelMission
from robots.quadrotor.flight.simulator import QuadrotorFlight
from robots.simulator import Step, map_state

ROWS = 60
TASKS = [name for name in QUADROTOR_TASKS if not name.endswith(("-randomized", "-gusty"))]
RANDOM = {"mass": "0.3", "rotor_thrust": "0.1", "inertia": "0.3", "wind": "1", "gust": "3"}
CASES: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in TASKS),
    ("quadrotor-hover", {"interface": "ctbr", **RANDOM}),
    ("quadrotor-hover", {"interface": "velocity", "quadrotor": "rl-tools"}),
    ("quadrotor-hover", RANDOM),
]
EVERY_CASE = pytest.mark.parametrize(
    ("name", "options"), CASES, ids=["-".join((name, *map(str, options.values()))) for name, options in CASES]
)


def flight(name: str, options: dict[str, Any], dtype: torch.dtype = torch.float32) -> QuadrotorFlight:
    simulator = robots.make(name, dtype=dtype, **options)
    assert isinstance(simulator, QuadrotorFlight)
    assert isinstance(simulator.mission, KernelMission)
    return simulator


def commands(simulator: QuadrotorFlight, steps: int, seed: int = 0) -> Tensor:
    """(S, B, 4) commands, some of them beyond the bounds."""
    low, high = (
        torch.tensor(x, dtype=simulator.dtype) for x in (simulator.spec.action_low, simulator.spec.action_high)
    )
    generator = torch.Generator().manual_seed(seed)
    unit = 1.4 * torch.rand(steps, ROWS, 4, generator=generator, dtype=simulator.dtype) - 0.2
    return low + (high - low) * unit


def without_gradient(step: Step) -> Step:
    """The same numbers without a graph."""
    return map_state(torch.Tensor.detach, step)


@EVERY_CASE
def test_a_step_has_the_bits_of_its_parts_with_and_without_gradients(name: str, options: dict[str, Any]) -> None:
    simulator, parts = flight(name, options), flight(name, options)
    parts._whole = None
    state = simulator.reset(ROWS, 0)
    state.body.position[: ROWS // 4, 2] = 0.01  # some reach the floor
    for action in commands(simulator, 15):
        step, with_gradients = simulator.step(state, action), simulator.step(state, action.clone().requires_grad_())
        assert with_gradients.reward.requires_grad
        assert not any(leaf.requires_grad for leaf in leaves(step))
        assert same(step, without_gradient(with_gradients))
        assert same(step, parts.step(state, action))
        state = step.state


def pulled_back(simulator: QuadrotorFlight, record: Callable[[Any, Tensor], tuple[Step, Pullback]]) -> list[Tensor]:
    """Random sums of observations and rewards over some steps, differentiated by each command (B, 4)."""
    state, steps = simulator.reset(ROWS, 0), []
    actions = commands(simulator, 4)
    actions[:, ::3] = torch.tensor(simulator.spec.action_high)  # at the bounds a command has a slope
    for action in actions:
        step, pull_back = record(state, action)
        assert same(step, simulator.step(state, action))
        state = step.state
        steps.append((step, pull_back))
    generator, by_state, found = torch.Generator().manual_seed(0), (), []
    for step, pull_back in reversed(steps):
        given = (torch.randn(x.shape, generator=generator) for x in (step.observation, step.reward))
        by_state, by_action = pull_back(by_state, *given)
        found.append(by_action)
    return found


@pytest.mark.usefixtures("adjoints_compile_quickly")
@EVERY_CASE
def test_the_pullback_of_a_step_is_that_of_its_parts(name: str, options: dict[str, Any]) -> None:
    parts = flight(name, options)
    parts._whole = None
    whole = flight(name, options)
    found, expected = pulled_back(whole, recorder(whole)), pulled_back(parts, partial(by_autograd, parts))
    for own, other in zip(found, expected, strict=True):
        assert own.abs().amax(dim=0).gt(0.0).all()
        torch.testing.assert_close(own, other, rtol=1e-4, atol=1e-5 * float(other.abs().max()))


@EVERY_CASE
def test_a_step_leaves_its_arguments_alone(name: str, options: dict[str, Any]) -> None:
    simulator = flight(name, options)
    state, action = simulator.reset(ROWS, 0), commands(simulator, 1)[0]
    kept, kept_action = map_state(torch.clone, state), action.clone()
    first = map_state(torch.clone, simulator.step(state, action))
    other = simulator.step(state, -action)
    assert same(state, kept)
    assert torch.equal(action, kept_action)
    assert same(first, simulator.step(state, action))
    assert not same(first, other)


@EVERY_CASE
def test_no_step_writes_into_an_earlier_one(name: str, options: dict[str, Any]) -> None:
    simulator = flight(name, options)
    state = simulator.reset(ROWS, 0)
    steps, copies = [], []
    for action in commands(simulator, 4):
        steps.append(simulator.step(state, action))
        copies.append(map_state(torch.clone, steps[-1]))
        state = steps[-1].state
    assert all(same(step, copy) for step, copy in zip(steps, copies, strict=True))


@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize("interface", ["motors", "ctbr", "velocity"])
def test_a_command_that_is_no_number_gives_a_body_that_is_none(interface: str, grad: bool) -> None:
    """A NaN is not clipped to a bound, so that the fault of a policy shows."""
    simulator = flight("quadrotor-hover", {"interface": interface})
    state, action = simulator.reset(5, 0), torch.zeros(5, 4)
    action[:4] += torch.diag(torch.full((4,), torch.nan))
    body = simulator.step(state, action.requires_grad_(grad)).state.body
    assert body.values[:4].isnan().any(dim=1).all()
    assert not body.values[4].isnan().any()
