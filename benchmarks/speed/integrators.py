"""Error and cost of ways to integrate the quadrotor, against an adaptive integrator at tight tolerance.

    python -m benchmarks.speed.integrators [--quadrotor cf21B_500] [--rows 64] [--seed 0]

Every flight starts in a random attitude with its rotors at hover speed and lasts 1 s, on motor commands that are
uniform over their full range and new every 10 ms. All methods are written here in float64 with numpy and follow the
rotors' lag exactly, so that they differ in nothing but how they integrate the rigid body. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.integrate import solve_ivp

from robots.quadrotor.body import dynamics
from robots.quadrotor.body.dynamics import QuadrotorState
from robots.quadrotor.body.parameters import (
    GRAVITY,
    PRESETS,
    QuadrotorParameters,
    preset,
)
from robots.quadrotor.interfaces.control_step import ControlStep
from robots.quadrotor.interfaces.motors import Motors

Array = NDArray[np.float64]
CONTROL_STEP = 0.01  # s
STEPS = 100
TIMED_ROWS = 1024
TIMED_STEPS = 20
TIMED_ROUNDS = 10


@dataclass(frozen=True)
class Method:
    """A way to take one step of `h` seconds: (model, body (13, B), speed (4, B), command (4, B), h) -> body."""

    name: str
    step: Callable[[Model, Array, Array, Array, float], Array]
    evaluations: int
    """Derivatives evaluated in one step."""


class Model:
    """Equations of motion; a body is (13, B): position, velocity, quaternion (w, x, y, z), angular velocity."""

    def __init__(self, parameters: QuadrotorParameters) -> None:
        self.parameters = parameters
        self.inertia = np.array(parameters.inertia)[:, None]
        x = parameters.rotor_offset[0] * np.array([1.0, -1.0, -1.0, 1.0])
        y = parameters.rotor_offset[1] * np.array([-1.0, -1.0, 1.0, 1.0])
        yaw = parameters.torque_per_thrust * np.array([-1.0, 1.0, -1.0, 1.0])
        self.torque_per_rotor_thrust = np.stack((y, -x, yaw))

    def speed_after(self, speed: Array, command: Array, duration: float) -> Array:
        """(4, B) rotor speeds once a command has been held for `duration` seconds."""
        up, down = self.parameters.rotor_time_up, self.parameters.rotor_time_down
        if up == 0.0 or down == 0.0:
            return command
        error: Array = (speed - command) * np.exp(-duration / np.where(command > speed, up, down))
        return command + error

    def thrust(self, speed: Array) -> Array:
        """(4, B) thrust of each rotor [N]."""
        c0, c1, c2 = self.parameters.thrust_curve
        total: Array = c0 + (c1 + c2 * speed) * speed
        return total

    def acceleration(self, body: Array, thrust: Array) -> Array:
        """(3, B) in the world [m/s^2]."""
        velocity, (w, x, y, z) = body[3:6], body[6:10]
        across, along = self.parameters.drag
        axis = np.stack((2.0 * (x * z + w * y), 2.0 * (y * z - w * x), 2.0 * (w * w + z * z) - 1.0))
        push = thrust.sum(0) - (along - across) * (axis * velocity).sum(0)
        total: Array = (axis * push - across * velocity) / self.parameters.mass
        total[2] -= GRAVITY
        return total

    def angular_acceleration(self, rate: Array, thrust: Array) -> Array:
        """(3, B) in the body [rad/s^2]."""
        torque = np.einsum("ij,jb->ib", self.torque_per_rotor_thrust, thrust)
        change: Array = (torque - cross(rate, self.inertia * rate)) / self.inertia
        return change

    def derivative(self, body: Array, thrust: Array) -> Array:
        """(13, B) time derivative of a body."""
        quaternion, rate = body[6:10], body[10:13]
        turn = 0.5 * product(quaternion, np.concatenate((np.zeros_like(rate[:1]), rate)))
        parts = (body[3:6], self.acceleration(body, thrust), turn, self.angular_acceleration(rate, thrust))
        return np.concatenate(parts)


def cross(a: Array, b: Array) -> Array:
    """(3, B) cross product."""
    return np.stack((a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]))


def product(p: Array, q: Array) -> Array:
    """(4, B) quaternion product."""
    real = p[0] * q[0] - (p[1:] * q[1:]).sum(0)
    return np.concatenate((real[None], p[0] * q[1:] + q[0] * p[1:] + cross(p[1:], q[1:])))


def normalized(body: Array) -> Array:
    """The body with its quaternion at unit length."""
    body[6:10] /= np.sqrt((body[6:10] ** 2).sum(0))
    return body


def semi_implicit_euler(model: Model, body: Array, speed: Array, command: Array, h: float) -> Array:
    """Velocities first, then poses with the new velocities, the attitude by the exponential map; rotors at mid-step."""
    thrust = model.thrust(model.speed_after(speed, command, 0.5 * h))
    velocity = body[3:6] + h * model.acceleration(body, thrust)
    rate = body[10:13] + h * model.angular_acceleration(body[10:13], thrust)
    half = 0.5 * h * rate
    angle = np.sqrt((half**2).sum(0, keepdims=True))
    turn = np.concatenate((np.cos(angle), np.sinc(angle / np.pi) * half))
    return normalized(np.concatenate((body[:3] + h * velocity, velocity, product(body[6:10], turn), rate)))


def midpoint(model: Model, body: Array, speed: Array, command: Array, h: float) -> Array:
    """Explicit midpoint method."""
    begin, middle = (model.thrust(model.speed_after(speed, command, t)) for t in (0.0, 0.5 * h))
    halfway = body + 0.5 * h * model.derivative(body, begin)
    return normalized(body + h * model.derivative(halfway, middle))


def runge_kutta_4(model: Model, body: Array, speed: Array, command: Array, h: float) -> Array:
    """Classical fourth-order Runge-Kutta method."""
    begin, middle, end = (model.thrust(model.speed_after(speed, command, t)) for t in (0.0, 0.5 * h, h))
    k1 = model.derivative(body, begin)
    k2 = model.derivative(body + 0.5 * h * k1, middle)
    k3 = model.derivative(body + 0.5 * h * k2, middle)
    k4 = model.derivative(body + h * k3, end)
    return normalized(body + h / 6.0 * (k1 + 2.0 * (k2 + k3) + k4))


EULER = Method("semi-implicit Euler", semi_implicit_euler, 1)
MIDPOINT = Method("explicit midpoint", midpoint, 2)
RUNGE_KUTTA_4 = Method("Runge-Kutta 4", runge_kutta_4, 4)
# method and steps per control step
CANDIDATES = (
    (EULER, 1),
    (EULER, 2),
    (EULER, 5),
    (EULER, 10),
    (MIDPOINT, 1),
    (MIDPOINT, 2),
    (RUNGE_KUTTA_4, 1),
    (RUNGE_KUTTA_4, 2),
)


def random_start(parameters: QuadrotorParameters, rows: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Body (13, B) 20 m up and rotor speeds (4, B) at hover."""
    quaternion = rng.normal(size=(4, rows))
    body = np.concatenate(
        (
            rng.uniform(-1.0, 1.0, (3, rows)) + np.array([[0.0], [0.0], [20.0]]),
            rng.uniform(-1.0, 1.0, (3, rows)),
            quaternion / np.sqrt((quaternion**2).sum(0)),
            rng.uniform(-1.0, 1.0, (3, rows)),
        )
    )
    return body, np.full((4, rows), parameters.hover_rotor_speed)


