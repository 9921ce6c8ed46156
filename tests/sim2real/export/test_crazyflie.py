"""The Crazyflie controller, compiled for this machine against headers of the firmware's names, is the policy."""

from __future__ import annotations

import ctypes
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from support.hover_controller import hover_controller

import robots
from hgrpo_control.config.learning import Network
from hgrpo_control.training.simulation import policy_spec
from policies.actor_critic import ActorCritic
from policies.carried import Carried
from robots.quadrotor.body.parameters import GRAVITY, preset
from robots.quadrotor.flight.simulator import QuadrotorFlight
from robots.quadrotor.tasks.hover import TARGET
from sim2real.export.crazyflie import export_crazyflie
from sim2real.export.crazyflie_commands import Airframe
from sim2real.export.exportable import ExportError
from sim2real.policy.c_policy import WARNINGS, run_compiler

pytestmark = [pytest.mark.slow, pytest.mark.skipif(shutil.which("gcc") is None, reason="no gcc here to compile C with")]

FIRMWARE = Path(__file__).parent / "crazyflie_firmware"
FORCE, LEGACY = 2, 0  # control modes
OFF, ABSOLUTE, VELOCITY = 0, 1, 2  # setpoint modes
CF = preset("cf21B_500")
AIRFRAME = Airframe(CF.mass, GRAVITY, CF.thrust_curve, CF.rotor_speed_min)
THRUST_MAX = 0.2
STILL = np.array([0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0], np.float32)


def flight(**options: object) -> QuadrotorFlight:
    simulator = robots.make("quadrotor-hover", **options)
    assert isinstance(simulator, QuadrotorFlight)
    return simulator


class Controller:
    """The compiled app; one call is one millisecond."""

    def __init__(self, policy: ActorCritic, folder: Path) -> None:
        export_crazyflie(policy, folder / "app", AIRFRAME)
        library = folder / "app.so"
        sources = [str(folder / "app/src" / name) for name in ("controller_policy.c", "policy.c")]
        flags = ("-std=gnu11", *WARNINGS, "-O2", "-shared", "-fPIC", f"-I{FIRMWARE}")
        run_compiler("gcc", (*flags, *sources, str(FIRMWARE / "harness.c"), "-o", str(library), "-lm"))
        self.library = ctypes.CDLL(str(library))
        self.library.controllerOutOfTreeInit()
        self.library.controllerOutOfTreeTest.restype = ctypes.c_bool
        assert self.library.controllerOutOfTreeTest()
        self.library.set_policy(1)

    def __call__(
        self, motion: NDArray[np.float32], tick: int, timestamp: int, mode: int = ABSOLUTE
    ) -> tuple[int, NDArray[np.float32]]:
        """Control mode and normalised forces (4,) for a motion (13,)."""
        motion, target = np.ascontiguousarray(motion, np.float32), np.array(TARGET, np.float32)
        out = np.empty(4, np.float32)
        pointers = (ctypes.c_void_p(array.ctypes.data) for array in (motion, target))
        result = self.library.tick_once(*pointers, timestamp, mode, tick, ctypes.c_void_p(out.ctypes.data))
        return result, out

    def asked(self) -> NDArray[np.float32]:
        out = np.empty(12, np.float32)
        self.library.last_asked(ctypes.c_void_p(out.ctypes.data))
        return out


def motion_of(state: object) -> NDArray[np.float32]:
    """What the firmware knows of a state of one row; its gyroscope speaks of degrees."""
    body = state.body  # type: ignore[attr-defined]
    rate = torch.rad2deg(body.angular_velocity)
    return torch.cat((body.position, body.velocity, body.quaternion, rate), dim=1)[0].numpy()


def forces(action: NDArray[np.float32]) -> NDArray[np.float64]:
    """Normalised force of each rotor: speed, then the preset's thrust curve, over the platform's greatest thrust."""
    speed = CF.rotor_speed_min + (1.0 - CF.rotor_speed_min) * (action.astype(np.float64) + 1.0) / 2.0
    return np.array([CF.thrust(u) / THRUST_MAX for u in speed])


