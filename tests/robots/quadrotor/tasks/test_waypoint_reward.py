"""quadrotor-waypoints: what is paid and seen, whichever way the course is turned."""

from __future__ import annotations

import itertools
import math
import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from support.waypoint_flights import SIM, changed, flown, state, task, tensor, vector
from torch import Tensor

import robots
from robots.quadrotor.body.dynamics import QuadrotorState
from robots.quadrotor.tasks import waypoints
from robots.simulator import Step, select

# --- reward -----------------------------------------------------------------------------------------------------------


def test_reward_is_the_documented_formula() -> None:
    """The formula is read from the module's docstring, so that the two cannot part."""
    block = re.search(r"Reward per step.*?\n\n((?: {4}.*\n)+)", waypoints.__doc__ or "")
    assert block is not None
    formula = block[1].replace("|a - a_previous|", "change").replace("|omega|", "omega").replace("^", "**")
    formula = re.sub(r"(?<=[\d)]) +(?=[a-z(])", " * ", " ".join(formula.split()))
    start = SIM.reset(300, 1)
    height, heading = start.body.position, start.mission.points[:, 0] - start.body.position
    height[::3, 2] = 0.005  # some fall to the floor, some are about to reach
    start.body.velocity[::3, 2] = -5.0
    height[1::3] += (1.0 - 0.25 / heading.norm(dim=1, keepdim=True))[1::3] * heading[1::3]
    start.body.velocity[1::3] = 8.0 * (heading / heading.norm(dim=1, keepdim=True))[1::3]
    step = SIM.step(
        start, 2.0 * torch.rand(300, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64) - 1
    )
    point = start.mission.points[:, 0]
    reached, crashed = step.state.mission.reached - start.mission.reached, step.state.mission.crashed
    assert min(int(reached.sum()), int(crashed.sum())) > 50
    names = {
        "d_before": (point - start.body.position).norm(dim=1).numpy(),
        "d_after": (point - step.state.body.position).norm(dim=1).numpy(),
        "reached": reached.numpy(),
        "crashed": crashed.double().numpy(),
        "omega": step.state.body.angular_velocity.norm(dim=1).numpy(),
        "change": (step.state.last_action - start.last_action).norm(dim=1).numpy(),
    }
    np.testing.assert_allclose(step.reward, eval(formula, names), rtol=1e-9, atol=1e-9)


def test_reward_by_hand() -> None:
    """0.3 m nearer at 2 rad/s, not yet there: 10 * 0.3 - 0.0005 * 4 = 2.998; then 0.2 m on to 0.1 m: 2 + 5."""
    first = SIM.mission.advance(flown((0.4, 0.0, 2.0), (0.7, 0.0, 2.0), rate=2.0), task(1))
    second = SIM.mission.advance(flown((0.7, 0.0, 2.0), (0.9, 0.0, 2.0)), first.mission)
    paid = [sum(SIM.weights[name] * term.item() for name, term in x.terms.items()) for x in (first, second)]
    assert paid == pytest.approx([2.998, 7.0])


@settings(max_examples=30)
@given(way=st.lists(vector, min_size=2, max_size=8))
def test_progress_sums_to_the_distance_gained_whatever_the_way(way: list[tuple[float, float, float]]) -> None:
    mission = changed(task(1), points=tensor([[[50.0, 0.0, 0.0]] * 5]))
    gained = sum(SIM.mission.advance(flown(a, b), mission).terms["progress"].item() for a, b in itertools.pairwise(way))
    assert gained == pytest.approx(math.dist(way[0], (50, 0, 0)) - math.dist(way[-1], (50, 0, 0)), abs=1e-9)


def slopes(term: str, start: object, end: object) -> tuple[Tensor, Tensor]:
    """Slopes (3,) of a term with respect to the positions before and after the step."""
    context = flown(start, end)
    before, after = (body.values.clone().requires_grad_() for body in (context.before, context.after))
    context = context._replace(before=QuadrotorState(before), after=QuadrotorState(after))
    first, second = torch.autograd.grad(SIM.mission.advance(context, task(1)).terms[term], (before, after))
    return first[0, :3], second[0, :3]


