"""The quadrotor's equations of motion and inner loops as Warp functions, one source for CPU and GPU.

World frame: z up, right-handed. Body frame: x forward, y left, z up. Quaternions are (w, x, y, z), body to world.

The rotors' lag is linear while a command is held, so their speeds are followed exactly. The rigid body is integrated by
the classical fourth-order Runge-Kutta method, one step per substep. The stages use the rotors' exact speeds at the
beginning, middle and end. docs/concepts/quadrotor.md has the measurement behind this choice.
"""

from functools import cache
from types import SimpleNamespace
from typing import Any

import warp as wp

BODY = 17
"""Numbers of one body: position, velocity, quaternion, angular velocity, rotor speeds."""
MEMORY = 6
"""Numbers of one rate loop: integral, rate one substep before."""
SPEED_MIN, LAG_START, LAG_HALF, LAG_FULL, PUSH, TURN_GAIN, GYROSCOPIC, DRAG, WIND = 0, 1, 3, 5, 7, 19, 22, 25, 27
"""Where the coefficients of an airframe begin in its row; lags are of rising, then of falling speed."""
FRAME = 30
"""Numbers of one airframe."""
RATE_GAINS, LIMITS, RATE_TURN_GAIN, RATE_GYROSCOPIC, CURVE, OUTER = 0, 9, 15, 18, 21, 25
"""Where the coefficients of the inner loops begin."""
LOOP = 29
"""Numbers of the inner loops."""


