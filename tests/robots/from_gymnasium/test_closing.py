"""Environments are closed, once each, by whoever had them made."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from support import buggy_envs

from hgrpo_control.cli import main
from robots.from_gymnasium.options import EnvironmentRefusedError
from robots.from_gymnasium.simulator import GymnasiumSimulator

pytestmark = pytest.mark.slow

NAMED = ("--import", "support.buggy_envs")
CART = "gymnasium/support.buggy_envs:OpenCart"
TINY = ("--num-envs", "4", "--rollout-steps", "8", "--hidden-sizes", "8", "--update-epochs", "1")
TINY += ("--num-minibatches", "2", "--total-steps", "64", "--out", "run", "--task-options", "max_episode_steps=20")


@pytest.fixture(autouse=True)
def log(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[int, int]:
    """Times that each instance was closed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(buggy_envs.OpenCart, "log", {})
    return buggy_envs.OpenCart.log


@pytest.mark.parametrize(("snapshots", "instances"), [("auto", 1), ("none", 3)])
def test_a_simulator_closes_what_it_made_once(log: dict[int, int], snapshots: str, instances: int) -> None:
    simulator = GymnasiumSimulator(buggy_envs.OpenCart, max_episode_steps=20, snapshots=snapshots)
    simulator.step(simulator.reset(3, 0), torch.zeros(3, 1))
    assert log == dict.fromkeys(range(instances), 0)
    simulator.close()
    simulator.close()
    assert log == dict.fromkeys(range(instances), 1)


def test_what_was_drawn_with_is_closed_and_a_given_object_is_not(log: dict[int, int]) -> None:
    simulator = GymnasiumSimulator(buggy_envs.OpenCart, max_episode_steps=20)
    simulator.render(simulator.reset(1, 0), width=40, height=20)
    simulator.render(simulator.reset(1, 0), width=80, height=40)
    simulator.close()
    assert len(log) >= 3
    assert set(log.values()) == {1}
    GymnasiumSimulator(buggy_envs.OpenCart(), max_episode_steps=20).close()
    assert log[len(log) - 1] == 0


def test_what_cannot_be_adapted_is_closed(log: dict[int, int]) -> None:
    with pytest.raises(EnvironmentRefusedError, match="has no time limit"):
        GymnasiumSimulator(buggy_envs.OpenCart)
    assert log == {0: 1}


def test_a_close_that_fails_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buggy_envs.OpenCart, "log", {})
    simulator = GymnasiumSimulator(buggy_envs.OpenCart, max_episode_steps=20)
    buggy_envs.OpenCart.log.clear()
    with pytest.warns(UserWarning, match="OpenCart failed in close: KeyError: 0"):
        simulator.close()


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("more", [(), ("snapshots=none",)])
def test_every_command_closes_them(log: dict[int, int], more: tuple[str, ...]) -> None:
    assert main(["train", "ppo", CART, *TINY, *more]) == 0
    assert main(["resume", "run", *NAMED]) == 2  # finished
    for words in (["evaluate", "run", "--episodes", "2"], ["export", "run", "--int8", "--episodes", "2"]):
        assert main([*words, *NAMED]) == 0
    diagnose = ["diagnose", "run", "--roots", "2", "--steps", "2", "--samples", "2", "--branch-steps", "1"]
    diagnose += ["--budget", "64", "--reference-branches", "32"]
    assert main(["check", "support.buggy_envs:OpenCart", "--states", "2"]) == 0
    assert main([*diagnose, *NAMED]) == (2 if more else 0)
    assert len(log) >= 6
    assert set(log.values()) == {1}


@pytest.mark.parametrize(("fails_at", "status"), [(2, 130), (3, 2)])
def test_errors_and_ctrl_c_close_them(
    log: dict[int, int], monkeypatch: pytest.MonkeyPatch, fails_at: int, status: int
) -> None:
    assert main(["train", "ppo", CART, *TINY]) == 0
    monkeypatch.setattr(buggy_envs.OpenCart, "fails_at", fails_at)
    for words in (
        ["evaluate", "run", *NAMED],
        ["check", "support.buggy_envs:OpenCart"],
        ["train", "ppo", CART, *TINY, "--out", "other"],
    ):
        assert main(words) == status
    assert len(log) >= 3
    assert set(log.values()) == {1}
