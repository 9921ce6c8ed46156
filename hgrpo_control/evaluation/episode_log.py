"""Every episode of an evaluation, step by step, as files.

Each row of an episode holds the state and the observation before a control step, the action of the step and its reward.
docs/guides/evaluate.md lists the columns.
"""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hgrpo_errors import HgrpoError
from hgrpo_files import make_folder, write_bytes, write_text
from robots.episodes import Transition
from robots.quadrotor.flight.simulator import QuadrotorFlight
from robots.simulator import Channel, Simulator, episode_metrics

Format = Literal["npz", "csv"]
_BODY = {
    "position": ("m", "xyz"),
    "velocity": ("m/s", "xyz"),
    "quaternion": ("1", "wxyz"),
    "angular_velocity": ("rad/s", "xyz"),
    "rotor_speed": ("1", "1234"),
}
"""Unit and components of the recorded state of a quadrotor."""


class EpisodeLog:
    """The steps of all episodes in memory.

    Args:
        simulator: The task.
        episodes: Their number.
    """

    def __init__(self, simulator: Simulator, episodes: int) -> None:
        self.simulator = simulator
        self._rows: list[dict[str, NDArray[Any]]] = []
        self._alive: list[NDArray[np.bool_]] = []
        self._ends: list[dict[str, Any]] = [{} for _ in range(episodes)]

    def add(self, state: Any, observation: Tensor, action: Tensor, transition: Transition, alive: Tensor) -> None:
        """Add one control step.

        Args:
            state: State of B rows before the step.
            observation: (B, O) before the step.
            action: (B, A) of the step.
            transition: What it led to.
            alive: (B,) whether the episode of a row was running.
        """
        reward = transition.reward.unsqueeze(1)
        values = {"observation": observation, "action": action, "reward": reward, **self._state(state)}
        self._rows.append({name: value.detach().cpu().numpy().copy() for name, value in values.items()})
        self._alive.append(alive.cpu().numpy().copy())
        ended = (transition.terminated | transition.truncated) & alive
        if not bool(ended.any()):
            return
        success = self.simulator.success(transition.episodes.state)
        metrics = episode_metrics(self.simulator, transition.episodes.state)
        for row in torch.nonzero(ended).flatten().tolist():
            end: dict[str, Any] = {"terminated": bool(transition.terminated[row])}
            if self.simulator.spec.goal:
                end["success"] = bool(success[row])
            self._ends[row] = end | {name: float(value[row]) for name, value in metrics.items()}

    def write(self, folder: Path, form: Format) -> None:
        """Write episode-0000 and so on, and episodes.csv with one row per episode.

        Args:
            folder: A folder without files; it is made if it does not exist.
            form: Format of an episode's file.
        """
        make_folder(folder)
        write = self._write_npz if form == "npz" else self._write_csv
        table = []
        for row, end in enumerate(self._ends):
            episode = self._episode(row)
            write(folder / f"episode-{row:04d}.{form}", row, episode)
            length, total = len(episode["reward"]), float(episode["reward"].sum())
            table.append({"episode": row, "length [steps]": length, "return": total, **end})
        names = list(dict.fromkeys(name for line in table for name in line))
        text = io.StringIO()
        writer = csv.DictWriter(text, names, restval="nan", lineterminator="\n")
        writer.writeheader()
        writer.writerows(table)
        write_text(folder / "episodes.csv", text.getvalue())

    def _state(self, state: Any) -> dict[str, Tensor]:
        """State of a quadrotor, or the signals of another task."""
        if isinstance(self.simulator, QuadrotorFlight):
            return {f"state_{name}": getattr(state.body, name) for name in _BODY}
        return {f"state_{name}": values for name, values in self.simulator.signals(state).items()}

    def _episode(self, row: int) -> dict[str, NDArray[Any]]:
        """Arrays (T, ...) of one episode."""
        steps = [values for values, alive in zip(self._rows, self._alive, strict=True) if alive[row]]
        arrays = {name: np.array([values[name][row] for values in steps]) for name in steps[0]}
        time = np.arange(len(steps)) / self.simulator.spec.control_hz
        return {"time": time, **arrays, "reward": arrays["reward"][:, 0]}

    def _write_npz(self, path: Path, row: int, episode: dict[str, NDArray[Any]]) -> None:
        spec, content = self.simulator.spec, io.BytesIO()
        names = {
            "observation_names": np.array([entry.name for entry in spec.observation]),
            "action_names": np.array([entry.name for entry in spec.action]),
            "columns": np.array(json.dumps(self._columns(episode))),
            "task": np.array(spec.name),
            "robot": np.array(spec.robot),
            "metrics": np.array(json.dumps({name: _or_none(value) for name, value in self._ends[row].items()})),
        }
        np.savez_compressed(content, **episode, **names)  # type: ignore[arg-type]
        write_bytes(path, content.getbuffer())

    def _write_csv(self, path: Path, row: int, episode: dict[str, NDArray[Any]]) -> None:
        columns, text = self._columns(episode), io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([column for name in episode for column in columns[name]])
        writer.writerows(np.column_stack([array.reshape(len(array), -1) for array in episode.values()]).tolist())
        write_text(path, text.getvalue())

    def _columns(self, episode: dict[str, NDArray[Any]]) -> dict[str, list[str]]:
        """Names of the columns of each array, with units, as in the CSV."""
        spec, names = self.simulator.spec, {"time": ["time [s]"], "reward": ["reward [1]"]}
        names["observation"] = [f"observation {_with_unit(entry)}" for entry in spec.observation]
        names["action"] = [f"action {_with_unit(entry)}" for entry in spec.action]
        for name in (name for name in episode if name.startswith("state_")):
            plain = name.removeprefix("state_")
            unit, parts = _BODY.get(plain, ("", ""))
            size = episode[name].shape[1]
            if parts:
                names[name] = [f"state {plain}_{part} [{unit}]" for part in parts]
            else:
                names[name] = [f"state {plain}"] if size == 1 else [f"state {plain} {k}" for k in range(size)]
        return names


def require_empty(folder: Path) -> None:
    """Raise HgrpoError unless a folder is empty or does not exist."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise HgrpoError(f"--record {folder} exists already; allowed: a new folder")


def _with_unit(entry: Channel) -> str:
    return f"{entry.name} [{entry.unit}]"


def _or_none(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value
