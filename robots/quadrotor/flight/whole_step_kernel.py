"""A whole control step as one Warp kernel: command, body, inner loops, mission, reward and observation."""

# mypy: ignore-errors

from collections.abc import Callable
from functools import cache
from typing import Any

import warp as wp

from robots.kernels.define import kernel
from robots.quadrotor.flight.kernels import MissionFunctions, motion_writer, score_of
from robots.quadrotor.interfaces import kernels as loops
from robots.quadrotor.interfaces.interface import ACTIONS


@cache
def whole_step(
    make: Callable[[Any], MissionFunctions],
    terms: int,
    entries: int,
    motion: int,
    interface: str,
    substeps: int,
    real: Any,
    backward: bool,
) -> Any:
    """Kernel of one control step.

    Args:
        make: Warp functions of the mission for a floating type.
        terms: Number of terms of the reward.
        entries: Entries of the observation about the mission.
        motion: Entries about the motion that follow them; 0 for none.
        interface: Name of the interface.
        substeps: Inner-loop steps per control step.
        real: Floating type of Warp.
        backward: Whether the kernel has an adjoint.
    """
    f, (advance, observe) = loops.functions(real), make(real)
    vec4, vec6, vec17, vec30, clamped = f.vec4, f.vec6, f.vec17, f.vec30, f.clamped
    held = loops.held_command(interface, substeps, real)
    write_motion, scored = motion_writer(real), score_of(terms, real)

    @kernel(real, backward, max(terms, substeps))
    def step(
        body: wp.array(dtype=vec17),
        memory: wp.array(dtype=vec6),
        action: wp.array(dtype=vec4),
        last_command: wp.array2d(dtype=real),
        noise_key: wp.array(dtype=wp.int64),
        steps: wp.array(dtype=wp.int64),
        frame: wp.array(dtype=vec30),
        course: wp.array2d(dtype=real),
        values: wp.array2d(dtype=real),
        counts: wp.array2d(dtype=wp.int64),
        gains: wp.array(dtype=real),
        low: wp.array(dtype=real),
        high: wp.array(dtype=real),
        numbers: wp.array(dtype=real),
        weights: wp.array(dtype=real),
        scale: wp.array(dtype=real),
        substep: real,
        duration: real,
        new_body: wp.array(dtype=vec17),
        new_memory: wp.array(dtype=vec6),
        command: wp.array2d(dtype=real),
        new_steps: wp.array(dtype=wp.int64),
        new_values: wp.array2d(dtype=real),
        new_counts: wp.array2d(dtype=wp.int64),
        term: wp.array2d(dtype=real),
        reward: wp.array(dtype=real),
        terminated: wp.array(dtype=wp.bool),
        observation: wp.array2d(dtype=real),
    ):
        row = wp.tid()
        constant, before, start, asked = vec4(), vec6(), body[row], action[row]
        for i in range(ACTIONS):
            constant[i] = clamped(asked[i], low[i], high[i])
            command[row, i] = constant[i]
            observation[row, wp.static(entries + motion) + i] = constant[i]
        if wp.static(interface != "motors"):
            before = memory[row]
        end, after, grounded = held(start, before, constant, frame[row], gains, substep)
        new_body[row] = end
        if wp.static(interface != "motors"):
            new_memory[row] = after
        now = steps[row] + wp.int64(1)
        new_steps[row] = now
        terminated[row] = advance(
            start, end, grounded, row, noise_key[row], now, duration, numbers,
            course, values, counts, new_values, new_counts, term,
        )  # fmt: skip
        reward[row] = scored(term, weights, command, last_command, scale, row)
        observe(end, row, numbers, course, new_values, new_counts, observation)
        if wp.static(motion > 0):
            write_motion(end, row, observation, wp.static(entries))

    return step
