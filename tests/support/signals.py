"""Runs of the command line that somebody stops, and what they leave on disk."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import policies
from hgrpo_control.runs.progress import ProgressBar
from hgrpo_control.runs.run_folder import Metrics, RunFolder

CLOCKS = {"wall_seconds", "simulator_steps_per_second", "sampling_seconds", "learning_seconds"}


class StopAt:
    """A reporter that sends a signal to this process in one iteration; Ctrl-C unless another is named."""

    def __init__(self, iteration: int, number: signal.Signals = signal.SIGINT) -> None:
        self.iteration, self.number = iteration, number

    def report(self, metrics: Metrics) -> None:
        if metrics["iteration"] == self.iteration:
            signal.raise_signal(self.number)


def press_ctrl_c_in(iteration: int, monkeypatch: pytest.MonkeyPatch, number: signal.Signals = signal.SIGINT) -> None:
    """Send a signal to this process after the progress bar reported an iteration."""
    report, stop = ProgressBar.report, StopAt(iteration, number)

    def report_and_stop(self: ProgressBar, metrics: Metrics) -> None:
        report(self, metrics)
        stop.report(metrics)

    monkeypatch.setattr(ProgressBar, "report", report_and_stop)


def left_behind(folder: Path) -> tuple[dict[str, Any], list[tuple[str, ...]]]:
    """Everything in a run's checkpoint, path by path, and its metrics as text, without the clocks."""
    policy, training = policies.restore(folder)
    saved = dict(_leaves({"policy": dict(policy.state_dict()), "training": training}))
    del saved["/training/wall_seconds"]
    rows = RunFolder(folder).read_metrics()
    return saved, [tuple(repr(v) for k, v in row.items() if k not in CLOCKS) for row in rows]


def assert_same(folder: Path, other: Path) -> None:
    """Two runs left the same bits and the same metrics."""
    (ours, rows), (theirs, their_rows) = left_behind(folder), left_behind(other)
    assert ours.keys() == theirs.keys()
    for path, value in ours.items():
        same = torch.equal(value, theirs[path]) if isinstance(value, torch.Tensor) else value == theirs[path]
        assert same, path
    assert rows == their_rows


def _leaves(tree: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from _leaves(value, f"{path}/{key}")
    elif isinstance(tree, (list, tuple)):
        for index, value in enumerate(tree):
            yield from _leaves(value, f"{path}/{index}")
    else:
        yield path, tree
