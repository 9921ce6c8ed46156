"""Reward transforms that a user wrote: how they are found, what they may return, and how each mistake is told."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from hgrpo_control.algorithms.rollout import NotFiniteError
from hgrpo_control.cli import main
from hgrpo_control.config.algorithms import PPO
from hgrpo_control.rewards import transforms
from hgrpo_control.rewards.custom import CustomTransform, RewardTransformError

REWARD = torch.tensor([[[1.0, -2.0]], [[3.0, 4.0]], [[-5.0, 6.0]]])  # (3, 1, 2)
NEVER = torch.zeros(3, 1, 2, dtype=torch.bool)

MODULE = """
import numpy
import torch

half = 0.5

def doubled(reward):
    return 2.0 * reward

def spoiling(reward):
    return reward.mul_(3.0)

def fails(reward):
    raise KeyError("no such\\nkey")

def nothing(reward):
    pass

def executed(reward):
    return reward[..., 0]

def precise(reward):
    return reward.double()

def logarithm(reward):
    return reward.log()

class Largest:
    def __init__(self):
        self.largest = 1.0
    def __call__(self, reward):
        return reward / self.largest
    def update(self, reward, done):
        assert reward.shape == done.shape and reward.dim() == 2
        self.largest = max(self.largest, reward.abs().max().item())
    def state_dict(self):
        return {"largest": self.largest}
    def load_state_dict(self, saved):
        self.largest = saved["largest"]

shared = Largest()

class Forgetful:
    def __call__(self, reward):
        return reward
    def update(self, reward, done):
        pass

class Unstorable(Largest):
    def state_dict(self):
        return {"deep": [numpy.zeros(3)]}

class FailsToLearn(Largest):
    def update(self, reward, done):
        raise ZeroDivisionError("division by zero")

class NeedsAnArgument:
    def __init__(self, argument):
        pass

class Silent:
    pass

network = torch.nn.Identity()
"""


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """Name of a module in the current directory, one of its own for each test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    name = "mine_" + re.sub(r"\W", "_", request.node.name)
    Path(f"{name}.py").write_text(MODULE)
    return name


def found(name: str) -> CustomTransform:
    transform = transforms.make(PPO(reward_transform=name), 1)
    assert isinstance(transform, CustomTransform)
    return transform


def test_a_function_is_called_with_all_samples(mine: str) -> None:
    # eq. 12 with f(R) = 2 R
    assert torch.equal(found(f"{mine}:doubled")(REWARD, NEVER), 2.0 * REWARD)


def test_a_function_that_works_in_place_does_not_spoil_the_rollout(mine: str) -> None:
    reward = REWARD.clone()
    assert torch.equal(found(f"{mine}:spoiling")(reward, NEVER), 3.0 * REWARD)
    assert torch.equal(reward, REWARD)


@pytest.mark.parametrize("name", ["Largest", "shared"])
def test_an_object_that_learns_is_shown_the_executed_steps_after_each_rollout(mine: str, name: str) -> None:
    transform = found(f"{mine}:{name}")
    assert torch.equal(transform(REWARD, NEVER), REWARD)
    # |R| of the executed sample 0 is at most 5
    assert torch.equal(transform(REWARD, NEVER), REWARD / 5.0)
    other = found(f"{mine}:{name}")
    assert torch.equal(other(REWARD, NEVER), REWARD), "another run starts afresh"
    other.load_state_dict(transform.state_dict())
    assert torch.equal(other.apply(REWARD), REWARD / 5.0)


def test_a_function_without_state_has_none(mine: str) -> None:
    transform = found(f"{mine}:doubled")
    transform.load_state_dict(transform.state_dict())
    assert transform.state_dict() == {}


def test_a_network_may_be_a_transform(mine: str) -> None:
    assert torch.equal(found(f"{mine}:network")(REWARD, NEVER), REWARD)


def said(call: Callable[[], object], kind: type[Exception] = RewardTransformError) -> str:
    """The one line with which a call is refused."""
    with pytest.raises(kind) as raised:
        call()
    assert len(str(raised.value).splitlines()) == 1
    return str(raised.value)


def test_a_module_that_is_not_there_is_told_with_where_it_was_looked_for(mine: str, tmp_path: Path) -> None:
    assert said(lambda: found("no_such_module:f")) == (
        "reward transform 'no_such_module:f' cannot be imported: ModuleNotFoundError: No module named "
        f"'no_such_module'; looked in {tmp_path} and on Python's path"
    )


def test_a_module_that_fails_is_told_with_what_it_raised(mine: str) -> None:
    Path("half_written.py").write_text("def f(reward:\n")
    assert "'half_written:f' cannot be imported: SyntaxError: " in said(lambda: found("half_written:f"))


