"""gym-pybullet-drones under the quadrotor's tasks: its own environment's flights, and closed forms."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import robots
from robots.options import OptionError
from robots.pybullet_drones.physics import PHYSICS_HZ, PybulletDrone
from robots.quadrotor.body.dynamics import QuadrotorState
from robots.quadrotor.body.parameters import preset
from robots.quadrotor.physics.physics import PhysicsError

pytestmark = pytest.mark.slow

needs_drones = pytest.mark.skipif(
    importlib.util.find_spec("gym_pybullet_drones") is None or importlib.util.find_spec("pybullet") is None,
    reason="needs gym-pybullet-drones: pip install '.[drones]'",
)
CF2X = preset("cf2x")
HOVER = 1.0 / 3.0
H = 1.0 / PHYSICS_HZ


@pytest.fixture(scope="module", name="engine")
def made() -> Iterator[PybulletDrone]:
    """One engine for all tests, in periods of 10 ms, with two workers: what it did before must not matter."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    engine = PybulletDrone(CF2X, 0.01)
    torch.set_num_threads(before)
    yield engine
    engine.close()


def resting(rows: int = 1, rotor_speed: float = 2.0 / 3.0, height: float = 50.0) -> QuadrotorState:
    """Level bodies at rest."""
    body = QuadrotorState.of(*(torch.zeros(rows, size, dtype=torch.float64) for size in (3, 3, 4, 3, 4)))
    body.position[:, 2] = height
    body.quaternion[:, 0] = 1.0
    body.rotor_speed[:] = rotor_speed
    return body


def held(engine: PybulletDrone, body: QuadrotorState, motors: list[float], periods: int) -> QuadrotorState:
    for _ in range(periods):
        body, touches = engine.step(body, torch.tensor([motors], dtype=torch.float64).expand(len(body.position), 4))
        assert not touches.any()
    return body


@needs_drones
def test_free_fall_at_its_own_gravity_and_with_its_own_damping(engine: PybulletDrone) -> None:
    """Rotors that stand still drag nothing; PyBullet damps v' = -(0.04 + 0.04 |v|) v and steps v, then z."""
    v = z = 0.0
    for _ in range(50):
        v += H * (-9.8 - (0.04 + 0.04 * abs(v)) * v)
        z += H * v
    fallen = held(engine, resting(rotor_speed=0.0), [-1.0] * 4, 10)
    assert float(fallen.velocity[0, 2]) == pytest.approx(v, rel=1e-4)
    assert float(fallen.position[0, 2]) == pytest.approx(50.0 + z, abs=1e-5)
    assert abs(v + 0.98) < 0.01


@needs_drones
def test_the_command_that_hovers_here_hovers_there(engine: PybulletDrone) -> None:
    after = held(engine, resting(), [HOVER] * 4, 50)
    assert float(after.velocity.norm()) < 1e-4
    torch.testing.assert_close(after.quaternion, resting().quaternion, rtol=0.0, atol=1e-9)


@needs_drones
@pytest.mark.parametrize(
    ("faster", "lever", "axis"),
    [((3, 4), 0.028, 0), ((2, 3), 0.028, 1), ((2, 4), CF2X.torque_per_thrust, 2)],
    ids=["left lifts: roll", "back lifts: pitch", "counter-clockwise push: yaw"],
)
def test_differential_thrust_turns_the_same_way(
    engine: PybulletDrone, faster: tuple[int, int], lever: float, axis: int
) -> None:
    """tau = lever * 2 (f(0.8) - f(0.6)), positive about the same axis as in the built-in dynamics; 10 ms of it. Their
    full thrust is 9.8 / 9.81 of ours, and damping takes 0.04 h |omega| of a step."""
    body = held(engine, resting(), [0.6 if rotor in faster else 0.2 for rotor in (1, 2, 3, 4)], 1)
    torque = 2.0 * (CF2X.thrust(0.8) - CF2X.thrust(0.6)) * lever * 9.8 / 9.81
    rate = torch.zeros(1, 3, dtype=torch.float64)
    rate[0, axis] = torque / CF2X.inertia[axis] * 0.01
    torch.testing.assert_close(body.angular_velocity, rate, rtol=0.02, atol=1e-3)


@needs_drones
def test_drag_goes_by_the_rotor_speeds_of_the_physics_step_before(engine: PybulletDrone) -> None:
    """At 1 m/s: -9.1785e-7 times the sum of the rotor speeds [rad/s] over the mass, and 0.08 1/s of damping. In the
    first of five steps the rotors count as they were, at half speed, then as they are, at 2/3."""
    body = resting(rotor_speed=0.5)
    body.velocity[:, 0] = 1.0
    after = held(engine, body, [HOVER] * 4, 1)
    spinning = 4.0 * (0.2 * 0.5 + 0.8 * 2.0 / 3.0) * engine.conventions.max_rpm * 2.0 * np.pi / 60.0
    slower = 0.01 * (9.1785e-7 * spinning / 0.027 + 0.08)
    assert float(after.velocity[0, 0]) == pytest.approx(1.0 - slower, abs=2e-5)


