"""One control step of a quadrotor as one Warp kernel per interface."""

from functools import cache
from typing import Any

import warp as wp

from robots.quadrotor.body.kernels import functions


@cache
def control_step(interface: str, substeps: int, real: Any, backward: bool) -> Any:
    """The kernel of an interface: motors, ctbr or velocity."""
    f = functions(real)
    vec3, vec4, vec6, vec17 = f.vec3, f.vec4, f.vec6, f.vec17
    rigid_step, integrated, rate_motors, velocity_rates = f.rigid_step, f.integrated, f.rate_motors, f.velocity_rates

    @wp.kernel(enable_backward=backward, module="unique")
    def step(
        body: wp.array2d(dtype=real),
        command: wp.array2d(dtype=real),
        frame: wp.array2d(dtype=real),
        loop: wp.array(dtype=real),
        duration: real,
        gravity: real,
        new_body: wp.array2d(dtype=real),
        grounded: wp.array(dtype=wp.bool),
    ):
        row = wp.tid()
        own = wp.where(frame.shape[0] > 1, row, 0)  # an airframe of its own, or the same for all
        state, held, remembered = vec17(), vec4(), vec6()
        for j in range(13):
            state[j] = body[row, j]
        for i in range(4):
            state[13 + i] = body[row, 13 + i]
            held[i] = command[row, i]
        if wp.static(interface != "motors"):
            for k in range(6):
                remembered[k] = body[row, 17 + k]
        touched = bool(False)
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
            state = rigid_step(state, motors, frame, own, duration, gravity)
            touched = touched or state[2] <= real(0.0)
        for j in range(13):
            new_body[row, j] = state[j]
        for i in range(4):
            new_body[row, 13 + i] = state[13 + i]
        if wp.static(interface != "motors"):
            for k in range(6):
                new_body[row, 17 + k] = remembered[k]
        grounded[row] = touched

    return step