def test_slopes_by_hand() -> None:
    """The point is (1, 0, 2): progress rises along the way to it, and events have no slope."""
    start, end = (0.4, 0.0, 2.0), (1.0, 0.1, 2.0)
    before, after = slopes("progress", start, end)
    assert (before.tolist(), after.tolist()) == (pytest.approx([-1.0, 0.0, 0.0]), pytest.approx([0.0, -1.0, 0.0]))
    for event in ("reached", "crashed"):
        assert not any(slope.any() for slope in slopes(event, start, end))


def test_slope_at_the_point_is_zero() -> None:
    at_rest, arriving = (slopes("progress", start, (1.0, 0.0, 2.0)) for start in ((1.0, 0.0, 2.0), (0.9, 0.0, 2.0)))
    assert not any(slope.any() for slope in (*at_rest, arriving[1]))
    assert arriving[0].tolist() == pytest.approx([-1.0, 0.0, 0.0])


# --- observation ------------------------------------------------------------------------------------------------------


def test_observation_shows_this_point_and_the_next_in_the_body_frame() -> None:
    """The drone at (1, 0, 2) heads along y: forward is world y, left is world -x. After the first point it goes to
    (1, 1, 2), 1 m ahead, then to (0, 1, 3): 1 m ahead, 1 m to the left, 1 m up."""
    turned = state(task(1, reached=1), (1.0, 0.0, 2.0))
    half = math.sqrt(0.5)
    turned = turned._replace(body=turned.body.changed(quaternion=tensor([[half, 0.0, 0.0, half]])))
    assert SIM.observe(turned)[0, :6].tolist() == pytest.approx([1.0, 0.0, 0.0, 1.0, 1.0, 1.0])
    names = [q.name for q in SIM.spec.observation[:6]]
    assert names == [f"{which}_point_{axis}" for which in ("this", "next") for axis in "xyz"]


def test_on_the_last_leg_the_next_point_is_the_last_again() -> None:
    seen = SIM.observe(state(task(1, reached=4), (0.0, 0.0, 2.0)))[0]
    assert seen[:6].tolist() == pytest.approx([0.0, 0.0, -1.0] * 2)


@settings(max_examples=10)
@given(angle=st.floats(-math.pi, math.pi), seed=st.integers(0, 1000))
def test_turning_course_and_drone_together_changes_nothing(angle: float, seed: int) -> None:
    turn = Rotation.from_rotvec([0.0, 0.0, angle])

    def turned(x: Tensor) -> Tensor:
        return tensor(turn.apply(x.reshape(-1, 3).numpy())).reshape(x.shape)

    here = SIM.reset(8, seed)
    attitude = turn * Rotation.from_quat(here.body.quaternion.numpy(), scalar_first=True)
    there = here._replace(
        body=here.body.changed(
            position=turned(here.body.position),
            velocity=turned(here.body.velocity),
            quaternion=tensor(attitude.as_quat(scalar_first=True)),
        ),
        mission=changed(here.mission, points=turned(here.mission.points)),
    )
    for action in torch.rand(5, 8, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64):
        a, b = SIM.step(here, action), SIM.step(there, action)
        np.testing.assert_allclose(b.observation, a.observation, atol=1e-10)
        np.testing.assert_allclose(b.reward, a.reward, atol=1e-9)
        assert torch.equal(a.terminated, b.terminated)
        here, there = a.state, b.state


def test_a_row_has_the_same_bits_in_any_batch() -> None:
    """At states in which points have been reached, which random flights seldom get to."""
    simulator = robots.make("quadrotor-waypoints")
    start = simulator.reset(9, 4)
    start = start._replace(mission=changed(start.mission, reached=torch.arange(9) % 6))
    action = torch.rand(9, 4, generator=torch.Generator().manual_seed(0))
    together: Step = simulator.step(start, action)
    for row in range(9):
        alone = simulator.step(select(start, slice(row, row + 1)), action[row : row + 1])
        assert torch.equal(alone.observation, together.observation[row : row + 1])
        assert torch.equal(alone.reward, together.reward[row : row + 1])
        assert torch.equal(alone.state.mission.reached, together.state.mission.reached[row : row + 1])
