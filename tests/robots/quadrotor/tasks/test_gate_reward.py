"""quadrotor-gates: what is paid and seen, whichever way the course is turned."""

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
from support.gate_races import SIM, G, changed, flown, fly, race, state, tensor
from torch import Tensor

import robots
from robots.quadrotor.body.dynamics import QuadrotorState
from robots.quadrotor.tasks.gates import task
from robots.quadrotor.tasks.gates.task import FLYING
from robots.simulator import Step, select

# --- reward and observation -------------------------------------------------------------------------------------------


def test_reward_is_the_documented_formula() -> None:
    """The formula is read from the module's docstring, so that the two cannot part."""
    block = re.search(r"Reward per step(?s:.*?)\n\n((?: {4}.*\n)+)", task.__doc__ or "")
    assert block is not None
    formula = block[1].replace("|a - a_previous|", "change").replace("|omega|", "omega").replace("^", "**")
    formula = re.sub(r"(?<=[\d)]) +(?=[a-z(])", " * ", " ".join(formula.split()))
    start, row = SIM.reset(400, 1), torch.arange(400)
    middle, axes = (x[row, start.mission.first] for x in (start.mission.centre, start.mission.axes))
    forward = axes[:, 0]
    start.body.position[:] = middle - 0.01 * forward
    start.body.position[::2, 2] += torch.linspace(-1.0, 1.0, 200, dtype=torch.float64)  # some hit, some miss
    start.body.velocity[:] = 4.0 * forward
    action = 2.0 * torch.rand(400, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64) - 1.0
    step = SIM.step(start, action)
    passed, ending = step.state.mission.passed, step.state.mission.ending
    assert torch.bincount(ending, minlength=3).min() > 20
    before, after = (
        torch.einsum("bij,bj->bi", axes, x - middle) for x in (start.body.position, step.state.body.position)
    )
    share = before[:, :1] / (before[:, :1] - after[:, :1])
    in_plane = (before + share * (after - before))[:, 1:].abs().amax(dim=1)
    c = torch.where(passed > 0, in_plane / (start.mission.half - 0.05), 0.0)
    assert c.max() > 0.5
    names = {
        "c": c.numpy(),
        "d_before": (middle - start.body.position).norm(dim=1).numpy(),
        "d_after": (middle - step.state.body.position).norm(dim=1).numpy(),
        "passed": passed.numpy(),
        "failed": (ending != FLYING).double().numpy(),
        "omega": step.state.body.angular_velocity.norm(dim=1).numpy(),
        "change": (step.state.last_action - start.last_action).norm(dim=1).numpy(),
    }
    np.testing.assert_allclose(step.reward, eval(formula, names), rtol=1e-9, atol=1e-9)


def test_reward_by_hand() -> None:
    """From 0.3 m before the gate to 0.1 m behind it at 2 rad/s: 10 * 0.2 + 5 - 0.0005 * 4 = 6.998; into the frame at
    y = 0.4, from 0.5 m off to 0.4 m: 10 * 0.1 - 10 = -9."""
    ways = [((-0.3, 0.0, 2.0), (0.1, 0.0, 2.0), 2.0), ((-0.3, 0.4, 2.0), (0.0, 0.4, 2.0), 0.0)]
    outcomes = [fly(race(), start, end, rate=rate) for start, end, rate in ways]
    paid = [sum(SIM.weights[name] * term.item() for name, term in x.terms.items()) for x in outcomes]
    assert paid == pytest.approx([6.998, -9.0])


def slopes(term: str, start: object, end: object) -> tuple[Tensor, Tensor]:
    """Slopes (3,) of a term, or of the times, with respect to the positions before and after the step."""
    context = flown(start, end)
    before, after = (body.values.clone().requires_grad_() for body in (context.before, context.after))
    context = context._replace(before=QuadrotorState(before), after=QuadrotorState(after))
    outcome = SIM.mission.advance(context, race())
    result = outcome.mission.values.sum() if term == "times" else outcome.terms[term]
    first, second = torch.autograd.grad(result, (before, after))
    return first[0, :3], second[0, :3]


