"""Equations of motion of the quadrotor as Warp functions, one source for CPU and GPU.

World frame: z up, right-handed. Body frame: x forward, y left, z up. Quaternions are (w, x, y, z), body to world.

The lag of a rotor is linear while its command is constant, so rotor speeds are computed exactly. The rigid body is
integrated by the classical fourth-order Runge-Kutta method with one step per substep. Its stages use the exact rotor
speeds at the start, the middle and the end. docs/concepts/quadrotor.md has the measurements behind this choice.

Rotors: u(t) = c + (u0 - c) exp(-t / tau). Body, with the rotor axis z_b in the world frame:

    p' = v,    v' = z_b (T/m - (d_z - d_xy)/m v.z_b) - d_xy/m v - g e_z + w
    q' = q (0, omega) / 2,    J omega' = tau - omega x J omega
"""

# mypy: ignore-errors

from functools import cache
from types import SimpleNamespace
from typing import Any

import warp as wp

from robots.kernels.define import kernel
from robots.quadrotor.body.parameters import GRAVITY
from robots.quadrotor.body.vehicle import CURVE, IDLE, INERTIA, LAG, MASS, OFFSET, TORQUE
from robots.quadrotor.body.vehicle import DRAG as DAMPING

BODY = 17
"""Numbers of one body: position, velocity, quaternion, angular velocity, rotor speeds."""
SPEED_MIN, LAG_START, LAG_HALF, LAG_FULL, PUSH, TURN_GAIN, GYROSCOPIC, DRAG, WIND = 0, 1, 3, 5, 7, 19, 22, 25, 27
"""First index of each kind of coefficient in the row of an airframe; lags are of rising, then of falling speed."""
FRAME = 30
"""Numbers of one airframe."""