def test_a_function_that_is_not_there_is_told_with_the_nearest(mine: str, tmp_path: Path) -> None:
    assert said(lambda: found(f"{mine}:double")) == (
        f"module {mine!r} ({tmp_path / mine}.py) has no function 'double'; did you mean {mine}:doubled?"
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("half", "is a float; allowed: a function"),
        ("Silent", "is a Silent; allowed: a function"),
        ("NeedsAnArgument", "cannot be made: TypeError: "),
        ("Forgetful", "offers update but not load_state_dict, state_dict: a run with it could not be resumed"),
    ],
)
def test_what_cannot_be_used_is_refused_before_it_is_called(mine: str, name: str, message: str) -> None:
    assert f"reward transform '{mine}:{name}' {message}" in said(lambda: found(f"{mine}:{name}"))


@pytest.mark.parametrize(
    ("name", "did", "wanted"),
    [
        ("executed", "returned (3, 1) float32", True),
        ("precise", "returned (3, 1, 2) float64", True),
        ("nothing", "returned a NoneType", True),
        ("fails", "raised KeyError: 'no such\\nkey'", False),
    ],
)
def test_what_is_returned_has_to_be_like_what_was_given(mine: str, name: str, did: str, wanted: bool) -> None:
    end = "; wanted (3, 1, 2) float32" if wanted else ""
    message = f"reward transform '{mine}:{name}' was given (3, 1, 2) float32 and {did}{end}"
    assert said(lambda: found(f"{mine}:{name}")(REWARD, NEVER)) == message


def test_nan_is_counted_and_ends_the_run_like_any_other(mine: str) -> None:
    # the logarithms of -2 and -5
    assert said(lambda: found(f"{mine}:logarithm")(REWARD, NEVER), NotFiniteError) == (
        f"reward transform '{mine}:logarithm' was given (3, 1, 2) float32 and returned 2 values that are not finite; "
        "wanted (3, 1, 2) float32, all finite"
    )


def test_what_a_checkpoint_cannot_hold_is_refused_when_it_is_saved(mine: str) -> None:
    assert said(lambda: found(f"{mine}:Unstorable").state_dict()) == (
        f"state_dict()['deep'][0] of reward transform '{mine}:Unstorable' is a ndarray; allowed: tensors, numbers, "
        "strings, and dicts, lists and tuples of them"
    )


def test_an_update_that_fails_is_told(mine: str) -> None:
    assert said(lambda: found(f"{mine}:FailsToLearn")(REWARD, NEVER)) == (
        f"update of reward transform '{mine}:FailsToLearn' raised ZeroDivisionError: division by zero"
    )


# The same from the command line

TINY = ("train", "ppo", "quadrotor-hover", "--num-envs", "16", "--rollout-steps", "8", "--hidden-sizes", "8")
TINY += ("--update-epochs", "1", "--num-minibatches", "2", "--total-steps", "256", "--out", "run")


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Status 2 and one line."""
    assert main([*TINY, *words]) == 2
    err = capsys.readouterr().err
    assert err.startswith("hgrpo: ")
    assert err.count("\n") == 1
    return err.removeprefix("hgrpo: ").removesuffix("\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--reward-transform", "tan"), "unknown reward_transform 'tan'; did you mean 'tanh'?"),
        (("--reward-transform", "no_such_module:f"), "'no_such_module:f' cannot be imported"),
        (("--reward-transform", "MINE:doubeld"), "did you mean MINE:doubled?"),
        (("--reward-transform", "MINE:half"), "is a float; allowed: a function"),
        (("--reward-transform", "clip", "--reward-low", "1", "--reward-high", "-1"), "given 1.0 and -1.0"),
        (("--reward-transform", "rolling", "--reward-window", "1"), "reward_window must be at least 2; given 1"),
    ],
)
def test_mistakes_are_told_before_anything_is_written(
    mine: str, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], message: str
) -> None:
    assert message.replace("MINE", mine) in refused(capsys, *(word.replace("MINE", mine) for word in words))
    assert not Path("run").exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("executed", "was given (8, 16, 1) float32 and returned (8, 16) float32; wanted (8, 16, 1) float32"),
        ("logarithm", "values that are not finite; wanted (8, 16, 1) float32, all finite; last good checkpoint: run/"),
        ("fails", "was given (8, 16, 1) float32 and raised KeyError: 'no such\\nkey'"),
        ("Unstorable", "state_dict()['deep'][0]"),
    ],
)
def test_what_a_function_does_wrong_is_told_in_the_first_iteration(
    mine: str, capsys: pytest.CaptureFixture[str], name: str, message: str
) -> None:
    if name == "logarithm":  # hovering may well pay positive rewards only
        Path(f"{mine}.py").write_text(MODULE.replace("reward.log()", "(-reward.abs()).log()"))
    assert message in refused(capsys, "--reward-transform", f"{mine}:{name}")
    assert not Path("run/metrics.csv").exists()


def test_a_run_whose_function_is_gone_is_not_resumed(mine: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*TINY, "--reward-transform", f"{mine}:doubled"]) == 0
    Path(f"{mine}.py").rename("elsewhere.py")
    del sys.modules[mine]
    capsys.readouterr()
    assert main(["resume", "run", "--import", mine]) == 2
    assert f"--import {mine} cannot be imported" in capsys.readouterr().err
    assert main(["evaluate", "run", "--episodes", "2"]) == 0, "flying needs no reward transform"
