"""The check finds what was planted, says where, and believes what is sound."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support import buggy_envs

from robots.branch_check.check import BranchReport, check
from robots.branch_check.comparison import differences
from robots.branch_check.target import InstanceTarget, branch_targets
from robots.from_gymnasium.instance import Instance
from robots.from_gymnasium.options import split_options
from robots.from_gymnasium.returns import Outcome
from robots.from_gymnasium.source import Source


def checked(environment: object, states: int = 20, **options: object) -> BranchReport:
    own, kwargs = split_options(options)
    source = Source(environment, kwargs)  # type: ignore[arg-type]
    plain = replace(own, snapshots="none")
    return check(*(InstanceTarget(Instance(source.make(), source.name, o)) for o in (own, own, plain)), states=states)


def found(report: BranchReport) -> set[tuple[str, str]]:
    return {(entry.where, entry.what) for entry in report.differences}


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["gymnasium/HalfCheetah-v5", "gymnasium/Ant-v5", "gymnasium/Humanoid-v5", "quadrotor-hover"]
)
def test_sound_tasks_are_exact(name: str) -> None:
    report = check(*branch_targets(name, {}), states=10)
    assert report.exact, report
    assert report.states == 10


def test_hidden_attributes_that_a_snapshot_holds_are_exact() -> None:
    report = checked(buggy_envs.CountingCheetah)
    assert report.exact, report
    assert any("CountingCheetah.scale" in note for note in report.notes)
    assert any(note.startswith("something outlives reset") for note in report.notes)
    assert checked(buggy_envs.limited_cart).exact


@pytest.mark.parametrize(
    ("environment", "what"),
    [
        (buggy_envs.RewardCounter, {"reward"}),
        (buggy_envs.InfoCounter, {"info[hidden]"}),
        (buggy_envs.EndCounter, {"terminated"}),
    ],
)
def test_a_counter_that_the_snapshot_lacks_is_found_where_it_shows(environment: type, what: set[str]) -> None:
    report = checked(environment, states=40)
    assert not report.exact
    assert {name for _, name in found(report)} == what
    assert report.problems == []  # seeds alone repeat: only restoring does not


def test_a_forgotten_velocity_is_found_from_the_first_step_on() -> None:
    report = checked(buggy_envs.ForgetfulCart)
    assert {("same instance", "observation"), ("another instance", "observation")} <= found(report)
    entry = next(e for e in report.differences if (e.where, e.what) == ("same instance", "observation"))
    assert (entry.states, entry.first_step) == (20, 1)
    assert 0.0 < entry.largest < 20.0


def test_a_counter_of_the_process_shows_in_the_observation_and_in_determinism() -> None:
    report = checked(buggy_envs.GlobalCheetah)
    assert ("same instance", "observation") in found(report)
    assert any(line.startswith("not deterministic: ") and "observation" in line for line in report.problems)


def test_contacts_of_the_step_before_are_found_missing() -> None:
    assert found(checked(buggy_envs.ContactCheetah, states=40)) >= {("same instance", "reward")}


def test_what_is_odd_but_no_bug_is_noted() -> None:
    report = checked(buggy_envs.Deaf)
    assert report.exact
    assert any("reset ignores its seed" in note for note in report.notes)
    assert any("leave the space" in note for note in report.notes)
    cut = checked(lambda: buggy_envs.SavedCart(limit=9))
    assert cut.exact
    assert any("truncates episodes by itself" in note for note in cut.notes)


def test_without_snapshots_the_way_out_is_named() -> None:
    report = checked(buggy_envs.Cart)
    assert not report.exact
    assert report.problems == [
        "no state can be restored: it is not a MujocoEnv and does not define get_snapshot() and set_snapshot(snapshot)"
    ]


def test_values_that_are_not_finite_are_a_problem() -> None:
    class Exploding(buggy_envs.SavedCart):
        def step(self, action: np.ndarray) -> object:  # type: ignore[override]
            observation, *rest = super().step(action)
            return observation * np.nan, *rest

    assert "observations or rewards are not finite" in checked(Exploding).problems


def test_differences_are_named_and_measured() -> None:
    a = Outcome(np.array([1.0, np.nan]), 0.5, False, False, {"x": 1.0, "parts": {"y": np.zeros(2)}, "word": "a"})
    assert differences(a, a) == {}
    b = Outcome(np.array([1.0, np.nan]), 0.25, True, False, {"x": 3.0, "parts": {"y": np.ones(2)}, "word": "b"})
    unlike = differences(a, b)
    assert unlike.pop("info[word]") != 0.0  # no number measures it
    assert unlike == {"reward": 0.25, "terminated": 1.0, "info[x]": 2.0, "info[parts][y]": 1.0}
    (amount,) = differences(a, a._replace(observation=np.array([1.0, 2.0]))).values()
    assert np.isnan(amount)