@pytest.mark.parametrize("history", [0, 1, 3])
def test_flies_what_the_policy_flies(tmp_path: Path, history: int) -> None:
    simulator = flight(difficulty=0.5, action_history=history)
    if history == 1:
        policy = hover_controller(simulator)
    else:  # no hand-made gains for other observations: drawn ones, small enough not to crash at once
        policy = ActorCritic(policy_spec(simulator.spec, Network(hidden_sizes=(8,)), critic=False))
        with torch.no_grad():
            policy.actor[-1].weight.mul_(20.0)
    controller, state = Controller(policy, tmp_path), simulator.reset(1, seed=4)
    with torch.no_grad():
        for step in range(40):
            action = policy(simulator.observe(state))
            for tick in range(1000 + 10 * step, 1000 + 10 * step + 10):  # held for the ten calls of a control step
                mode, sent = controller(motion_of(state), tick, timestamp=tick // 100)
                assert mode == FORCE
                np.testing.assert_allclose(sent, forces(action[0].numpy()), atol=2e-6)
            state = simulator.step(state, action).state
    assert controller.asked()[0] == 0  # the PID controller was never called


@pytest.mark.parametrize("memory", ["gru", "history"])
def test_memory_begins_anew_whenever_the_policy_takes_over(tmp_path: Path, memory: str) -> None:
    simulator = flight()
    network = Network(hidden_sizes=(8,), memory=memory, memory_size=4)
    policy = ActorCritic(policy_spec(simulator.spec, network, critic=False))
    with torch.no_grad():
        policy.actor[-1].weight.mul_(20.0)
    controller, state = Controller(policy, tmp_path), simulator.reset(1, seed=4)
    observation, motion = simulator.observe(state), motion_of(state)
    for takeover in range(2):
        fly = Carried(policy)
        for step in range(5):
            mode, sent = controller(motion, 1000 + 100 * takeover + 10 * step, timestamp=1 + takeover)
            assert mode == FORCE
            action = fly(observation)
            np.testing.assert_allclose(sent, forces(action[0].numpy()), atol=2e-6)
            observation = torch.cat((observation[:, :-4], action), dim=1)  # the past action
        observation = simulator.observe(state)
        controller.library.set_policy(0)
        assert controller(motion, 1090 + 100 * takeover, timestamp=1 + takeover)[0] == LEGACY
        controller.library.set_policy(1)
    assert "memory of the policy" in (tmp_path / "app/README.md").read_text()


@pytest.fixture(scope="module")
def hover(tmp_path_factory: pytest.TempPathFactory) -> Controller:
    return Controller(hover_controller(flight()), tmp_path_factory.mktemp("hover"))


def test_setpoints_that_stop_are_levelled_out_and_then_shut_down(hover: Controller) -> None:
    hover.library.controllerOutOfTreeInit()
    assert hover(STILL, 5000, timestamp=7)[0] == FORCE
    mode, sent = hover(STILL, 5500, timestamp=7)  # 500 ms are not more than 500 ms
    assert mode == FORCE
    np.testing.assert_allclose(sent, CF.mass * GRAVITY / 4.0 / THRUST_MAX, rtol=1e-5)  # at the target: hover thrust
    for tick in (5501, 7000):
        assert hover(STILL, tick, timestamp=7)[0] == LEGACY
        _, x, z, roll, yaw, *_ = hover.asked()
        assert (x, z, roll, yaw) == (OFF, ABSOLUTE, ABSOLUTE, VELOCITY)
    mode, sent = hover(STILL, 7001, timestamp=7)
    assert mode == FORCE
    assert sent.tolist() == [0.0] * 4
    assert hover(STILL, 7002, timestamp=8)[1].min() > 0.1  # a new setpoint: the policy again


def test_the_pid_controller_flies_what_the_policy_was_not_made_for(hover: Controller) -> None:
    hover.library.controllerOutOfTreeInit()
    for mode in (OFF, VELOCITY):
        assert hover(STILL, 100, timestamp=1, mode=mode)[0] == LEGACY
    hover.library.set_policy(0)
    assert hover(STILL, 101, timestamp=2)[0] == LEGACY
    hover.library.set_policy(1)
    assert hover(STILL, 102, timestamp=3)[0] == FORCE
    assert hover.asked()[0] == 3


def test_an_estimate_that_is_not_finite_is_answered_with_the_safe_action(hover: Controller) -> None:
    hover.library.controllerOutOfTreeInit()
    tilted = STILL.copy()
    tilted[10] = 300.0  # degrees per second
    assert np.ptp(hover(tilted, 100, timestamp=1)[1]) > 0.01
    for index in range(13):
        broken = tilted.copy()
        broken[index] = np.nan
        mode, sent = hover(broken, 110 + 10 * index, timestamp=1)
        assert mode == FORCE
        np.testing.assert_allclose(sent, CF.mass * GRAVITY / 4.0 / THRUST_MAX, rtol=1e-5)


def constant(simulator: QuadrotorFlight, action: list[float]) -> ActorCritic:
    """A policy that always gives one action."""
    policy = ActorCritic(policy_spec(simulator.spec, Network(hidden_sizes=()), critic=False))
    with torch.no_grad():
        policy.actor[0].weight.zero_()
        policy.actor[0].bias.copy_(policy.from_environment(torch.tensor(action)))
    return policy


def test_rates_go_to_the_firmware_in_its_units_and_signs(tmp_path: Path) -> None:
    controller = Controller(constant(flight(interface="ctbr"), [1.2, 1.0, 0.5, -0.25]), tmp_path)
    assert controller(STILL, 10, timestamp=1)[0] == LEGACY
    _, x, z, roll, yaw, p, q, r, thrust, *_ = controller.asked()
    assert (x, z, roll, yaw) == (OFF, OFF, VELOCITY, VELOCITY)
    # 1 rad/s is 57.2958 deg/s; the firmware's legacy pitch turns the other way round
    np.testing.assert_allclose([p, q, r], [57.2958, -28.6479, -14.3239], rtol=1e-4)
    # 1.2 g of 43.38 g are 0.51067 N, of 0.8 N at most: 0.63833 of 65535
    assert thrust == pytest.approx(0.638335 * 65535, rel=1e-4)


def test_velocity_goes_to_the_firmware_in_the_heading_frame(tmp_path: Path) -> None:
    controller = Controller(constant(flight(interface="velocity"), [2.0, -1.0, 0.5, 1.5]), tmp_path)
    assert controller(STILL, 10, timestamp=1)[0] == LEGACY
    _, x, z, roll, yaw, _, _, r, _, ahead, up, in_heading = controller.asked()
    assert (x, z, roll, yaw, in_heading) == (VELOCITY, VELOCITY, OFF, VELOCITY, 1)
    np.testing.assert_allclose([ahead, up, r], [2.0, 0.5, 85.9437], rtol=1e-4)


def test_the_app_is_complete_and_says_what_it_reads(tmp_path: Path) -> None:
    export_crazyflie(hover_controller(flight()), tmp_path / "app", AIRFRAME)
    files = {str(path.relative_to(tmp_path / "app")) for path in (tmp_path / "app").rglob("*") if path.is_file()}
    sources = {f"src/{name}" for name in ("Kbuild", "controller_policy.c", "policy.c", "policy.h")}
    assert files == {"Makefile", "Kbuild", "app-config", "README.md"} | sources
    readme = (tmp_path / "app/README.md").read_text()
    assert "| angular_velocity_y | rad/s | body | sensors->gyro, from degrees |" in readme
    assert "| previous_motor_4 | 1 | motor | action of 1 steps ago |" in readme
    assert not [path for path in (tmp_path / "app").rglob("*") if path.is_file() and "@" in path.read_text()]


def test_hostile_names_stay_within_comments_and_cells(tmp_path: Path) -> None:
    policy = hover_controller(flight())
    policy.spec = replace(policy.spec, task="t */ int leaked; /* ??/", robot="r` | */")
    policy.spec = replace(policy.spec, action=tuple(replace(e, frame="a | b") for e in policy.spec.action))
    controller = Controller(policy, tmp_path)
    assert not hasattr(controller.library, "leaked")
    readme = (tmp_path / "app/README.md").read_text()
    assert "trained for `r' | * /` and" in readme
    assert "| action motor_1 | 1 | a / b | normalised force" in readme


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ("quadrotor-gates", r"'next_gate_.*' \[m\] in body has no source on a Crazyflie; known"),
        ("InvertedPendulum-v5", "actions of type 'other' cannot be sent to a Crazyflie; allowed: motors, ctbr"),
    ],
)
def test_what_a_crazyflie_does_not_know_is_refused(tmp_path: Path, task: str, message: str) -> None:
    spec = policy_spec(robots.make(task).spec, Network(), critic=False)
    with pytest.raises(ExportError, match=message):
        export_crazyflie(ActorCritic(spec), tmp_path / "app", AIRFRAME)
    assert not list(tmp_path.iterdir())
