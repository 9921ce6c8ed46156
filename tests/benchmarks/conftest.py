"""Runs that several files of tests share."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from support.suite_runs import STAND_IN, a_suite

from benchmarks.suite import runs as runner
from benchmarks.suite.plan import Run, planned_runs
from hgrpo_control.api.run import train


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders seed0 and seed1 of finished runs of two iterations."""
    folder = tmp_path_factory.mktemp("trained")
    for run in planned_runs(a_suite("a", seeds=(0, 1)), folder):
        train(run.config, folder / f"seed{run.seed}")
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return planned_runs(a_suite("a"), tmp_path)[0]


@pytest.fixture
def stand_in(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(runner.COMMANDS, "hgrpo", (sys.executable, "-c", STAND_IN, str(trained)))
