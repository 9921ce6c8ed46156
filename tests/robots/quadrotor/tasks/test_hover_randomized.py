"""quadrotor-hover with hidden parameters: what stays as it was, what is hidden, what siblings share."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from support import rigid_body
from support.states import same
from torch import Tensor

import robots
from robots.quadrotor.body.parameters import GRAVITY
from robots.quadrotor.body.randomization import HiddenParameters, Randomization
from robots.quadrotor.flight.state import FlightState
from robots.quadrotor.tasks.hover import HoverOptions, QuadrotorHover
from robots.simulator import map_state, num_rows, repeat, replace, select

EVERYTHING = HoverOptions(mass=0.3, rotor_thrust=0.1, inertia=0.3, rotor_lag=0.3, wind=1.0, gust=4.0)
ALONE = {"drag", "yaw_torque", "rotor_offset", "idle_speed", "battery_sag"}  # these have no range here
DRAWN = set(HiddenParameters._fields) - ALONE - {"vehicle", "vehicle_shown"}
PLAIN = QuadrotorHover(dtype=torch.float64)
VARIED = QuadrotorHover(EVERYTHING, dtype=torch.float64)


def actions(steps: int, rows: int, dtype: torch.dtype = torch.float64, seed: int = 1) -> Tensor:
    return 2.0 * torch.rand(steps, rows, 4, generator=torch.Generator().manual_seed(seed), dtype=dtype) - 1.0


def hidden_of(state: FlightState) -> HiddenParameters:
    assert isinstance(state.hidden, HiddenParameters)
    return state.hidden


def with_hidden(state: FlightState, **changes: Tensor) -> FlightState:
    return state._replace(hidden=hidden_of(state)._replace(**changes))


def falling(rows: int, wind: Tensor, gust: Tensor) -> tuple[QuadrotorHover, FlightState]:
    """learning-to-fly has no drag and its rotors stop at -1: rows at rest with stopped rotors fall freely."""
    task = QuadrotorHover(
        HoverOptions(quadrotor="learning-to-fly", wind=1.0, gust=1.0, gust_time=0.02), dtype=torch.float64
    )
    state = task.reset(rows, 0)
    body = state.body.changed(velocity=torch.zeros(rows, 3).double(), rotor_speed=torch.zeros(rows, 4).double())
    return task, with_hidden(state._replace(body=body), wind=wind, gust=gust)


# --- nothing randomised -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_without_ranges_a_step_is_the_nominal_one_to_the_bit(dtype: torch.dtype) -> None:
    task = QuadrotorHover(HoverOptions(), dtype=dtype)
    state = task.reset(50, 0)
    assert task.spec.privileged == ()
    for action in actions(5, 50, dtype):
        assert state.hidden == ()
        assert task.privileged(state).shape == (50, 0)
        step = task.step(state, action)
        assert same(step.state.body, rigid_body.step(state.body, action, task.hidden.nominal, 0.01))
        state = step.state


def test_ranges_change_neither_where_episodes_begin_nor_their_keys() -> None:
    """What is hidden is drawn last, so one seed gives both tasks the same starts."""
    plain, varied = PLAIN.reset(50, 4), VARIED.reset(50, 4)
    assert same(plain.body, varied.body)
    assert torch.equal(plain.noise_key, varied.noise_key)
    assert torch.equal(PLAIN.observe(plain), VARIED.observe(varied))


def test_nominal_factors_without_wind_fly_as_the_nominal_drone() -> None:
    plain, varied = PLAIN.reset(50, 4), VARIED.reset(50, 4)
    factors = {
        k: torch.ones_like(getattr(hidden_of(varied), k)) for k in ("mass", "rotor_thrust", "inertia", "rotor_lag")
    }
    still = torch.zeros(50, 3, dtype=torch.float64)
    for action in actions(20, 50):
        varied = with_hidden(varied, **factors, wind=still, gust=still)
        plain, varied = PLAIN.step(plain, action).state, VARIED.step(varied, action).state
    torch.testing.assert_close(VARIED.observe(varied), PLAIN.observe(plain), rtol=1e-11, atol=1e-11)


# --- wind and gusts ---------------------------------------------------------------------------------------------------


def test_wind_pulls_like_another_gravity() -> None:
    """Falling freely for t = 0.3 s: p = p0 + (w - g e_z) t^2 / 2 and v = (w - g e_z) t."""
    wind = torch.tensor([[0.0, 0.0, 0.0], [1.0, -2.0, 3.0], [0.0, 0.0, -5.0]], dtype=torch.float64)
    task, state = falling(3, wind, torch.zeros_like(wind))
    began, pull = state.body.position, wind - torch.tensor([0.0, 0.0, GRAVITY], dtype=torch.float64)
    for _ in range(30):
        state = task.step(with_hidden(state, gust=torch.zeros_like(wind)), -torch.ones(3, 4)).state
    torch.testing.assert_close(state.body.position, began + pull * 0.3**2 / 2.0, rtol=0, atol=1e-12)
    torch.testing.assert_close(state.body.velocity, pull * 0.3, rtol=0, atol=1e-12)


def test_the_gust_of_a_state_acts_in_the_step_that_leaves_it() -> None:
    """From rest v after one step of h is (w + g_0 - g e_z) h, after the next it gains (w + g_1 - g e_z) h."""
    generator = torch.Generator().manual_seed(0)
    wind, gust = torch.randn(2, 5, 3, generator=generator, dtype=torch.float64)
    task, state = falling(5, wind, gust)
    weight = torch.tensor([0.0, 0.0, -GRAVITY], dtype=torch.float64)
    for _ in range(4):
        step = task.step(state, -torch.ones(5, 4))
        expected = state.body.velocity + (wind + hidden_of(state).gust + weight) * 0.01
        torch.testing.assert_close(step.state.body.velocity, expected, rtol=0, atol=1e-13)
        assert not (hidden_of(step.state).gust == hidden_of(state).gust).any()
        state = step.state


def test_only_gusts_move_during_an_episode() -> None:
    state = VARIED.reset(20, 0)
    for count, action in enumerate(actions(10, 20), start=1):
        after = VARIED.step(state, action).state
        assert (hidden_of(after).gust_steps == count).all()
        for name in DRAWN - {"gust", "gust_steps"}:
            assert torch.equal(getattr(hidden_of(after), name), getattr(hidden_of(state), name))
        state = after


def test_a_restarted_row_has_a_drone_and_a_wind_of_its_own() -> None:
    state = VARIED.reset(6, 0)
    rows = torch.tensor([1, 4])
    mixed = hidden_of(replace(state, rows, VARIED.reset(2, 9)))
    for name in DRAWN - {"gust_steps"}:
        kept = (getattr(mixed, name) == getattr(hidden_of(state), name)).all(dim=1)
        assert kept.tolist() == [True, False, True, True, False, True], name


# --- what is seen -----------------------------------------------------------------------------------------------------


def test_the_observation_shows_nothing_that_is_hidden() -> None:
    state, other = VARIED.reset(30, 0), VARIED.reset(30, 1)
    disguised = state._replace(hidden=other.hidden)
    assert not (VARIED.privileged(state) == VARIED.privileged(disguised)).any()
    assert torch.equal(VARIED.observe(state), VARIED.observe(disguised))
    assert torch.equal(VARIED.observe(state), PLAIN.observe(state))
    assert VARIED.spec.observation == PLAIN.spec.observation


def test_privileged_entries_by_name() -> None:
    """Wind and gust are turned into the body frame: R^T w."""
    state = VARIED.reset(40, 0)
    for action in actions(5, 40):
        state = VARIED.step(state, action).state
    hidden = hidden_of(state)
    to_body = Rotation.from_quat(state.body.quaternion.numpy(), scalar_first=True).inv()
    wind, gust = to_body.apply(hidden.wind.numpy()), to_body.apply(hidden.gust.numpy())
    expected = {"mass_factor": hidden.mass[:, 0].numpy()}
    expected |= {f"rotor_{i + 1}_thrust_factor": hidden.rotor_thrust[:, i].numpy() for i in range(4)}
    expected |= {f"inertia_{axis}_factor": hidden.inertia[:, i].numpy() for i, axis in enumerate("xyz")}
    expected |= {"rotor_lag_factor": hidden.rotor_lag[:, 0].numpy()}
    expected |= {f"wind_{axis}": wind[:, i] for i, axis in enumerate("xyz")}
    expected |= {f"gust_{axis}": gust[:, i] for i, axis in enumerate("xyz")}
    assert [channel.name for channel in VARIED.spec.privileged] == list(expected)
    assert {(q.unit, q.frame) for q in VARIED.spec.privileged[-6:]} == {("m/s^2", "body")}
    seen = VARIED.privileged(state).numpy()
    assert seen.shape == (40, VARIED.spec.privileged_size) == (40, 15)
    for i, column in enumerate(expected.values()):
        np.testing.assert_allclose(seen[:, i], column, rtol=0, atol=1e-13)


def test_a_drone_on_its_side_feels_the_wind_from_elsewhere() -> None:
    """Rolled by +90 degrees about x, body y points up and body z along world -y: (1, 2, 3) becomes (1, 3, -2)."""
    state = with_hidden(VARIED.reset(1, 0), wind=torch.tensor([[1.0, 2.0, 3.0]], dtype=torch.float64))
    half = 0.5**0.5
    rolled = torch.tensor([[half, half, 0.0, 0.0]], dtype=torch.float64)
    state = state._replace(body=state.body.changed(quaternion=rolled))
    torch.testing.assert_close(VARIED.privileged(state)[0, 9:12], torch.tensor([1.0, 3.0, -2.0]).double())


@pytest.mark.parametrize("field", [field.name for field in fields(Randomization) if field.name != "gust_time"])
def test_any_one_range_makes_a_task_that_hides_something(field: str) -> None:
    """Drag, yaw torque, rotor offset and idle speed add an entry of their own to the fifteen, a battery two."""
    task = QuadrotorHover(HoverOptions(**{field: 0.5}))
    size = 15 + (field in ALONE) + (field == "battery_sag")
    assert task.spec.privileged_size == size
    state = task.reset(3, 0)
    assert task.privileged(task.step(state, actions(1, 3)[0]).state).shape == (3, size)
    if field == "battery_sag":
        assert [channel.name for channel in task.spec.privileged[-2:]] == ["battery_sag", "battery_loss"]
        assert torch.equal(task.privileged(state)[:, -2:-1], state.hidden.battery_sag)
    elif size > 15:
        assert task.spec.privileged[-1].name == f"{field}_factor"
        assert torch.equal(task.privileged(state)[:, -1:], getattr(state.hidden, field))


# --- siblings ---------------------------------------------------------------------------------------------------------


def gusts_of(task: QuadrotorHover, state: FlightState, samples: int, steps: int) -> Tensor:
    """(S + 1, B, N, 3) gusts of siblings on random actions of their own."""
    path = [state]
    for action in actions(steps, num_rows(state)):
        path.append(task.step(path[-1], action).state)
    return torch.stack([hidden_of(s).gust for s in path]).unflatten(1, (-1, samples))


def test_siblings_meet_the_same_gusts_whatever_they_do() -> None:
    gusts = gusts_of(VARIED, repeat(VARIED.reset(5, 0), 3), 3, 10)
    assert torch.equal(gusts, gusts[:, :, :1].expand_as(gusts))
    assert not (gusts[1:] == gusts[:-1]).any()


def test_split_siblings_share_what_is_there_and_meet_gusts_of_their_own() -> None:
    root = VARIED.step(VARIED.reset(5, 0), actions(1, 5)[0]).state
    branches = repeat(root, 4)
    split = VARIED.split_noise(branches, torch.arange(4).repeat(5))
    assert same(split._replace(noise_key=branches.noise_key), branches)  # drone, wind and present gust
    gusts = gusts_of(VARIED, split, 4, 10)
    assert torch.equal(gusts[:, :, 0], gusts_of(VARIED, branches, 4, 10)[:, :, 0])
    assert torch.equal(gusts[0], gusts[0, :, :1].expand(5, 4, 3))
    for i in range(4):
        for j in range(i):
            assert not (gusts[1:, :, i] == gusts[1:, :, j]).any()


def test_split_siblings_on_the_same_actions_part_one_step_after_their_gusts() -> None:
    split = VARIED.split_noise(repeat(VARIED.reset(5, 0), 2), torch.arange(2).repeat(5))
    action = actions(3, 5).repeat_interleave(2, dim=1)
    first = VARIED.step(split, action[0]).state
    assert torch.equal(first.body.velocity[::2], first.body.velocity[1::2])
    second = VARIED.step(first, action[1]).state
    assert not (second.body.velocity[::2] == second.body.velocity[1::2]).all(dim=1).any()


# --- bits -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("quadrotor", "dtype"),
    [
        ("cf21B_500", torch.float32),
        ("cf21B_500", torch.float64),
        ("rl-tools", torch.float32),
        ("cf2x", torch.float32),
        ("any", torch.float32),
    ],
)
def test_a_row_has_the_same_bits_in_any_batch(quadrotor: str, dtype: torch.dtype) -> None:
    lag = 0.0 if quadrotor == "cf2x" else EVERYTHING.rotor_lag  # cf2x has none
    task = QuadrotorHover(
        dataclasses.replace(EVERYTHING, quadrotor=quadrotor, rotor_lag=lag, battery_sag=0.02), dtype=dtype
    )
    large, action = [task.reset(1024, 0)], actions(1, 1024, dtype)[0]
    for _ in range(2):
        large.append(task.step(large[-1], action).state)
    for size in (*range(1, 20), 23, 31, 33, 40):
        rows = torch.arange(20 * size, 21 * size)
        small = select(large[0], rows)
        for whole in large[1:]:
            small = task.step(small, action[rows]).state
            assert same(small, select(whole, rows)), size
        assert torch.equal(task.privileged(small), task.privileged(large[-1])[rows])
    spread = slice(3, None, 7)
    assert same(task.step(select(large[0], spread), action[spread]).state, select(large[1], spread))


def test_the_registered_tasks_have_the_ranges_of_the_documentation() -> None:
    """The table is read from docs/concepts/quadrotor.md, so that the two cannot part."""
    text = (Path(__file__).parents[4] / "docs" / "concepts" / "quadrotor.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \|.*\| ([\d.]+) \| ([\d.]+) \|$", text, re.MULTILINE)
    assert [name for name, _, _ in rows] == [field.name for field in fields(Randomization)]
    for column, suffix in ((1, "-randomized"), (2, "-gusty")):
        task = robots.make(f"quadrotor-hover{suffix}")
        assert isinstance(task, QuadrotorHover)
        for row in rows:
            assert getattr(task.options, row[0]) == float(row[column]), (suffix, row[0])
    plain = robots.make("quadrotor-hover")
    assert isinstance(plain, QuadrotorHover)
    assert not plain.options.draws_anything


def test_map_state_keeps_an_empty_place_empty() -> None:
    state = PLAIN.reset(2, 0)
    assert map_state(torch.clone, state).hidden == ()
    assert isinstance(map_state(torch.clone, VARIED.reset(2, 0)).hidden, HiddenParameters)