def integrate(model: Model, method: Method, substeps: int, body: Array, speed: Array, commands: Array) -> Array:
    """Body after commands (S, 4, B), each held for one control step in `substeps` steps."""
    h = CONTROL_STEP / substeps
    for command in commands:
        for _ in range(substeps):
            body = method.step(model, body, speed, command, h)
            speed = model.speed_after(speed, command, h)
    return body


def reference(model: Model, body: Array, speed: Array, commands: Array) -> tuple[Array, float]:
    """Body after the commands by an adaptive eighth-order method, and the largest rate met [rad/s]."""
    shape, largest = body.shape, 0.0
    for command in commands:

        def flat(t: float, y: Array, speed: Array = speed, command: Array = command) -> Array:
            return model.derivative(y.reshape(shape), model.thrust(model.speed_after(speed, command, t))).ravel()

        solution = solve_ivp(flat, (0.0, CONTROL_STEP), body.ravel(), method="DOP853", rtol=1e-12, atol=1e-12)
        body = normalized(solution.y[:, -1].reshape(shape))
        speed = model.speed_after(speed, command, CONTROL_STEP)
        largest = max(largest, float(np.sqrt((body[10:13] ** 2).sum(0)).max()))
    return body, largest


def package(parameters: QuadrotorParameters, dtype: torch.dtype, body: Array, speed: Array, commands: Array) -> Array:
    """Body after the commands as the package integrates it."""
    cpu = torch.device("cpu")
    step = ControlStep(Motors(parameters, 1.0 / CONTROL_STEP, dtype, cpu), CONTROL_STEP, dtype)
    frame = dynamics.airframe(parameters, CONTROL_STEP, dtype, cpu)
    parts = [torch.tensor(x.T, dtype=dtype) for x in (body[:3], body[3:6], body[6:10], body[10:13], speed)]
    state, low = QuadrotorState.of(*parts), parameters.rotor_speed_min
    for command in commands:
        action = torch.tensor(2.0 * (command.T - low) / (1.0 - low) - 1.0, dtype=dtype)
        state = step(state, (), action, frame).body
    return state.values[:, :13].double().numpy().T


