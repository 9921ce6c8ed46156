"""Inner loops of the command interfaces as Warp functions and kernels."""

# mypy: ignore-errors

from functools import cache
from types import SimpleNamespace
from typing import Any

import warp as wp

from robots.kernels.define import kernel
from robots.quadrotor.body import kernels
from robots.quadrotor.body.parameters import GRAVITY

MEMORY = 6
"""Numbers of the memory: integral, body rates of the previous inner-loop step."""
RATE_GAINS, LIMITS, TURN_GAIN, GYROSCOPIC, CURVE, OUTER = 0, 9, 15, 18, 21, 25
"""First index of each kind of gain; the outer loops have their gains at the end."""
GAINS = 29
"""Numbers of all gains."""
_LEAST_LIFT = 0.3  # share of g; it keeps the direction of f defined in a descent


@cache
def functions(real: Any) -> SimpleNamespace:
    """Warp types and functions of the loop for wp.float32 or wp.float64."""
    f = kernels.functions(real)
    vec3, vec4, vec17, clamped = f.vec3, f.vec4, f.vec17, f.clamped
    vec6 = wp.types.vector(length=MEMORY, dtype=real)
    row = wp.array(dtype=real)

    @wp.func
    def mixed(thrust: real, imbalance: vec3, loop: row) -> vec4:
        """Motor commands for a thrust and differences of push about x, y, z, all over mass [m/s^2].

        Where they do not fit between idle and full thrust, thrust gives way to turning; the rest is clipped.
        """
        x, y = imbalance[0], imbalance[1]
        z = clamped(imbalance[2], -loop[LIMITS + 3], loop[LIMITS + 3])
        quarter, total = real(0.25), thrust + x + y + z  # NaN if one of them is
        push = quarter * vec4(thrust - x - y - z, thrust - x + y + z, thrust + x + y - z, thrust + x - y + z)
        excess = wp.max(wp.max(push) - loop[LIMITS + 5], real(0.0))
        push = push - vec4(excess, excess, excess, excess)
        missing = wp.max(loop[LIMITS + 4] - wp.min(push), real(0.0))
        motors = vec4()
        for i in range(4):
            wanted = wp.clamp(push[i] + missing, loop[LIMITS + 4], loop[LIMITS + 5])
            # the thrust curve, inverted
            square = loop[CURVE + 1] * loop[CURVE + 1] - real(4.0) * loop[CURVE + 2] * (loop[CURVE] - wanted)
            root = wp.sqrt(wp.max(square, real(0.0)))
            speed = (root - loop[CURVE + 1]) / (real(2.0) * loop[CURVE + 2])
            share = (speed - loop[CURVE + 3]) * (real(2.0) / (real(1.0) - loop[CURVE + 3])) - real(1.0)
            motors[i] = wp.where(total == total, wp.clamp(share, real(-1.0), real(1.0)), total)
        return motors

    @wp.func
    def integrated(wanted_rate: vec3, state: vec17, memory: vec6, loop: row, duration: real) -> vec6:
        """The rate loop's memory after one substep: i' = k_i (rate_c - rate), bounded."""
        out = vec6()
        for j in range(3):
            integral = memory[j] + loop[RATE_GAINS + 3 + j] * (wanted_rate[j] - state[10 + j]) * duration
            out[j] = clamped(integral, -loop[LIMITS + j], loop[LIMITS + j])
            out[3 + j] = state[10 + j]
        return out

    @wp.func
    def rate_motors(
        thrust: real, wanted_rate: vec3, state: vec17, before: vec6, after: vec6, loop: row, duration: real
    ) -> vec4:
        """Motor commands of the rate loop: a = k_p (rate_c - rate) + i - k_d d rate/dt, mixed to four rotors."""
        rx, ry, rz = state[10], state[11], state[12]
        free = vec3(ry * rz, rz * rx, rx * ry)
        imbalance = vec3()
        for j in range(3):
            change = (state[10 + j] - before[3 + j]) / duration
            wanted = loop[RATE_GAINS + j] * (wanted_rate[j] - state[10 + j]) + after[j]
            wanted = wanted - loop[RATE_GAINS + 6 + j] * change
            imbalance[j] = (wanted - loop[GYROSCOPIC + j] * free[j]) / loop[TURN_GAIN + j]
        return mixed(thrust, imbalance, loop)

    return SimpleNamespace(**{**vars(f), "vec6": vec6, "integrated": integrated, "rate_motors": rate_motors})