@needs_drones
def test_the_ground_lifts_a_drone_near_it(engine: PybulletDrone) -> None:
    """Each rotor at 0.1 m gains 11.36859 (0.0231348 / 0.4)^2 = 3.8 % of its thrust: 0.0380 * 9.8 m/s^2 more."""
    low, high = (held(engine, resting(height=height), [HOVER] * 4, 1).velocity[0, 2] for height in (0.1, 50.0))
    share = 11.36859 * (0.0231348 / 0.4) ** 2
    assert float(low - high) == pytest.approx(0.01 * 9.8 * share, rel=0.01)


@needs_drones
def test_it_lands_and_is_felt_to(engine: PybulletDrone) -> None:
    body, touching = resting(height=0.1, rotor_speed=0.0), []
    for _ in range(40):
        body, touches = engine.step(body, torch.full((1, 4), -1.0))
        touching.append(bool(touches))
    assert not any(touching[:10])  # 0.0875 m of fall take 0.13 s
    assert touching[20:] == [True] * 20
    assert float(body.position[0, 2]) == pytest.approx(0.0125, abs=0.002)  # half the height of its collision cylinder


@needs_drones
@pytest.mark.parametrize("duration", [0.01, 0.002])
def test_a_flight_is_that_of_its_own_environment(duration: float) -> None:
    """Beside a CtrlAviary that is stepped on and on, from rest, on random rotor speeds about hover."""
    control_hz, steps = round(1.0 / duration), 40
    generator = torch.Generator().manual_seed(2)
    motors = HOVER + 0.4 * (2.0 * torch.rand(steps, 4, generator=generator, dtype=torch.float64) - 1.0)
    engine, body = PybulletDrone(CF2X, duration), resting(rotor_speed=0.0, height=3.0)
    try:
        for command in motors:
            body, _ = engine.step(body, command[None])
        max_rpm = engine.conventions.max_rpm
    finally:
        engine.close()
    env = own_environment(control_hz)
    for command in motors:
        env.step(max_rpm * 0.5 * (command.numpy()[None] + 1.0))
    assert np.abs(env.ang_v[0]).max() > 0.5
    np.testing.assert_allclose(body.position[0].numpy(), env.pos[0], rtol=0.0, atol=1e-9)
    np.testing.assert_allclose(body.velocity[0].numpy(), env.vel[0], rtol=0.0, atol=1e-7)
    np.testing.assert_allclose(body.quaternion[0].numpy(), np.roll(env.quat[0], 1), rtol=0.0, atol=1e-7)
    env.close()


def own_environment(control_hz: int) -> Any:
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its import of pkg_resources warns too
        from gym_pybullet_drones.envs import CtrlAviary
        from gym_pybullet_drones.utils.enums import Physics

        return CtrlAviary(
            initial_xyzs=np.array([[0.0, 0.0, 3.0]]),
            physics=Physics.PYB_GND_DRAG_DW,
            pyb_freq=PHYSICS_HZ,
            ctrl_freq=control_hz,
            user_debug_gui=False,
        )


@needs_drones
def test_a_row_moves_alike_in_any_batch_and_every_time(engine: PybulletDrone) -> None:
    generator = torch.Generator().manual_seed(1)
    body = resting(4, height=0.05)
    body.position[:, 2] += torch.tensor([0.0, 1.0, 2.0, 3.0])
    body.angular_velocity[:] = torch.randn(4, 3, generator=generator, dtype=torch.float64)
    motors = torch.rand(4, 4, generator=generator, dtype=torch.float64)
    together = engine.step(body, motors)[0]
    engine.step(resting(3, height=0.01), motors[:3])  # three on the ground leave nothing behind
    alone = engine.step(QuadrotorState(body.values[2:3]), motors[2:3])[0]
    for many, one, again in zip(together, alone, engine.step(body, motors)[0], strict=True):
        assert torch.equal(many[2:3], one)
        assert torch.equal(many, again)


@needs_drones
def test_a_flight_that_is_lost_is_told(engine: PybulletDrone) -> None:
    body = resting(3)
    body.velocity[1] = torch.nan
    with pytest.raises(PhysicsError, match=r"^gym-pybullet-drones .* 1 of 3 flights$"):
        engine.step(body, torch.zeros(3, 4))


@needs_drones
@pytest.mark.parametrize("interface", ["motors", "ctbr", "velocity"])
def test_a_task_flies_there(interface: str) -> None:
    simulator = robots.make("quadrotor-waypoints", quadrotor="cf2x", interface=interface, physics="gym-pybullet-drones")
    home = robots.make("quadrotor-waypoints", quadrotor="cf2x", interface=interface)
    neutral: Tensor = torch.tensor([home.spec.neutral_action]).repeat(3, 1)
    there, here = simulator.reset(3, 0), home.reset(3, 0)
    for _ in range(10):
        there, here = simulator.step(there, neutral).state, home.step(here, neutral).state
    assert float((there.body.position - here.body.position).norm(dim=1).max()) < 0.01
    assert float((there.body.velocity - here.body.velocity).norm(dim=1).max()) < 0.05
    vars(simulator)["physics"].close()


def test_it_has_one_airframe() -> None:
    with pytest.raises(OptionError) as caught:
        robots.make("quadrotor-hover", physics="gym-pybullet-drones")
    assert str(caught.value) == "physics=gym-pybullet-drones flies quadrotor=cf2x only; given quadrotor=cf21B_500"
