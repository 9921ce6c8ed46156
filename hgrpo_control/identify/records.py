"""Logs of this package: flight records of `hgrpo fly --record` and episodes of `hgrpo evaluate --record`."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hgrpo_control.identify.log import Array, Log, LogError, Segment, continuous, into_world, quaternion_of
from hgrpo_files import reading
from policies.spec import PolicySpec

_MOTION = tuple(f"{name}_{axis}" for name in ("velocity", "up", "angular_velocity") for axis in "xyz")
_MOTORS = tuple(f"motor_{i}" for i in (1, 2, 3, 4))
_GAP = 1.5  # steps between two ticks that begin another segment


def read_npz(path: Path) -> Log:
    """The log of an .npz file of this package; raises LogError for another one."""
    try:
        with reading(path), np.load(path) as file:
            content = {name: file[name] for name in file.files}
    except (ValueError, zipfile.BadZipFile, EOFError) as error:
        raise LogError(f"{path} cannot be read as .npz: {error}") from error
    if "policy_spec" in content and "stamp_age" in content:
        return _flight(path, content)
    if "state_quaternion" in content:
        return _episode(path, content)
    raise LogError(
        f"{path} has {', '.join(content) or 'nothing'}; expected a record of hgrpo fly --record, or of a quadrotor by "
        "hgrpo evaluate --record"
    )


def _flight(path: Path, content: dict[str, Any]) -> Log:
    """A flight record: motion in the observation, motor commands as actions; the heading follows from the rates."""
    spec = PolicySpec.from_json(str(content["policy_spec"]))
    observed = [entry.name for entry in spec.observation]
    _require_motors(path, [entry.name for entry in spec.action])
    missing = [name for name in _MOTION if name not in observed]
    if missing:
        raise LogError(f"{path}: its observation has no {missing[0]}; allowed: a task whose observation has the motion")
    at, step = [observed.index(name) for name in _MOTION], 1.0 / spec.control_hz
    motion, time = content["observation"][:, at].astype(float), content["time"].astype(float)
    command = 0.5 * (content["action"].astype(float) + 1.0)
    valid = np.isfinite(motion).all(axis=1) & np.isfinite(command).all(axis=1)
    follows = np.diff(time, prepend=-np.inf) < _GAP * step
    if "begins" in content:
        follows &= ~content["begins"]
    segments = []
    for first, last in _runs(valid, follows):
        velocity, up, rate = (motion[first:last, 3 * k : 3 * k + 3] for k in range(3))
        quaternion = quaternion_of(up, rate, step)
        segments.append(Segment(rate, command[first:last], into_world(quaternion, velocity), quaternion))
    return Log(str(path), step, tuple(segments))


def _episode(path: Path, content: dict[str, Any]) -> Log:
    """An episode of hgrpo evaluate --record: true states, motor commands as actions."""
    _require_motors(path, [str(name) for name in content["action_names"]])
    time, motors = content["time"].astype(float), content["action"].astype(float)
    states = [content[f"state_{name}"].astype(float) for name in ("angular_velocity", "velocity", "quaternion")]
    segment = Segment(states[0], 0.5 * (motors + 1.0), states[1], continuous(states[2]))
    return Log(str(path), float(time[1] - time[0]) if len(time) > 1 else 1.0, (segment,))


def _require_motors(path: Path, names: Sequence[str]) -> None:
    if tuple(names) != _MOTORS:
        raise LogError(
            f"{path}: its actions are {', '.join(names)}; identify needs motor commands, allowed: a policy of "
            "interface=motors"
        )


def _runs(valid: Array, follows: Array) -> list[tuple[int, int]]:
    """First and last + 1 of the runs of valid samples that follow one another."""
    runs: list[tuple[int, int]] = []
    for k in np.flatnonzero(valid):
        if runs and runs[-1][1] == k and follows[k]:
            runs[-1] = (runs[-1][0], int(k) + 1)
        else:
            runs.append((int(k), int(k) + 1))
    return runs