@cache
def velocity_loops(real: Any) -> Any:
    """Warp function of the velocity and attitude loops for wp.float32 or wp.float64."""
    f = functions(real)
    vec4, vec17, clamped = f.vec4, f.vec17, f.clamped
    row = wp.array(dtype=real)

    @wp.func
    def loops(command: vec4, state: vec17, loop: row) -> vec4:
        """Thrust over mass and body rates for a velocity in the heading frame and a yaw rate."""
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
        lift = clamped(ez + real(GRAVITY), real(_LEAST_LIFT) * real(GRAVITY), loop[OUTER + 3])
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

    return loops


@cache
def held_command(interface: str, substeps: int, real: Any) -> Any:
    """Warp function of one control step of bodies and inner loops; rate_loop.py and velocity.py have the equations.

    It returns the body, the memory of the loops, and whether the body was on the floor at the end of any substep.
    """
    f = functions(real)
    vec3, vec4, vec6, vec17 = f.vec3, f.vec4, f.vec6, f.vec17
    rigid_step, integrated, rate_motors, outer = f.rigid_step, f.integrated, f.rate_motors, velocity_loops(real)
    vec30, each = f.vec30, wp.array(dtype=real)

    @wp.func
    def held(body: vec17, memory: vec6, command: vec4, frame: vec30, gains: each, duration: real):
        state, remembered, touched = body, memory, bool(False)  # noqa: UP018, Warp needs a variable
        for _ in range(wp.static(substeps)):
            motors = command
            if wp.static(interface != "motors"):
                wanted = vec4(command[0] * real(GRAVITY), command[1], command[2], command[3])
                if wp.static(interface == "velocity"):
                    wanted = outer(command, state, gains)
                rates = vec3(wanted[1], wanted[2], wanted[3])
                after = integrated(rates, state, remembered, gains, duration)
                motors = rate_motors(wanted[0], rates, state, remembered, after, gains, duration)
                remembered = after
            state = rigid_step(state, motors, frame, duration)
            touched = touched or state[2] <= real(0.0)
        return state, remembered, touched

    return held


@cache
def control_step(interface: str, substeps: int, real: Any, backward: bool) -> Any:
    """Kernel of held_command for rows of bodies."""
    f = functions(real)
    vec4, vec6, vec17, vec30, held = f.vec4, f.vec6, f.vec17, f.vec30, held_command(interface, substeps, real)

    @kernel(real, backward, substeps)
    def step(
        body: wp.array(dtype=vec17),
        command: wp.array(dtype=vec4),
        frame: wp.array(dtype=vec30),
        memory: wp.array(dtype=vec6),
        gains: wp.array(dtype=real),
        duration: real,
        new_body: wp.array(dtype=vec17),
        new_memory: wp.array(dtype=vec6),
        grounded: wp.array(dtype=wp.bool),
    ):
        row = wp.tid()
        before = vec6()
        if wp.static(interface != "motors"):
            before = memory[row]
        state, after, touched = held(body[row], before, command[row], frame[row], gains, duration)
        new_body[row] = state
        if wp.static(interface != "motors"):
            new_memory[row] = after
        grounded[row] = touched

    return step


@cache
def inner_loops(interface: str, real: Any, backward: bool) -> Any:
    """Kernel of one inner-loop step without a body."""
    f = functions(real)
    vec3, vec4, vec6, vec17 = f.vec3, f.vec4, f.vec6, f.vec17
    integrated, rate_motors, outer = f.integrated, f.rate_motors, velocity_loops(real)

    @kernel(real, backward)
    def loops(
        body: wp.array(dtype=vec17),
        command: wp.array(dtype=vec4),
        memory: wp.array(dtype=vec6),
        gains: wp.array(dtype=real),
        duration: real,
        motors: wp.array(dtype=vec4),
        new_memory: wp.array(dtype=vec6),
    ):
        row = wp.tid()
        state, before, held = body[row], memory[row], command[row]
        wanted = vec4(held[0] * real(GRAVITY), held[1], held[2], held[3])
        if wp.static(interface == "velocity"):
            wanted = outer(held, state, gains)
        rates = vec3(wanted[1], wanted[2], wanted[3])
        after = integrated(rates, state, before, gains, duration)
        motors[row] = rate_motors(wanted[0], rates, state, before, after, gains, duration)
        new_memory[row] = after

    return loops
