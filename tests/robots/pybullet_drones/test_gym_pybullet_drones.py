"""The aviaries of gym-pybullet-drones as simulators; most of it needs that package."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import robots
from robots.pybullet_drones.simulator import AviarySimulator
from robots.pybullet_drones.state import AviaryState
from robots.pybullet_drones.worker_pool import WorkerError
from robots.simulator import map_state, repeat, select

ACTIONS = ("rpm", "one_d_rpm", "pid", "vel", "one_d_pid")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("gym_pybullet_drones") is None or importlib.util.find_spec("pybullet") is None,
        reason="needs gym-pybullet-drones: pip install '.[drones]'",
    ),
]


@contextlib.contextmanager
def made(name: str, **options: Any) -> Iterator[AviarySimulator]:
    simulator = robots.make(f"gpd/{name}", **options)
    assert isinstance(simulator, AviarySimulator)
    try:
        yield simulator
    finally:
        simulator.close()


def commands(simulator: AviarySimulator, steps: int, rows: int, down: bool) -> torch.Tensor:
    """(S, B, A) actions around one that lands the drones, or one that keeps them in the air."""
    generator = torch.Generator().manual_seed(5)
    noise = 0.3 * torch.randn(steps, rows, simulator.spec.action_size, generator=generator)
    return (noise - 0.6 if down else noise + 0.3).clamp(-1.0, 1.0)


def follow(simulator: AviarySimulator, state: AviaryState, actions: torch.Tensor) -> list[torch.Tensor]:
    """Everything that each step returned, flattened to (B, ...)."""
    seen = []
    for action in actions:
        step = simulator.step(state, action)
        state = step.state
        seen += [*(field.clone() for field in state), step.observation, step.reward, step.terminated]
    return seen


def alike(a: list[torch.Tensor], b: list[torch.Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("down", [False, True], ids=["in_the_air", "on_the_ground"])
@pytest.mark.parametrize(
    ("name", "action"),
    [(name, action) for name in ("HoverAviary", "MultiHoverAviary") for action in ACTIONS]
    + [("VelocityAviary", "vel")],
)
def test_a_branch_replays_to_the_bit_over_40_steps(name: str, action: str, down: bool) -> None:
    with made(name, action=action, start="fixed") as simulator:
        state = simulator.reset(1, 3)
        state.position[..., 2] = 0.013 if down else 100.0  # a drone at rest on the floor has its centre at 0.0125 m
        for command in commands(simulator, 30, 1, down):
            state = simulator.step(state, command).state
        kept, actions = map_state(torch.clone, state), commands(simulator, 40, 1, down)
        first = follow(simulator, state, actions)
        heights = torch.stack(first[:: len(AviaryState._fields) + 3])[..., 2]
        assert (heights.amin(dim=0) < 0.02).all() if down else (heights > 5.0).all()
        follow(simulator, simulator.reset(1, 9), commands(simulator, 10, 1, not down))
        assert alike(first, follow(simulator, kept, actions))


def test_rows_do_not_depend_on_the_number_of_workers_nor_on_each_other() -> None:
    with made("HoverAviary", workers=3) as three, made("HoverAviary", workers=1) as one:
        state, actions = one.reset(4, 0), commands(one, 15, 4, True)
        whole = follow(one, state, actions)
        assert alike(whole, follow(three, state, actions))
        assert alike([x[2:3] for x in whole], follow(one, select(state, slice(2, 3)), actions[:, 2:3]))
        siblings = repeat(select(state, slice(0, 1)), 3)
        outcome = one.step(siblings, actions[0, :1].repeat(3, 1)).state.position
        assert torch.equal(outcome[0], outcome[1])
        assert torch.equal(outcome[0], outcome[2])


def test_a_state_on_disk_goes_on_in_another_process(tmp_path: Path) -> None:
    with made("HoverAviary", action="pid") as simulator:
        actions = commands(simulator, 10, 1, True)
        state = simulator.reset(1, 1)
        for action in actions:
            state = simulator.step(state, action).state
        torch.save(tuple(state), tmp_path / "state.pt")
        expected = follow(simulator, state, actions)
    with made("HoverAviary", action="pid") as simulator:
        assert alike(expected, follow(simulator, AviaryState(*torch.load(tmp_path / "state.pt")), actions))


@pytest.mark.parametrize(("name", "action"), [("HoverAviary", "rpm"), ("MultiHoverAviary", "vel")])
def test_in_the_air_it_is_the_environment_itself(name: str, action: str) -> None:
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        from gym_pybullet_drones import envs
        from gym_pybullet_drones.utils.enums import ActionType

        env = getattr(envs, name)(act=ActionType(action))
        original, _ = env.reset()
    with made(name, action=action, start="fixed") as simulator:
        state = simulator.reset(1, 0)
        assert np.array_equal(simulator.observe(state)[0].numpy(), original.reshape(-1).astype(np.float32))
        for k, command in enumerate(commands(simulator, 20, 1, False)):
            step = simulator.step(state, command)
            original, reward, terminated, truncated, _ = env.step(command.numpy().reshape(env.action_space.shape))
            state = step.state
            assert np.abs(step.observation[0].numpy() - original.reshape(-1)).max() < 1e-6, k
            assert np.abs(state.position[0].numpy() - env.pos).max() < 1e-9
            assert float(step.reward) == pytest.approx(reward, abs=1e-6)
            assert bool(step.terminated) == (terminated or truncated)
    env.close()


def test_an_episode_owes_nothing_to_the_one_before() -> None:
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        from gym_pybullet_drones.envs import HoverAviary
        from gym_pybullet_drones.utils.enums import ActionType

        env = HoverAviary(act=ActionType.PID)
    with made("HoverAviary", action="pid", start="fixed") as simulator:
        actions, episodes, originals = commands(simulator, 10, 1, False), [], []
        for _ in range(2):
            episodes.append(follow(simulator, simulator.reset(1, 0), actions))
            begun, _ = env.reset()
            originals.append([begun.copy(), *(env.step(command.numpy())[0].copy() for command in actions)])
    env.close()
    assert alike(*episodes)
    past = slice(12, 12 + 15 * 3)  # behind position, attitude, velocity and angular velocity
    assert not originals[0][0][0, past].any()
    assert originals[1][0][0, past].any()  # which is why a state begins with past actions of its own
    assert not np.array_equal(originals[0][10][0, :12], originals[1][10][0, :12])  # nor do the integrals begin anew


def test_flying_away_or_tilting_too_far_ends_the_episode_for_good() -> None:
    with made("HoverAviary", start="fixed") as simulator:
        state = simulator.reset(3, 0)
        state.position[1, 0, 2] = 2.2  # above 2 m
        angle = 0.6  # rad, beyond 0.4; x = sin(angle / 2), w = cos(angle / 2)
        state.quaternion[2, 0] = torch.tensor((np.sin(angle / 2), 0.0, 0.0, np.cos(angle / 2)))
        assert simulator.step(state, torch.zeros(3, 4)).terminated.tolist() == [False, True, True]


@pytest.mark.parametrize("name", ["HoverAviary", "MultiHoverAviary"])
def test_a_drone_that_tilts_too_far_beside_its_target_has_failed(name: str) -> None:
    """5 cm from the target, level or tilted by 0.6 rad, beyond the 0.4 rad at which the environment gives up."""
    with made(name, start="fixed") as simulator:
        state = simulator.reset(2, 0)
        state.position[:] = simulator.target + torch.tensor((0.0, 0.0, 0.05))
        state.quaternion[1, 0] = torch.tensor((np.sin(0.3), 0.0, 0.0, np.cos(0.3)))
        assert simulator.success(state).tolist() == [True, True]
        step = simulator.step(state, torch.zeros(2, simulator.spec.action_size))
        assert step.terminated.tolist() == [False, True]
        assert simulator.success(step.state).tolist() == [True, False]
        near = (step.state.position - simulator.target).norm(dim=2)
        assert (near < 0.1).all()


def test_seeds_draw_the_start_and_fixed_starts_are_alike() -> None:
    with made("HoverAviary") as drawn, made("HoverAviary", start="fixed") as fixed:
        a, b = drawn.reset(8, 1), drawn.reset(8, 2)
        assert not torch.equal(a.position, b.position)
        assert torch.equal(a.position, drawn.reset(8, 1).position)
        assert ((a.position - drawn.start).abs() <= 0.05).all()
        assert (a.rpy.abs() <= 0.1).all()
        assert torch.equal(fixed.reset(2, 1).position, fixed.start.expand(2, 1, 3))


def test_names_and_bounds_fit_the_environment() -> None:
    with made("MultiHoverAviary", action="one_d_rpm") as simulator:
        spec, state = simulator.spec, simulator.reset(2, 0)
        assert simulator.observe(state).shape == (2, spec.observation_size) == (2, 2 * (12 + 15))
        assert spec.action_size == 2
        assert len({q.name for q in spec.observation}) == spec.observation_size
        new = simulator.step(state, torch.tensor([[0.25, -5.0]] * 2)).state
        shown = dict(zip((q.name for q in spec.observation), simulator.observe(new)[0].tolist(), strict=True))
        assert shown["drone_0_rotors_1_ago"] == 0.25
        assert shown["drone_1_rotors_1_ago"] == -1.0  # clipped
        assert shown["drone_1_rotors_2_ago"] == 0.0
        assert shown["drone_1_position_x"] == pytest.approx(float(new.position[0, 1, 0]))


def test_a_dead_worker_is_told_in_one_line() -> None:
    with made("HoverAviary", workers=2) as simulator:
        state = simulator.reset(2, 0)
        victim = simulator.workers.processes[1]
        victim.kill()
        victim.wait()
        with pytest.raises(WorkerError, match=r"^gym-pybullet-drones worker 1 failed: it ended with exit status -9$"):
            simulator.step(state, torch.zeros(2, 4))
        assert all(process.poll() is not None for process in simulator.workers.processes)


STEPPING = """
import signal
import torch
import robots

signal.signal(signal.SIGINT, lambda number, frame: None)
simulator = robots.make("gpd/HoverAviary", workers=2)
state = simulator.reset(2, 0)
print(*(process.pid for process in simulator.workers.processes), flush=True)
while input():
    state = simulator.step(state, torch.zeros(2, 4)).state
    print("stepped", flush=True)
"""


def test_ctrl_c_leaves_the_workers_to_their_simulator_and_its_death_ends_them() -> None:
    """A terminal sends SIGINT to the whole process group; a run steps on until it has finished its iteration."""
    command = (sys.executable, "-c", STEPPING)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, **pipes, text=True, start_new_session=True) as process:  # type: ignore[call-overload]
        workers = [int(pid) for pid in process.stdout.readline().split()]
        assert len(workers) == 2
        os.killpg(process.pid, signal.SIGINT)
        time.sleep(0.2)
        process.stdin.write("step\n")
        process.stdin.flush()
        assert process.stdout.readline() == "stepped\n"
        process.kill()
    deadline = time.monotonic() + 10.0
    while any(map(runs, workers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(runs, workers))


def runs(pid: int) -> bool:
    """Whether a process is there and has not ended; nobody may have collected it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