@cache
def functions(real: Any) -> SimpleNamespace:
    """The Warp types and functions for wp.float32 or wp.float64."""
    coefficients, gains = wp.array2d(dtype=real), wp.array(dtype=real)
    vec3 = wp.types.vector(length=3, dtype=real)
    vec4 = wp.types.vector(length=4, dtype=real)
    vec6 = wp.types.vector(length=MEMORY, dtype=real)
    vec13 = wp.types.vector(length=13, dtype=real)
    vec17 = wp.types.vector(length=BODY, dtype=real)

    @wp.func
    def lagged(speed: vec4, command: vec4, up: real, down: real) -> vec4:
        """Rotor speeds after a held command: u = c + (u0 - c) exp(-t / tau), tau up or down by the sign of u0 - c."""
        out = vec4()
        for i in range(4):
            error = speed[i] - command[i]
            out[i] = command[i] + error * up + wp.max(error, real(0.0)) * (down - up)
        return out

    @wp.func
    def pushes(speed: vec4, frame: coefficients, row: int) -> vec4:
        """Thrust over mass of each rotor [m/s^2]."""
        out = vec4()
        for i in range(4):
            slope = frame[row, PUSH + 4 + i] + frame[row, PUSH + 8 + i] * speed[i]
            out[i] = frame[row, PUSH + i] + slope * speed[i]
        return out

    @wp.func
    def derivative(body: vec13, push: vec4, frame: coefficients, row: int, gravity: real) -> vec13:
        """d/dt of position, velocity, quaternion and angular velocity under rotors FR, BR, BL, FL."""
        two, half = real(2.0), real(0.5)
        right, left = push[0] + push[1], push[2] + push[3]
        turn_x = (left - right) * frame[row, TURN_GAIN]
        turn_y = ((push[1] + push[2]) - (push[0] + push[3])) * frame[row, TURN_GAIN + 1]
        turn_z = ((push[1] + push[3]) - (push[0] + push[2])) * frame[row, TURN_GAIN + 2]
        vx, vy, vz = body[3], body[4], body[5]
        w, x, y, z = body[6], body[7], body[8], body[9]
        rx, ry, rz = body[10], body[11], body[12]
        zx, zy = two * (x * z + w * y), two * (y * z - w * x)
        zz = two * (w * w + z * z) - real(1.0)
        lift = right + left - (vx * zx + vy * zy + vz * zz) * frame[row, DRAG + 1]
        hx, hy, hz = half * rx, half * ry, half * rz
        return vec13(
            body[3],
            body[4],
            body[5],
            zx * lift - frame[row, DRAG] * vx + frame[row, WIND],
            zy * lift - frame[row, DRAG] * vy + frame[row, WIND + 1],
            zz * lift - frame[row, DRAG] * vz - gravity + frame[row, WIND + 2],
            -(x * hx + y * hy + z * hz),
            w * hx + y * hz - z * hy,
            w * hy + z * hx - x * hz,
            w * hz + x * hy - y * hx,
            ry * rz * frame[row, GYROSCOPIC] + turn_x,
            rz * rx * frame[row, GYROSCOPIC + 1] + turn_y,
            rx * ry * frame[row, GYROSCOPIC + 2] + turn_z,
        )

    @wp.func
    def rigid_step(state: vec17, motors: vec4, frame: coefficients, row: int, duration: real, gravity: real) -> vec17:
        """Hold motor commands in [-1, 1] for one substep; a body that sinks below the ground rests there."""
        half, two, idle = real(0.5), real(2.0), frame[row, SPEED_MIN]
        start, command, before = vec4(), vec4(), vec13()
        for i in range(4):
            start[i] = state[13 + i]
            command[i] = idle + (motors[i] + real(1.0)) * half * (real(1.0) - idle)
        for j in range(13):
            before[j] = state[j]
        middle = lagged(start, command, frame[row, LAG_HALF], frame[row, LAG_HALF + 1])
        end = lagged(start, command, frame[row, LAG_FULL], frame[row, LAG_FULL + 1])
        begin = lagged(start, command, frame[row, LAG_START], frame[row, LAG_START + 1])
        push_0, push_1, push_2 = pushes(begin, frame, row), pushes(middle, frame, row), pushes(end, frame, row)
        k1 = derivative(before, push_0, frame, row, gravity)
        k2 = derivative(before + half * duration * k1, push_1, frame, row, gravity)
        k3 = derivative(before + half * duration * k2, push_1, frame, row, gravity)
        k4 = derivative(before + duration * k3, push_2, frame, row, gravity)
        body = before + (duration / real(6.0)) * (k1 + two * k2 + two * k3 + k4)
        norm = wp.sqrt(body[6] * body[6] + body[7] * body[7] + body[8] * body[8] + body[9] * body[9])
        sunk = body[2] < real(0.0)
        out = vec17()
        out[0] = wp.where(sunk, before[0], body[0])
        out[1] = wp.where(sunk, before[1], body[1])
        out[2] = wp.where(sunk, real(0.0), body[2])  # an entry written twice would get its gradient twice
        for j in range(3):
            out[3 + j] = wp.where(sunk, real(0.0), body[3 + j])
            out[10 + j] = wp.where(sunk, real(0.0), body[10 + j])
        for i in range(4):
            out[6 + i] = wp.where(sunk, before[6 + i], body[6 + i] / norm)
            out[13 + i] = end[i]
        return out

    @wp.func
    def mixed(thrust: real, imbalance: vec3, loop: gains) -> vec4:
        """Motor commands for a thrust and differences of push about x, y, z, all over mass [m/s^2].

        Where they do not fit between idle and full thrust, thrust gives way to turning; the rest is clipped.
        """
        x, y = imbalance[0], imbalance[1]
        z = wp.clamp(imbalance[2], -loop[LIMITS + 3], loop[LIMITS + 3])
        quarter = real(0.25)
        push = quarter * vec4(thrust - x - y - z, thrust - x + y + z, thrust + x + y - z, thrust + x - y + z)
        excess = wp.max(wp.max(push) - loop[LIMITS + 5], real(0.0))
        push = push - vec4(excess, excess, excess, excess)
        missing = wp.max(loop[LIMITS + 4] - wp.min(push), real(0.0))
        motors = vec4()
        for i in range(4):
            wanted = wp.clamp(push[i] + missing, loop[LIMITS + 4], loop[LIMITS + 5])
            # the thrust curve, inverted
            root = wp.sqrt(wp.max(loop[CURVE + 1] * loop[CURVE + 1] - real(4.0) * loop[CURVE + 2] * (loop[CURVE] - wanted), real(0.0)))
            speed = (root - loop[CURVE + 1]) / (real(2.0) * loop[CURVE + 2])
            share = (speed - loop[CURVE + 3]) * (real(2.0) / (real(1.0) - loop[CURVE + 3])) - real(1.0)
            motors[i] = wp.clamp(share, real(-1.0), real(1.0))
        return motors

    @wp.func
    def integrated(wanted_rate: vec3, state: vec17, memory: vec6, loop: gains, duration: real) -> vec6:
        """The rate loop's memory after one substep: i' = k_i (rate_c - rate), bounded."""
        out = vec6()
        for j in range(3):
            integral = memory[j] + loop[RATE_GAINS + 3 + j] * (wanted_rate[j] - state[10 + j]) * duration
            out[j] = wp.clamp(integral, -loop[LIMITS + j], loop[LIMITS + j])
            out[3 + j] = state[10 + j]
        return out

    @wp.func
    def rate_motors(
        thrust: real, wanted_rate: vec3, state: vec17, before: vec6, after: vec6, loop: gains, duration: real
    ) -> vec4:
        """Motor commands of the rate loop: a = k_p (rate_c - rate) + i - k_d d rate/dt, mixed to four rotors."""
        rx, ry, rz = state[10], state[11], state[12]
        free = vec3(ry * rz, rz * rx, rx * ry)
        imbalance = vec3()
        for j in range(3):
            change = (state[10 + j] - before[3 + j]) / duration
            wanted = loop[RATE_GAINS + j] * (wanted_rate[j] - state[10 + j]) + after[j]
            wanted = wanted - loop[RATE_GAINS + 6 + j] * change
            imbalance[j] = (wanted - loop[RATE_GYROSCOPIC + j] * free[j]) / loop[RATE_TURN_GAIN + j]
        return mixed(thrust, imbalance, loop)

    @wp.func
    def velocity_rates(command: vec4, state: vec17, loop: gains, gravity: real) -> vec4:
        """Thrust over mass and body rates for a velocity in the heading frame and a yaw rate.

        f = k_v (v_c - v) + g e_z within max_tilt, thrust = f . z_b, rate_c = k_a n + yaw_rate R^T e_z.
        """
        one, two = real(1.0), real(2.0)
        tiny = real(1e-6)
        w, x, y, z = state[6], state[7], state[8], state[9]
        r00, r01, r02 = one - two * (y * y + z * z), two * (x * y - w * z), two * (x * z + w * y)
        r10, r11, r12 = two * (x * y + w * z), one - two * (x * x + z * z), two * (y * z - w * x)
        r20, r21, r22 = two * (x * z - w * y), two * (y * z + w * x), two * (w * w + z * z) - one
        # a nose that points straight up or down counts as along x
        level = r00 * r00 + r10 * r10
        defined = level > tiny * tiny
        nose = wp.sqrt(wp.where(defined, level, one))
        cosine, sine = wp.where(defined, r00 / nose, one), wp.where(defined, r10 / nose, real(0.0))
        ex = loop[OUTER + 1] * (cosine * command[0] - sine * command[1] - state[3])
        ey = loop[OUTER + 1] * (sine * command[0] + cosine * command[1] - state[4])
        ez = loop[OUTER + 1] * (command[2] - state[5])
        lift = wp.clamp(ez + gravity, real(0.3) * gravity, loop[OUTER + 3])
        across = ex * ex + ey * ey
        far = across > tiny * tiny
        length = wp.sqrt(wp.where(far, across, one))
        share = wp.where(far, wp.min(loop[OUTER + 2] * lift / length, one), one)
        fx, fy = ex * share, ey * share
        bx = r00 * fx + r10 * fy + r20 * lift
        by = r01 * fx + r11 * fy + r21 * lift
        bz = r02 * fx + r12 * fy + r22 * lift
        force = wp.max(wp.sqrt(bx * bx + by * by + bz * bz), tiny)
        nx, ny, nz = bx / force, by / force, bz / force
        upside_down = nz < real(-0.9999)
        scale = wp.sqrt(two / wp.max(one + nz, real(1e-4)))
        about_x = wp.where(upside_down, two, -ny * scale)
        about_y = wp.where(upside_down, real(0.0), nx * scale)
        return vec4(
            wp.max(bz, real(0.0)),
            loop[OUTER] * about_x + command[3] * r20,
            loop[OUTER] * about_y + command[3] * r21,
            command[3] * r22,
        )

    return SimpleNamespace(**{name: value for name, value in locals().items() if name != "real"}, real=real)
