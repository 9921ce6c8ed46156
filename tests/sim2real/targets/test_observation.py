"""Observations built of a vehicle's motion are those of the simulator in the same state."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import robots
from hgrpo_control.config.learning import Network
from hgrpo_control.training.simulation import policy_spec
from policies.spec import Channel, PolicySpec
from robots.quadrotor.flight.simulator import QuadrotorFlight
from sim2real.flight.target import TargetError
from sim2real.targets.goals import GoalOptions, Goals
from sim2real.targets.observation import Motion, QuadrotorObservation


def flight(task: str, **options: Any) -> tuple[QuadrotorFlight, PolicySpec]:
    simulator = robots.make(task, **options)
    assert isinstance(simulator, QuadrotorFlight)
    return simulator, policy_spec(simulator.spec, Network(), critic=False)


def motion_of(state: Any) -> Motion:
    body = state.body
    parts = (body.position, body.velocity, body.quaternion, body.angular_velocity)
    return Motion(*(part[0].double().numpy() for part in parts))


@pytest.mark.parametrize("history", [0, 1, 3])
@pytest.mark.parametrize("interface", ["motors", "ctbr", "velocity"])
def test_hover(interface: str, history: int) -> None:
    simulator, spec = flight("quadrotor-hover", interface=interface, action_history=history)
    builder = QuadrotorObservation(spec, Goals(GoalOptions((0.0, 0.0, 2.0))))
    state, generator = simulator.reset(1, seed=5), torch.Generator().manual_seed(0)
    low, high = torch.tensor(spec.action_low), torch.tensor(spec.action_high)
    for _ in range(5):
        built = builder.build(motion_of(state))
        np.testing.assert_allclose(built, simulator.observe(state)[0].numpy(), atol=2e-6)
        action = low + (high - low) * torch.rand(4, generator=generator)
        builder.applied(action.double().numpy())
        state = simulator.step(state, action.unsqueeze(0)).state


def test_waypoints_are_left_one_after_the_other() -> None:
    simulator, spec = flight("quadrotor-waypoints", points=3, difficulty=0.3)
    state = simulator.reset(1, seed=2)
    builder = QuadrotorObservation(spec, Goals(GoalOptions(tuple(state.mission.points[0].flatten().tolist()))))
    for point in state.mission.points[0]:
        np.testing.assert_allclose(builder.build(motion_of(state)), simulator.observe(state)[0].numpy(), atol=2e-6)
        state = state._replace(
            body=state.body.changed(position=point.unsqueeze(0)),
            mission=state.mission._replace(counts=state.mission.counts + torch.tensor([1, 0])),
        )


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (Channel("position_error_x", "cm", "body"), r"'position_error_x' \[cm\] in body has no source"),
        (Channel("velocity_x", "m/s", "world"), r"'velocity_x' \[m/s\] in world has no source"),
        (Channel("ray_3", "m"), r"'ray_3' \[m\] in no frame has no source"),
        (Channel("previous_a", "N"), r"'previous_a' \[N\]"),
        (Channel("up_w", "1", "body"), r"'up_w' \[1\] in body"),
    ],
)
def test_entries_without_a_source_are_refused_by_name(entry: Channel, message: str) -> None:
    spec = PolicySpec("t", "", 100.0, (entry,), (Channel("a", "g"),), (0.0,), (2.0,), (1.0,))
    with pytest.raises(TargetError, match=message):
        QuadrotorObservation(spec, Goals())
