"""The variables of torchrun, and the options that start processes."""

from __future__ import annotations

import pytest

from hgrpo_control.ranks.launch import Launch, LaunchError, launch, processes_to_start

VARIABLES = ("WORLD_SIZE", "RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def given(monkeypatch: pytest.MonkeyPatch, *values: str) -> None:
    for name, value in zip(VARIABLES, values, strict=False):
        monkeypatch.setenv(name, value)


def test_process_without_variables_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert launch() == Launch(0, 1, 0, 1)
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert launch() == Launch(0, 1, 0, 1)


def test_variables_of_torchrun_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, "4", "3", "1", "2", "node", "1234")
    assert launch() == Launch(3, 4, 1, 2)


def test_missing_and_wrong_variables_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, "2")
    with pytest.raises(LaunchError, match="WORLD_SIZE is 2, but RANK, MASTER_ADDR, MASTER_PORT"):
        launch()
    given(monkeypatch, "2", "2", "0", "2", "node", "1234")
    with pytest.raises(LaunchError, match="RANK is 2; allowed: 0 to 1"):
        launch()
    monkeypatch.setenv("WORLD_SIZE", "two")
    with pytest.raises(LaunchError, match=r"WORLD_SIZE .*'two'"):
        launch()


def test_processes_are_started_once(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [processes_to_start(number, None) for number in (None, 1, 3)] == [0, 0, 3]
    given(monkeypatch, "3", "0", "0", "3", "node", "1234")
    assert processes_to_start(3, 10.0) == 0
    with pytest.raises(LaunchError, match=r"--processes 2 .*WORLD_SIZE 3"):
        processes_to_start(2, None)


def test_stall_seconds_alone_are_refused() -> None:
    for processes in (None, 1):
        with pytest.raises(LaunchError, match="--stall-seconds 5"):
            processes_to_start(processes, 5.0)
