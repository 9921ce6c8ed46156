"""Reward, motion and missions as Warp functions and kernels."""

# mypy: ignore-errors

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import warp as wp

from robots.kernels.define import kernel
from robots.quadrotor.body import kernels
from robots.quadrotor.interfaces.interface import ACTIONS

MOTION = 9
"""Entries of the observation about the motion: velocity, up, angular velocity, all in the body frame."""


class MissionFunctions(NamedTuple):
    """Warp functions of a mission for one floating type; `kernels.functions(real)` has the types.

    Arrays are those of the state's fields: `course` and `values` (B, n) of the floating type, `counts` (B, n) of
    wp.int64. The parameters are those of `KernelMission.numbers`.
    """

    advance: Any
    """advance(before: vec17, after: vec17, grounded: bool, row: int, key: int64, steps: int64, duration, numbers,
    course, values, counts, new_values, new_counts, terms) -> bool: it writes the row of `new_values`, `new_counts` and
    `terms` (B, W) and returns whether the episode terminates."""
    observe: Any
    """observe(pose: vec17, row: int, numbers, course, values, counts, seen): it writes the first k entries of the row
    of `seen`, as in `Mission.observation`."""


@cache
def action_changes(real: Any) -> Any:
    """Warp function of the mean square of a row's change of command, scaled to [-1, 1]."""
    rows, each = wp.array2d(dtype=real), wp.array(dtype=real)

    @wp.func
    def action_change(command: rows, last: rows, scale: each, row: int) -> real:
        total = real(0.0)
        for j in range(ACTIONS):
            change = scale[j] * (command[row, j] - last[row, j])
            total += change * change
        return total / real(ACTIONS)

    return action_change


@cache
def score_of(terms: int, real: Any) -> Any:
    """Warp function of a row's reward: the weighted terms, minus the penalty on the change of command."""
    rows, each, action_change = wp.array2d(dtype=real), wp.array(dtype=real), action_changes(real)

    @wp.func
    def scored(term: rows, weights: each, command: rows, last: rows, scale: each, row: int) -> real:
        total = -weights[wp.static(terms)] * action_change(command, last, scale, row)
        for i in range(wp.static(terms)):
            total += weights[i] * term[row, i]
        return total

    return scored


@cache
def motion_writer(real: Any) -> Any:
    """Warp function that writes the motion of a pose into a row of `seen` from entry `first` on."""
    f = kernels.functions(real)
    vec3, vec17, rotated_back, up_of = f.vec3, f.vec17, f.rotated_back, f.up_of
    rows = wp.array2d(dtype=real)

    @wp.func
    def write_motion(state: vec17, row: int, seen: rows, first: int):
        velocity = rotated_back(state, vec3(state[3], state[4], state[5]))
        up = up_of(state)
        for i in range(3):
            seen[row, first + i] = velocity[i]
            seen[row, first + 3 + i] = up[i]
            seen[row, first + 6 + i] = state[10 + i]

    return write_motion


@cache
def command_change(real: Any, backward: bool) -> Any:
    """Kernel of action_changes."""
    action_change = action_changes(real)

    @kernel(real, backward)
    def change(
        command: wp.array2d(dtype=real),
        last: wp.array2d(dtype=real),
        scale: wp.array(dtype=real),
        out: wp.array(dtype=real),
    ):
        row = wp.tid()
        out[row] = action_change(command, last, scale, row)

    return change


@cache
def motion_of(real: Any, backward: bool) -> Any:
    """Kernel of motion_writer."""
    pose_of, write_motion = kernels.functions(real).pose_of, motion_writer(real)

    @kernel(real, backward)
    def motion(pose: wp.array2d(dtype=real), out: wp.array2d(dtype=real)):
        row = wp.tid()
        write_motion(pose_of(pose, row), row, out, 0)

    return motion


@cache
def judge_kernel(
    make: Callable[[Any], MissionFunctions], terms: int, entries: int, motion: int, real: Any, backward: bool
) -> Any:
    """Kernel of one control step of a mission with its reward and observation.

    Args:
        make: Warp functions of the mission for a floating type.
        terms: Number of terms of the reward.
        entries: Entries of the observation about the mission.
        motion: Entries about the motion that follow them; 0 for none.
        real: Floating type of Warp.
        backward: Whether the kernel has an adjoint.
    """
    f, (advance, observe) = kernels.functions(real), make(real)
    vec17, write_motion, scored = f.vec17, motion_writer(real), score_of(terms, real)

    @kernel(real, backward, terms)
    def judge(
        before: wp.array(dtype=vec17),
        after: wp.array(dtype=vec17),
        command: wp.array2d(dtype=real),
        last_command: wp.array2d(dtype=real),
        grounded: wp.array(dtype=wp.bool),
        noise_key: wp.array(dtype=wp.int64),
        steps: wp.array(dtype=wp.int64),
        course: wp.array2d(dtype=real),
        values: wp.array2d(dtype=real),
        counts: wp.array2d(dtype=wp.int64),
        numbers: wp.array(dtype=real),
        weights: wp.array(dtype=real),
        scale: wp.array(dtype=real),
        duration: real,
        new_values: wp.array2d(dtype=real),
        new_counts: wp.array2d(dtype=wp.int64),
        term: wp.array2d(dtype=real),
        reward: wp.array(dtype=real),
        terminated: wp.array(dtype=wp.bool),
        seen: wp.array2d(dtype=real),
    ):
        row = wp.tid()
        start, end = before[row], after[row]
        terminated[row] = advance(
            start, end, grounded[row], row, noise_key[row], steps[row], duration, numbers,
            course, values, counts, new_values, new_counts, term,
        )  # fmt: skip
        reward[row] = scored(term, weights, command, last_command, scale, row)
        observe(end, row, numbers, course, new_values, new_counts, seen)
        if wp.static(motion > 0):
            write_motion(end, row, seen, wp.static(entries))

    return judge


@cache
def see_kernel(make: Callable[[Any], MissionFunctions], entries: int, motion: int, real: Any, backward: bool) -> Any:
    """Kernel of the observation of measured poses; arguments as for judge_kernel."""
    f, observe, write_motion = kernels.functions(real), make(real).observe, motion_writer(real)
    pose_of = f.pose_of

    @kernel(real, backward)
    def see(
        pose: wp.array2d(dtype=real),
        course: wp.array2d(dtype=real),
        values: wp.array2d(dtype=real),
        counts: wp.array2d(dtype=wp.int64),
        numbers: wp.array(dtype=real),
        seen: wp.array2d(dtype=real),
    ):
        row = wp.tid()
        state = pose_of(pose, row)
        observe(state, row, numbers, course, values, counts, seen)
        if wp.static(motion > 0):
            write_motion(state, row, seen, wp.static(entries))

    return see