@cache
def functions(real: Any) -> SimpleNamespace:
    """Warp types and functions for wp.float32 or wp.float64."""
    rows = wp.array2d(dtype=real)
    vec3 = wp.types.vector(length=3, dtype=real)
    vec4 = wp.types.vector(length=4, dtype=real)
    vec13 = wp.types.vector(length=13, dtype=real)
    vec17 = wp.types.vector(length=BODY, dtype=real)
    vec30 = wp.types.vector(length=FRAME, dtype=real)

    @wp.func
    def clamped(x: real, low: real, high: real) -> real:
        """x between bounds, with the derivative 1 at the bounds too; a NaN stays a NaN, so that the fault shows."""
        return wp.where(x > high, high, wp.where(x < low, low, x))

    @wp.func
    def lagged(speed: vec4, command: vec4, up: real, down: real) -> vec4:
        """Rotor speeds after a held command: u = c + (u0 - c) exp(-t / tau), tau up or down by the sign of u0 - c."""
        out = vec4()
        for i in range(4):
            error = speed[i] - command[i]
            out[i] = command[i] + error * up + wp.max(error, real(0.0)) * (down - up)
        return out

    @wp.func
    def pushes(speed: vec4, frame: vec30) -> vec4:
        """Thrust over mass of each rotor [m/s^2]."""
        out = vec4()
        for i in range(4):
            slope = frame[PUSH + 4 + i] + frame[PUSH + 8 + i] * speed[i]
            out[i] = frame[PUSH + i] + slope * speed[i]
        return out

    @wp.func
    def derivative(body: vec13, push: vec4, frame: vec30) -> vec13:
        """d/dt of position, velocity, quaternion and angular velocity under rotors FR, BR, BL, FL."""
        two, half = real(2.0), real(0.5)
        right, left = push[0] + push[1], push[2] + push[3]
        turn_x = (left - right) * frame[TURN_GAIN]
        turn_y = ((push[1] + push[2]) - (push[0] + push[3])) * frame[TURN_GAIN + 1]
        turn_z = ((push[1] + push[3]) - (push[0] + push[2])) * frame[TURN_GAIN + 2]
        vx, vy, vz = body[3], body[4], body[5]
        w, x, y, z = body[6], body[7], body[8], body[9]
        rx, ry, rz = body[10], body[11], body[12]
        zx, zy = two * (x * z + w * y), two * (y * z - w * x)
        zz = two * (w * w + z * z) - real(1.0)
        lift = right + left - (vx * zx + vy * zy + vz * zz) * frame[DRAG + 1]
        hx, hy, hz = half * rx, half * ry, half * rz
        return vec13(
            body[3],
            body[4],
            body[5],
            zx * lift - frame[DRAG] * vx + frame[WIND],
            zy * lift - frame[DRAG] * vy + frame[WIND + 1],
            zz * lift - frame[DRAG] * vz - real(GRAVITY) + frame[WIND + 2],
            -(x * hx + y * hy + z * hz),
            w * hx + y * hz - z * hy,
            w * hy + z * hx - x * hz,
            w * hz + x * hy - y * hx,
            ry * rz * frame[GYROSCOPIC] + turn_x,
            rz * rx * frame[GYROSCOPIC + 1] + turn_y,
            rx * ry * frame[GYROSCOPIC + 2] + turn_z,
        )

    @wp.func
    def rigid_step(state: vec17, motors: vec4, frame: vec30, duration: real) -> vec17:
        """Hold motor commands in [-1, 1] for one substep; a body that sinks below the ground rests there."""
        half, two, idle = real(0.5), real(2.0), frame[SPEED_MIN]
        start, command, before = vec4(), vec4(), vec13()
        for i in range(4):
            start[i] = state[13 + i]
            command[i] = idle + (motors[i] + real(1.0)) * half * (real(1.0) - idle)
        for j in range(13):
            before[j] = state[j]
        middle = lagged(start, command, frame[LAG_HALF], frame[LAG_HALF + 1])
        end = lagged(start, command, frame[LAG_FULL], frame[LAG_FULL + 1])
        begin = lagged(start, command, frame[LAG_START], frame[LAG_START + 1])
        push_0, push_1, push_2 = pushes(begin, frame), pushes(middle, frame), pushes(end, frame)
        k1 = derivative(before, push_0, frame)
        k2 = derivative(before + half * duration * k1, push_1, frame)
        k3 = derivative(before + half * duration * k2, push_1, frame)
        k4 = derivative(before + duration * k3, push_2, frame)
        body = before + (duration / real(6.0)) * (k1 + k4 + two * (k2 + k3))
        shorten = real(1.0) / wp.sqrt(body[6] * body[6] + body[7] * body[7] + body[8] * body[8] + body[9] * body[9])
        sunk = body[2] < real(0.0)
        out = vec17()
        out[0] = wp.where(sunk, before[0], body[0])
        out[1] = wp.where(sunk, before[1], body[1])
        out[2] = wp.where(sunk, real(0.0), body[2])  # an entry written twice would get its gradient twice
        for j in range(3):
            out[3 + j] = wp.where(sunk, real(0.0), body[3 + j])
            out[10 + j] = wp.where(sunk, real(0.0), body[10 + j])
        for i in range(4):
            out[6 + i] = wp.where(sunk, before[6 + i], body[6 + i] * shorten)
            out[13 + i] = end[i]
        return out

    @wp.func
    def pose_of(poses: rows, row: int) -> vec17:
        """Pose and motion of a row of (B, 13 or more); the rotor speeds are zero."""
        state = vec17()
        for j in range(13):
            state[j] = poses[row, j]
        return state

    @wp.func
    def rotated_back(state: vec17, vector: vec3) -> vec3:
        """World vector in the body frame, R^T v."""
        two = real(2.0)
        w, x, y, z = state[6], state[7], state[8], state[9]
        # v + 2 w (v x u) + 2 u x (u x v) for u = (x, y, z), the inverse rotation
        cx, cy, cz = vector[1] * z - vector[2] * y, vector[2] * x - vector[0] * z, vector[0] * y - vector[1] * x
        return vec3(
            vector[0] + two * (w * cx + (cy * z - cz * y)),
            vector[1] + two * (w * cy + (cz * x - cx * z)),
            vector[2] + two * (w * cz + (cx * y - cy * x)),
        )

    @wp.func
    def up_of(state: vec17) -> vec3:
        """Direction of world z in the body frame."""
        two, w, x, y, z = real(2.0), state[6], state[7], state[8], state[9]
        return vec3(two * (x * z - w * y), two * (y * z + w * x), two * (w * w + z * z) - real(1.0))

    return SimpleNamespace(**{name: value for name, value in locals().items() if name != "real"}, real=real)