def test_slopes_by_hand() -> None:
    """The plane x = 0 is met half way at z - 2 = 0.2, where c = 0.2 / 0.35 m.

    With s = 0.5, z_met = z_start + s (z_end - z_start), so d(c^2)/dz_end = s * 2 * 0.2 / 0.35^2.
    """
    start, end = (-0.1, 0.0, 2.2), (0.1, 0.0, 2.2)
    before, after = slopes("off_centre", start, end)
    expected = [0.0, 0.0, 0.2 / 0.35**2]
    assert (before.tolist(), after.tolist()) == (pytest.approx(expected), pytest.approx(expected))
    before, after = slopes("progress", start, end)
    there = np.array([0.1, 0.0, 0.2]) / math.hypot(0.1, 0.2)
    assert before.numpy() == pytest.approx(there * [-1.0, 1.0, 1.0])
    assert after.numpy() == pytest.approx(-there)
    # share = x_start / (x_start - x_end) = 0.5, so its slope is -(0.1, 0.1) / 0.2^2; both times are share * 0.01 s
    before, after = slopes("times", start, end)
    assert (before[0].item(), after[0].item()) == pytest.approx((-0.05, -0.05))
    for event in ("passed", "failed"):
        assert not any(slope.any() for slope in slopes(event, start, end))


@pytest.mark.parametrize("term", ["progress", "off_centre", "times"])
@pytest.mark.parametrize(
    ("start", "end"),
    [
        ((0.0, 0.0, 2.0), (0.0, 0.0, 2.0)),
        ((-0.1, 0.0, 2.0), (0.0, 0.0, 2.0)),
        ((-0.1, 0.0, 2.0), (-0.1, 0.0, 2.0)),
        ((0.0, -1.0, 2.0), (0.0, 1.0, 2.0)),
        ((-0.1, 0.1, 2.1), (0.1, 0.1, 2.1)),
        ((-0.1, 0.35, 2.0), (0.1, 0.35, 2.0)),
        ((-0.1, 0.4, 2.0), (0.1, 0.4, 2.0)),
        ((-0.1, 0.6, 2.0), (0.1, 0.6, 2.0)),
    ],
    ids=["rest at the centre", "stop at the centre", "rest", "in the plane", "diagonal", "edge", "frame", "miss"],
)
def test_slopes_are_finite_at_events(start: object, end: object, term: str) -> None:
    assert all(slope.isfinite().all() for slope in slopes(term, start, end))


def test_observation_shows_the_corners_of_two_gates_in_the_body_frame() -> None:
    """At (4, 1, 2), heading along -x after three gates: forward is -x, left is -y. The fourth gate, at (4, 2, 2) and
    passed along -x, is 1 m to the right; its left is -y as well. The fifth is 2 m further on."""
    here = state(race(passed=3), (4.0, 1.0, 2.0))
    here = here._replace(body=here.body.changed(quaternion=tensor([[0.0, 0.0, 0.0, 1.0]])))
    seen = SIM.observe(here)[0, :24].reshape(2, 4, 3)
    for gate, ahead in ((0, 0.0), (1, 2.0)):
        expected = [[ahead, y, z] for y, z in ((-0.6, 0.4), (-1.4, 0.4), (-1.4, -0.4), (-0.6, -0.4))]
        assert seen[gate].numpy() == pytest.approx(np.array(expected), abs=1e-12)
    names = [q.name for q in SIM.spec.observation[:24]]
    corners = ("upper_left", "upper_right", "lower_right", "lower_left")
    expected_names = itertools.product(("next", "second"), corners, "xyz")
    assert names == [f"{which}_gate_{corner}_{axis}" for which, corner, axis in expected_names]


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
        mission=changed(here.mission, centre=turned(here.mission.centre), axes=turned(here.mission.axes)),
    )
    for action in torch.rand(5, 8, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64):
        a, b = SIM.step(here, action), SIM.step(there, action)
        np.testing.assert_allclose(b.observation, a.observation, atol=1e-10)
        np.testing.assert_allclose(b.reward, a.reward, atol=1e-9)
        assert torch.equal(a.terminated, b.terminated)
        here, there = a.state, b.state


def test_a_row_has_the_same_bits_in_any_batch() -> None:
    """At states anywhere on the lap, in front of gates and in their planes."""
    simulator = robots.make("quadrotor-gates")
    start = simulator.reset(9, 4)
    start = start._replace(mission=changed(start.mission, passed=torch.arange(9)))
    start.body.position[:] = start.mission.centre[torch.arange(9), (start.mission.first + torch.arange(9)) % G]
    action = torch.rand(9, 4, generator=torch.Generator().manual_seed(0))
    together: Step = simulator.step(start, action)
    for row in range(9):
        alone = simulator.step(select(start, slice(row, row + 1)), action[row : row + 1])
        assert torch.equal(alone.observation, together.observation[row : row + 1])
        assert torch.equal(alone.reward, together.reward[row : row + 1])
        for mine, theirs in zip(alone.state.mission, together.state.mission, strict=True):
            assert torch.equal(mine, theirs[row : row + 1])
