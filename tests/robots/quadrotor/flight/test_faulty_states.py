"""A body with a NaN shows it, so that training and evaluation can stop."""

from __future__ import annotations

import pytest
import torch
from support.states import same

import robots
from robots.catalogue import QUADROTOR_TASKS
from robots.quadrotor.flight.simulator import QuadrotorFlight
from robots.simulator import map_state, select

COLUMNS = {"position": 2, "velocity": 3, "quaternion": 6, "angular velocity": 10, "rotor speed": 13}
HEALTHY = len(COLUMNS)  # the last row


@pytest.mark.parametrize("grad", [False, True], ids=["one launch", "with gradients"])
@pytest.mark.parametrize("name", QUADROTOR_TASKS)
def test_a_nan_of_the_body_reaches_observation_and_reward_of_its_row_alone(name: str, grad: bool) -> None:
    simulator = robots.make(name)
    assert isinstance(simulator, QuadrotorFlight)
    healthy = simulator.reset(HEALTHY + 1, 0)
    body = healthy.body.values.clone()
    body[range(HEALTHY), list(COLUMNS.values())] = torch.nan
    state = healthy._replace(body=healthy.body._replace(values=body))
    action = torch.tensor([simulator.spec.neutral_action]).repeat(HEALTHY + 1, 1).requires_grad_(grad)
    step, whole = (map_state(torch.Tensor.detach, simulator.step(x, action)) for x in (state, healthy))
    assert step.observation[:HEALTHY].isnan().any(dim=1).all()
    assert step.reward[:HEALTHY].isnan().all()
    assert not step.terminated[:HEALTHY].any()  # what follows a termination is not examined
    last = slice(HEALTHY, None)
    assert same(select(step, last), select(whole, last))