@cache
def drawn_frames(real: Any, backward: bool) -> Any:
    """Kernel from parameters of airframes and hidden parameters of rows to coefficients (B, 30)."""

    @wp.func
    def decayed(time: real, tau: real) -> real:
        """exp(-time / tau), or 0 for a rotor without lag."""
        return wp.where(tau > real(0.0), wp.exp(-time / wp.where(tau > real(0.0), tau, real(1.0))), real(0.0))

    @kernel(real, backward)
    def drawn(
        mass: wp.array2d(dtype=real),
        rotor_thrust: wp.array2d(dtype=real),
        inertia: wp.array2d(dtype=real),
        rotor_lag: wp.array2d(dtype=real),
        wind: wp.array2d(dtype=real),
        gust: wp.array2d(dtype=real),
        drag: wp.array2d(dtype=real),
        yaw_torque: wp.array2d(dtype=real),
        rotor_offset: wp.array2d(dtype=real),
        idle_speed: wp.array2d(dtype=real),
        battery_sag: wp.array2d(dtype=real),
        vehicle: wp.array2d(dtype=real),
        steps: wp.array(dtype=wp.int64),
        substep: real,
        duration: real,
        frame: wp.array2d(dtype=real),
    ):
        row = wp.tid()
        m = vehicle[row, MASS] * mass[row, 0]
        jx = vehicle[row, INERTIA] * inertia[row, 0]
        jy = vehicle[row, INERTIA + 1] * inertia[row, 1]
        jz = vehicle[row, INERTIA + 2] * inertia[row, 2]
        charge = wp.exp(-battery_sag[row, 0] * (real(steps[row]) * duration))
        frame[row, SPEED_MIN] = vehicle[row, IDLE] * idle_speed[row, 0]
        for i in range(2):
            tau = vehicle[row, LAG + i] * rotor_lag[row, 0]
            frame[row, LAG_START + i] = wp.where(tau > real(0.0), real(1.0), real(0.0))
            frame[row, LAG_HALF + i] = decayed(real(0.5) * substep, tau)
            frame[row, LAG_FULL + i] = decayed(substep, tau)
        for i in range(4):
            strength = rotor_thrust[row, i] * charge / m
            for k in range(3):
                frame[row, PUSH + 4 * k + i] = vehicle[row, CURVE + k] * strength
        lever = m * rotor_offset[row, 0]
        frame[row, TURN_GAIN] = lever * vehicle[row, OFFSET + 1] / jx
        frame[row, TURN_GAIN + 1] = lever * vehicle[row, OFFSET] / jy
        frame[row, TURN_GAIN + 2] = m * vehicle[row, TORQUE] * yaw_torque[row, 0] / jz
        frame[row, GYROSCOPIC] = (jy - jz) / jx
        frame[row, GYROSCOPIC + 1] = (jz - jx) / jy
        frame[row, GYROSCOPIC + 2] = (jx - jy) / jz
        across = vehicle[row, DAMPING] * drag[row, 0] / m
        frame[row, DRAG] = across
        frame[row, DRAG + 1] = vehicle[row, DAMPING + 1] * drag[row, 0] / m - across
        for i in range(3):
            frame[row, WIND + i] = wind[row, i] + gust[row, i]

    return drawn
