"""One control step of a quadrotor as one Warp kernel per interface."""

from functools import cache
from typing import Any

import warp as wp

from robots.quadrotor.body.kernels import functions

INTERFACES = ("motors", "ctbr", "velocity")


@cache
def kernel(interface: str, substeps: int, varied: bool, real: Any, backward: bool) -> Any:
    """The kernel of an interface; `varied` reads an airframe and a wind of its own for every row."""
    f = functions(real)
    vec2, vec3, vec4, vec6, vec17 = f.vec2, f.vec3, f.vec4, f.vec6, f.vec17
    Frame, Loop = f.Frame, f.Loop
    rigid_step, integrated, rate_motors, velocity_rates = f.rigid_step, f.integrated, f.rate_motors, f.velocity_rates
    drawn = drawn_frame(real)

    @wp.kernel(enable_backward=backward, module="unique")
    def control_step(
        body: wp.array2d(dtype=real),
        command: wp.array2d(dtype=real),
        memory: wp.array2d(dtype=real),
        hidden: wp.array2d(dtype=real),
        nominal: Frame,
        loop: Loop,
        duration: real,
        gravity: real,
        new_body: wp.array2d(dtype=real),
        new_memory: wp.array2d(dtype=real),
        grounded: wp.array(dtype=wp.bool),
    ):
        row = wp.tid()
        state, held, remembered = vec17(), vec4(), vec6()
        for j in range(13):
            state[j] = body[row, j]
        for i in range(4):
            state[13 + i] = body[row, 13 + i]
            held[i] = command[row, i]
        touched = bool(False)
        frame = Frame()
        if wp.static(varied):
            frame = drawn(nominal, hidden, row)
        else:
            frame = nominal
        if wp.static(interface != "motors"):
            for k in range(6):
                remembered[k] = memory[row, k]
        for _ in range(wp.static(substeps)):
            motors = vec4()
            if wp.static(interface == "motors"):
                motors = held
            else:
                wanted = vec4(held[0] * gravity, held[1], held[2], held[3])
                if wp.static(interface == "velocity"):
                    wanted = velocity_rates(held, state, loop, gravity)
                rates = vec3(wanted[1], wanted[2], wanted[3])
                after = integrated(rates, state, remembered, loop, duration)
                motors = rate_motors(wanted[0], rates, state, remembered, after, loop, duration)
                remembered = after
            state = rigid_step(state, motors, frame, duration, gravity)
            touched = touched or state[2] <= real(0.0)
        for j in range(13):
            new_body[row, j] = state[j]
        for i in range(4):
            new_body[row, 13 + i] = state[13 + i]
        if wp.static(interface != "motors"):
            for k in range(6):
                new_memory[row, k] = remembered[k]
        grounded[row] = touched

    return control_step


@cache
def drawn_frame(real: Any) -> Any:
    f = functions(real)
    vec2, vec3, vec4, Frame = f.vec2, f.vec3, f.vec4, f.Frame

    @wp.func
    def drawn(nominal: Frame, hidden: wp.array2d(dtype=real), row: int) -> Frame:
        """The nominal airframe with a row's hidden factors in its coefficients."""
        out = Frame()
        one = real(1.0)
        mass, lag = hidden[row, 0], hidden[row, 8]
        jx, jy, jz = hidden[row, 5], hidden[row, 6], hidden[row, 7]
        push = vec4(hidden[row, 1], hidden[row, 2], hidden[row, 3], hidden[row, 4]) / mass
        across, about = hidden[row, 17], hidden[row, 16]
        out.speed_min = nominal.speed_min * hidden[row, 18]
        out.lag_start = nominal.lag_start
        out.lag_half = vec2(wp.exp(wp.log(nominal.lag_half[0]) / lag), wp.exp(wp.log(nominal.lag_half[1]) / lag))
        out.lag_full = vec2(wp.exp(wp.log(nominal.lag_full[0]) / lag), wp.exp(wp.log(nominal.lag_full[1]) / lag))
        out.c0 = wp.cw_mul(nominal.c0, push)
        out.c1 = wp.cw_mul(nominal.c1, push)
        out.c2 = wp.cw_mul(nominal.c2, push)
        out.turn_gain = vec3(
            nominal.turn_gain[0] * mass / jx * across,
            nominal.turn_gain[1] * mass / jy * across,
            nominal.turn_gain[2] * mass / jz * about,
        )
        out.gyroscopic = vec3(
            (nominal.inertia[1] * jy - nominal.inertia[2] * jz) / (nominal.inertia[0] * jx),
            (nominal.inertia[2] * jz - nominal.inertia[0] * jx) / (nominal.inertia[1] * jy),
            (nominal.inertia[0] * jx - nominal.inertia[1] * jy) / (nominal.inertia[2] * jz),
        )
        out.drag_across = nominal.drag_across / mass * hidden[row, 15]
        out.drag_excess = nominal.drag_excess / mass * hidden[row, 15]
        out.wind = vec3(
            hidden[row, 9] + hidden[row, 12], hidden[row, 10] + hidden[row, 13], hidden[row, 11] + hidden[row, 14]
        )
        return out

    return drawn
