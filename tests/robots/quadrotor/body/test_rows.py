"""The batched step of the rigid body: a row's bits depend on nothing but the row."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support import rigid_body
from torch import Tensor

from robots.quadrotor.body import dynamics
from robots.quadrotor.body.dynamics import QuadrotorState
from robots.quadrotor.body.parameters import PRESETS, preset
from robots.simulator import map_state, select

CPU = torch.device("cpu")
H = 0.01  # s, control step
EVERY_PRESET = pytest.mark.parametrize("name", sorted(PRESETS))


def random_state(rows: int, dtype: torch.dtype, seed: int = 0) -> QuadrotorState:
    generator = torch.Generator().manual_seed(seed)
    low, high = (
        [-2, -2, 1, -2, -2, -2] + [-1] * 4 + [-6] * 3 + [0] * 4,
        [2, 2, 5, 2, 2, 2] + [1] * 4 + [6] * 3 + [1] * 4,
    )
    unit = torch.rand(rows, 17, generator=generator, dtype=dtype)
    drawn = torch.tensor(low) + (torch.tensor(high) - torch.tensor(low)) * unit
    ends = (0, 3, 6, 10, 13, 17)
    position, velocity, quaternion, rate, speed = (drawn[:, i:j].clone() for i, j in pairwise(ends))
    return QuadrotorState.of(position, velocity, quaternion / quaternion.norm(dim=1, keepdim=True), rate, speed)


def random_action(rows: int, dtype: torch.dtype, seed: int = 1) -> Tensor:
    return 2.0 * torch.rand(rows, 4, generator=torch.Generator().manual_seed(seed), dtype=dtype) - 1.0


def assert_same_bits(a: QuadrotorState, b: QuadrotorState) -> None:
    torch.testing.assert_close(a.values, b.values, rtol=0.0, atol=0.0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@EVERY_PRESET
def test_a_row_has_the_same_bits_in_any_batch(name: str, dtype: torch.dtype) -> None:
    frame = dynamics.airframe(preset(name), H, dtype, CPU)
    start, action = random_state(4096, dtype), random_action(4096, dtype)
    large = [start]
    for _ in range(2):
        large.append(rigid_body.step(large[-1], action, frame, H))
    for size in range(1, 41):
        rows = slice(97 * size, 98 * size)
        small = select(start, rows)
        for whole in large[1:]:
            small = rigid_body.step(small, action[rows], frame, H)
            assert_same_bits(small, select(whole, rows))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_row_has_the_same_bits_at_any_place_and_after_any_launch(dtype: torch.dtype) -> None:
    frame = dynamics.airframe(preset("cf21B_500"), H, dtype, CPU)
    start, action = random_state(300, dtype), random_action(300, dtype)
    expected = rigid_body.step(start, action, frame, H)
    for seed, shift in enumerate((1, 2, 3, 7, 150, 299)):
        moved = map_state(lambda x, shift=shift: x.roll(shift, dims=0), start)
        rigid_body.step(random_state(11 * seed + 1, dtype, seed), random_action(11 * seed + 1, dtype), frame, H)
        end = rigid_body.step(moved, action.roll(shift, dims=0), frame, H)
        assert torch.equal(end.values.roll(-shift, dims=0), expected.values)


@pytest.mark.parametrize("rows", [2048, 5001])
@pytest.mark.parametrize("per_row", [False, True], ids=["one airframe", "own airframes"])
def test_a_row_has_the_same_bits_when_rows_are_split_over_threads(
    rows: int, per_row: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = dynamics.airframe(preset("cf21B_500"), H, torch.float32, CPU)
    if per_row:
        frame = frame * torch.linspace(0.9, 1.1, rows).unsqueeze(1)
    start, action = random_state(rows, torch.float32), random_action(rows, torch.float32)
    ends = []
    for threads in (1, 2, 3):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        ends.append(rigid_body.step(start, action, frame, H))
    assert_same_bits(ends[1], ends[0])
    assert_same_bits(ends[2], ends[0])
    alone = rigid_body.step(
        select(start, slice(1700, 1701)), action[1700:1701], frame[1700:1701] if per_row else frame, H
    )
    assert_same_bits(alone, select(ends[1], slice(1700, 1701)))


def test_a_step_is_deterministic_and_leaves_its_arguments_alone() -> None:
    frame = dynamics.airframe(preset("rl-tools"), H, torch.float32, CPU)
    start, action = random_state(100, torch.float32), random_action(100, torch.float32)
    start.position[:50, 2] = 1e-4  # half of the rows touch the ground
    kept, kept_action = map_state(torch.clone, start), action.clone()
    first = rigid_body.step(start, action, frame, H)
    assert_same_bits(first, rigid_body.step(start, action, frame, H))
    assert_same_bits(start, kept)
    assert torch.equal(action, kept_action)
    assert (first.position[:50, 2] == 0.0).any()


@EVERY_PRESET
def test_coefficients_may_differ_per_row(name: str) -> None:
    """Rows with coefficients of their own get the bits that each of these airframes gives alone."""
    p = preset(name)
    frames = [
        dynamics.airframe(
            replace(
                p,
                mass=s * p.mass,
                inertia=(s * p.inertia[0], *p.inertia[1:]),
                rotor_speed_min=0.1 * s,
                rotor_time_up=s * p.rotor_time_up,
                drag=(0.01 * s, 0.02),
            ),
            H,
            torch.float32,
            CPU,
        )
        for s in (0.8, 0.9, 1.0, 1.1, 1.2)
    ]
    start, action = random_state(5, torch.float32), random_action(5, torch.float32)
    end = rigid_body.step(start, action, torch.cat(frames), H)
    for i, frame in enumerate(frames):
        row = slice(i, i + 1)
        assert_same_bits(rigid_body.step(select(start, row), action[row], frame, H), select(end, row))


@settings(max_examples=30)
@given(seed=st.integers(0, 2**31 - 1), name=st.sampled_from(sorted(PRESETS)))
def test_quaternions_stay_unit_and_rotor_speeds_within_their_range(seed: int, name: str) -> None:
    parameters = preset(name)
    low = parameters.rotor_speed_min
    start = random_state(16, torch.float64, seed)
    start = start.changed(rotor_speed=start.rotor_speed.clamp_min(low))
    frame, end = dynamics.airframe(parameters, H, torch.float64, CPU), start
    for _ in range(5):
        end = rigid_body.step(end, random_action(16, torch.float64, seed), frame, H)
    torch.testing.assert_close(end.quaternion.norm(dim=1), torch.ones(16, dtype=torch.float64), rtol=0, atol=1e-15)
    assert (end.rotor_speed >= low - 1e-15).all()
    assert (end.rotor_speed <= 1.0 + 1e-15).all()
    assert (end.position[:, 2] >= 0.0).all()