def errors(body: Array, truth: Array) -> tuple[float, float, float]:
    """Largest error over the rows of position [m], velocity [m/s] and attitude [rad]."""
    conjugate = truth[6:10] * np.array([[1.0], [-1.0], [-1.0], [-1.0]])
    turn = product(conjugate, body[6:10])
    angle = 2.0 * np.arctan2(np.sqrt((turn[1:] ** 2).sum(0)), np.abs(turn[0]))
    position, velocity = (np.sqrt(((body - truth)[i : i + 3] ** 2).sum(0)).max() for i in (0, 3))
    return float(position), float(velocity), float(angle.max())


def relative_times(model: Model, rng: np.random.Generator) -> list[float]:
    """Processor time of a control step of many rows, over that of Runge-Kutta 4 at 10 ms; best of several rounds."""
    body, speed = random_start(model.parameters, TIMED_ROWS, rng)
    commands = rng.uniform(model.parameters.rotor_speed_min, 1.0, (TIMED_STEPS, 4, TIMED_ROWS))
    best = [float("inf")] * len(CANDIDATES)
    for _ in range(TIMED_ROUNDS):
        for i, (method, substeps) in enumerate(CANDIDATES):
            begin = time.process_time()
            integrate(model, method, substeps, body, speed, commands)
            best[i] = min(best[i], time.process_time() - begin)
    return [t / best[CANDIDATES.index((RUNGE_KUTTA_4, 1))] for t in best]


def table(parameters: QuadrotorParameters, rows: int, seed: int) -> list[str]:
    """The lines of the Markdown table."""
    model, rng = Model(parameters), np.random.default_rng(seed)
    body, speed = random_start(parameters, rows, rng)
    commands = rng.uniform(parameters.rotor_speed_min, 1.0, (STEPS, 4, rows))
    truth, largest_rate = reference(model, body, speed, commands)
    lines = [
        f"{parameters.name}: largest errors of {rows} flights of 1 s, which reach {largest_rate:.0f} rad/s",
        "",
        "| method | step [ms] | evaluations per 10 ms | time | position [m] | velocity [m/s] | attitude [rad] |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for (method, substeps), cost in zip(CANDIDATES, relative_times(model, rng), strict=True):
        p, v, a = errors(integrate(model, method, substeps, body, speed, commands), truth)
        h, evaluations = 1e3 * CONTROL_STEP / substeps, substeps * method.evaluations
        lines.append(f"| {method.name} | {h:g} | {evaluations} | {cost:.2f} | {p:.1e} | {v:.1e} | {a:.1e} |")
    for dtype in (torch.float64, torch.float32):
        p, v, a = errors(package(parameters, dtype, body, speed, commands), truth)
        name = f"`ControlStep`, {str(dtype).removeprefix('torch.')}"
        lines.append(f"| {name} | {1e3 * CONTROL_STEP:g} | 4 | | {p:.1e} | {v:.1e} | {a:.1e} |")
    return lines


def main() -> None:
    """Print the table of one quadrotor."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quadrotor", default="cf21B_500", choices=sorted(PRESETS))
    parser.add_argument("--rows", type=int, default=64, help="flights that are compared")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print("\n".join(table(preset(arguments.quadrotor), arguments.rows, arguments.seed)))


if __name__ == "__main__":
    main()
