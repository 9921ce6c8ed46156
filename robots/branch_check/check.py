"""Check of exact branching: a restored environment must replay a branch to the bit.

The check visits many states under random actions in several episodes. From each state it

1. saves the state and steps a branch without interruption,
2. restores the state and steps another branch, every other time with a reset in it,
3. restores the state again and replays the first branch in the same instance,
4. restores the state and replays the first branch in a second instance with another past.

State that every restore loses in the same way would not show there. One instance is therefore also compared with a
plain environment that is never restored. The check runs in one process and does not cover other machines.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from robots.branch_check.comparison import differences
from robots.branch_check.target import BranchTarget
from robots.from_gymnasium.returns import Outcome
from robots.from_gymnasium.saving.anchors import SnapshotError

_OUTLIVES = "something outlives reset"
_EPISODES = 10  # at least this many episodes provide the states
_STRIDE = 8  # largest number of steps between two states
_SEEDS = (11, 12)
_BESIDE = (21, 22, 23)
_TRIAL = 20  # steps of runs that are compared from a seed


@dataclass
class Difference:
    """One result that a replay did not repeat."""

    where: str
    """"same instance" or "another instance"."""
    what: str
    states: int = 0
    """Number of states after which it differed."""
    first_step: int = 0
    """Earliest step of a replay at which it differed, from 1."""
    largest: float = 0.0
    """Largest difference; NaN if it is not a number."""

    def note(self, step: int, amount: float) -> None:
        """Count one more state."""
        self.first_step = step if self.states == 0 else min(self.first_step, step)
        self.largest = amount if math.isnan(amount) or math.isnan(self.largest) else max(self.largest, amount)
        self.states += 1


@dataclass
class BranchReport:
    """Result of the check."""

    states: int
    """Number of states from which branches were stepped."""
    steps: int
    """Steps per branch."""
    differences: list[Difference] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    """Other reasons why branching is not exact, one line each."""
    notes: list[str] = field(default_factory=list)
    """Observations that do not affect exactness, one line each."""

    @property
    def exact(self) -> bool:
        """Whether no difference and no problem was found."""
        return not self.differences and not self.problems


def check(
    one: BranchTarget,
    other: BranchTarget,
    plain: BranchTarget | None = None,
    states: int = 100,
    steps: int = 5,
    seed: int = 0,
) -> BranchReport:
    """Run the whole check.

    Args:
        one: The environment.
        other: A second instance of it.
        plain: A third instance that is never restored, or None.
        states: Number of states to branch from.
        steps: Steps per branch.
        seed: Seed of actions and resets.
    """
    return _Check(one, other, plain, BranchReport(0, steps), np.random.default_rng(seed)).run(states)


class _Check:
    def __init__(
        self,
        one: BranchTarget,
        other: BranchTarget,
        plain: BranchTarget | None,
        report: BranchReport,
        random: np.random.Generator,
    ) -> None:
        self.one, self.other, self.plain, self.report, self.random = one, other, plain, report, random
        self.found: dict[tuple[str, str], Difference] = {}
        self.seen: set[str] = set()

    def run(self, states: int) -> BranchReport:
        self._seeds()
        if self.one.obstacle:
            self.report.problems.append(f"no state can be restored: {self.one.obstacle}")
        else:
            try:
                self._states(states)
                if self.plain is not None and not self.found and not self.report.problems:
                    self._beside(self.plain)
            except SnapshotError as error:
                self.report.problems.append(str(error))
        if self.one.left_out:
            self.report.notes.append(
                f"snapshots do not contain what cannot be pickled: {', '.join(self.one.left_out)}; "
                "this is harmless if the replay is exact"
            )
        self.report.differences = sorted(
            self.found.values(), key=lambda e: (e.where != "same instance", e.what.startswith("info"), e.what)
        )
        return self.report

    def _seeds(self) -> None:
        """Check that a seed determines an episode, and that different seeds differ."""
        actions = self._actions(_TRIAL)
        runs = [self._from_seed(self.one, seed, actions) for seed in _SEEDS]
        again, elsewhere = (
            self._from_seed(self.one, _SEEDS[0], actions),
            self._from_seed(self.other, _SEEDS[0], actions),
        )
        if not differences(runs[0][0], runs[1][0]):
            self.report.notes.append(f"reset ignores its seed: seeds {_SEEDS[0]} and {_SEEDS[1]} give the same start")
        if unlike := _first_difference(runs[0], elsewhere):
            self.report.problems.append(
                f"not deterministic: two instances with the same seed and actions differ in {unlike}"
            )
        if unlike := _first_difference(runs[0], again):
            line = f"{_OUTLIVES}: a second episode with the same seed and actions differs in {unlike}"
            if self.one.obstacle:
                self.report.problems.append(line)
            else:  # with snapshots every reset starts from the state after the constructor
                self.report.notes.append(f"{line}; in training every episode starts as the first one of a new instance")

    def _from_seed(self, target: BranchTarget, seed: int, actions: np.ndarray) -> list[Outcome]:
        first = self._look(target.reset(seed))
        return [first, *self._follow(target, actions)]

    def _states(self, states: int) -> None:
        self.other.reset(_SEEDS[1])
        per_episode = max(1, states // _EPISODES)
        ended, since_reset = True, 0
        while self.report.states < states:
            if ended or since_reset >= per_episode:
                self._look(self.one.reset(int(self.random.integers(2**31))))
                ended, since_reset = False, 0
            run = self._follow(self.one, self._actions(int(self.random.integers(1, _STRIDE + 1))))
            ended = run[-1].terminated or run[-1].truncated
            if not ended:
                ended = self._branch()
                since_reset += 1
            elif len(run) == 1:  # such a short episode has only its first state
                self._look(self.one.reset(int(self.random.integers(2**31))))
                self._branch()

    def _branch(self) -> bool:
        """Do steps 1 to 4 from the current state; returns whether the first branch ended the episode."""
        saved, actions = self.one.save(), self._actions(self.report.steps)
        undisturbed = self._follow(self.one, actions)
        self.one.restore(saved)
        self._follow(self.one, self._actions(self.report.steps))
        if self.report.states % 2:
            self.one.reset(int(self.random.integers(2**31)))
            self._follow(self.one, self._actions(self.report.steps))
        for target, where in ((self.one, "same instance"), (self.other, "another instance")):
            target.restore(saved)
            self._compare(where, undisturbed, self._follow(target, actions))
        self.report.states += 1
        return undisturbed[-1].terminated or undisturbed[-1].truncated

    def _beside(self, plain: BranchTarget) -> None:
        """Compare one instance, restored to another state and back between steps, with a plain environment."""
        if not self.one.renew() and any(note.startswith(_OUTLIVES) for note in self.report.notes):
            return
        self.one.reset(0)
        self.one.step(0.5 * (self.one.low + self.one.high))
        past = self.one.save()
        self.one.reset(_SEEDS[1])
        self._follow(self.one, self._actions(self.report.steps))
        elsewhere = self.one.save()
        self.one.restore(past)
        for seed in _BESIDE:
            actions = self._actions(_TRIAL)
            expected = self._from_seed(plain, seed, actions)
            run = [self._look(self.one.reset(seed))]
            for action in actions[: len(expected) - 1]:
                here = self.one.save()
                self.one.restore(elsewhere)
                self._follow(self.one, self._actions(1))
                self.one.restore(here)
                run.append(self._look(self.one.step(action)))
            if unlike := _first_difference(expected, run):
                self.report.problems.append(
                    f"restoring loses something: a plain environment, which is never restored, differs in {unlike}"
                )
                return

    def _compare(self, where: str, expected: list[Outcome], replay: list[Outcome]) -> None:
        first: dict[str, tuple[int, float]] = {}
        for step, (a, b) in enumerate(zip(expected, replay, strict=False), start=1):
            for what, amount in differences(a, b).items():
                earliest, largest = first.get(what, (step, amount))
                first[what] = earliest, amount if math.isnan(amount) else max(largest, amount)
        for what, (step, amount) in first.items():
            self.found.setdefault((where, what), Difference(where, what)).note(step, amount)

    def _follow(self, target: BranchTarget, actions: np.ndarray) -> list[Outcome]:
        """Take actions (S, A) until the episode ends."""
        run: list[Outcome] = []
        for action in actions:
            run.append(self._look(target.step(action)))
            if run[-1].terminated or run[-1].truncated:
                break
        return run

    def _actions(self, num: int) -> np.ndarray:
        low, high = self.one.low, self.one.high
        return self.random.uniform(low, high, size=(num, low.size)).astype(np.float32)

    def _look(self, outcome: Outcome) -> Outcome:
        """Report problems of a single outcome, each once; returns a copy that later steps cannot change."""
        finite = bool(np.isfinite(outcome.observation).all()) and math.isfinite(outcome.reward)
        if not finite:
            self._once("problems", "observations or rewards are not finite")
        elif not self.one.is_inside(outcome.observation):
            self._once("notes", "observations leave the space that the environment declares")
        if outcome.truncated and not outcome.terminated:
            self._once(
                "notes",
                "the environment truncates episodes by itself, apart from its time limit: training needs "
                "--task-options truncation=terminate or truncation=ignore",
            )
        return outcome._replace(info=_copied(outcome.info))

    def _once(self, kind: str, line: str) -> None:
        if line not in self.seen:
            self.seen.add(line)
            getattr(self.report, kind).append(line)


def _first_difference(a: list[Outcome], b: list[Outcome]) -> str:
    """First difference of two runs from the same seed, with its step; empty if there is none."""
    for step, (x, y) in enumerate(zip(a, b, strict=False)):
        if unlike := differences(x, y):
            return f"{', '.join(unlike)} " + ("after the reset" if step == 0 else f"at step {step}")
    return ""


def _copied(value: Any) -> Any:
    """Copy of the arrays and dicts of an info, because an environment may change them later."""
    if isinstance(value, dict):
        return {key: _copied(part) for key, part in value.items()}
    return value.copy() if isinstance(value, (np.ndarray, list)) else value
