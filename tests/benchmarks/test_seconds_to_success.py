"""benchmarks/suite/seconds_to_success.py: clock, trials, table, and one short run of every learner."""

from __future__ import annotations

import importlib.util
import json
import time
from pathlib import Path

import pytest
import torch

from benchmarks.suite import seconds_to_success
from benchmarks.suite.learners import timed
from benchmarks.suite.learners.candidates import GRID, Candidate, draw_candidates, ours_with, stable_baselines3_with
from benchmarks.suite.learners.timed import Arrival, Goal, Watch, run_learning_to_fly
from benchmarks.suite.seconds_to_success import LEARNERS, OUR_PPO, OURS, SB3, Learner, Result, table, tune
from hgrpo_control.evaluation.evaluate import Evaluation
from hgrpo_errors import HgrpoError

SMALL = Candidate(256, 16, 128, 1, 1e-3, "linear", 0.9)


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    """A watch whose evaluations take 0.2 s and find success rates 0.5, then 0.95."""
    rates = iter([0.5, 0.95])

    def evaluate(policy: object, simulator: object, episodes: int, seed: int) -> tuple[Evaluation, None]:
        time.sleep(0.2)
        return Evaluation("quadrotor-hover", episodes, seed, 0.0, 0.0, next(rates), 0.0, 0.0, {}), None

    monkeypatch.setattr(timed, "evaluate", evaluate)
    return Watch(Goal(total_steps=1000, every=100))


def test_clock_stands_during_evaluations(watch: Watch) -> None:
    for steps in (90, 180, 270):
        watch.start()
        watch.stop(steps, None)  # type: ignore[arg-type]
    assert watch.reached
    assert watch.arrival.seconds < 0.1
    assert watch.arrival[1:] == (270, 0.95, False)


def test_policy_is_evaluated_when_it_is_due_or_last(watch: Watch) -> None:
    seen = []
    for steps, last in ((90, False), (110, False), (190, False), (195, True)):
        watch.start()
        watch.stop(steps, None, last)  # type: ignore[arg-type]
        seen.append(watch.success)
    assert seen == [None, 0.5, 0.5, 0.95]


def test_candidates_mean_the_same_for_both_learners() -> None:
    for candidate in draw_candidates(50):
        ours = ours_with(LEARNERS[OURS].settings, candidate)
        theirs = stable_baselines3_with(LEARNERS[SB3].settings, candidate)
        assert ours.steps_per_iteration == theirs.n_envs * theirs.n_steps == candidate.steps_per_update
        assert ours.batch_rows // ours.learning.num_minibatches == theirs.batch_size == candidate.minibatch
        assert ours.learning.update_epochs == theirs.n_epochs
        assert ours.learning.learning_rate == theirs.learning_rate
        assert all(value in GRID[name] for name, value in candidate._asdict().items())
    assert draw_candidates(3) == draw_candidates(50)[:3]


def test_tuning_takes_the_same_trials_and_the_soonest_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, list[object]] = {OURS: [], SB3: []}

    def learner(name: str, seconds: list[float]) -> Learner:
        def train(settings: object, seed: int, goal: Goal) -> Arrival:
            seen[name].append(settings)
            took = seconds[len(seen[name]) - 1]
            return Arrival(abs(took), 10, 0.9, late=took < 0.0)

        return Learner("own", lambda settings, candidate: candidate, train)

    # A late run of 1 s is worse than one that succeeds after 9 s.
    monkeypatch.setitem(LEARNERS, OURS, learner(OURS, [-1.0, 9.0, 10.0]))
    monkeypatch.setitem(LEARNERS, SB3, learner(SB3, [5.0, 6.0, -4.0]))
    chosen = tune([OURS, SB3], 3, Goal(100))
    assert seen[OURS] == seen[SB3] == ["own", *draw_candidates(2)]
    assert chosen == {OURS: draw_candidates(1)[0], SB3: "own"}
    assert tune([OURS], 0, Goal(100)) == {OURS: "own"}


def test_table_marks_runs_that_did_not_succeed() -> None:
    results = [
        Result("a", 0, Arrival(10.0, 1000, 0.96, late=False)),
        Result("a", 1, Arrival(20.0, 2000, 0.5, late=True)),
        Result("a", 2, Arrival(30.0, 3000, 0.5, late=True)),
        Result("b", 0, Arrival(68.0, 300_000, None, late=False)),
    ]
    text = table(results)
    assert "over 20.0" in text
    assert "not reached" in text
    assert "not evaluated" in text
    assert text.count("68.0") == 2


def program(path: Path, *lines: str) -> Path:
    path.write_text("#!/bin/sh\n" + "\n".join(lines) + "\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def test_learning_to_fly_prints_its_steps_and_time(tmp_path: Path) -> None:
    words = ("echo Run 0", "echo Step: 0", "echo Step: 300000", "echo Training took: 68.25s")
    arrival = run_learning_to_fly(program(tmp_path / "training", *words))
    assert arrival == Arrival(68.25, 300_000, None, late=False)


@pytest.mark.parametrize("words", [("echo Step: 0", "exit 3"), ("echo Training took: 1s",)])
def test_program_that_prints_something_else_is_refused(tmp_path: Path, words: tuple[str, ...]) -> None:
    with pytest.raises(HgrpoError, match="other"):
        run_learning_to_fly(program(tmp_path / "other", *words))


def test_mistakes_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, offence in ((["--trials", "-1"], "-1"), (["--learning-to-fly", str(tmp_path / "none")], "none")):
        with pytest.raises(SystemExit):
            seconds_to_success.main(words)
        assert offence in capsys.readouterr().err


def race(monkeypatch: pytest.MonkeyPatch, out: Path, *words: str) -> dict[str, object]:
    """The runs that the command writes, with small settings of both learners."""
    for name, learner in list(LEARNERS.items()):
        monkeypatch.setitem(LEARNERS, name, learner._replace(settings=learner.adapt(learner.settings, SMALL)))
    file = out / "race.json"
    options = ["--total-steps", "512", "--every", "256", "--threads", str(torch.get_num_threads())]
    assert seconds_to_success.main([*options, "--json", str(file), *words]) == 0
    written: dict[str, object] = json.loads(file.read_text(encoding="utf-8"))
    return written


@pytest.mark.slow
def test_ours_runs_to_the_last_step_without_success(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    written = race(monkeypatch, tmp_path, "--learners", "hgrpo", "--seeds", "3", "4")
    runs = written["runs"]
    assert isinstance(runs, list)
    assert [run["seed"] for run in runs] == [3, 4]
    assert all(run["steps"] == 512 and run["late"] and run["success"] < 0.95 for run in runs)


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("stable_baselines3") is None,
    reason="this learner needs the extra `bench`: pip install -c constraints.txt -e '.[bench]'",
)
def test_every_learner_runs_seed_by_seed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    runs = race(monkeypatch, tmp_path, "--seeds", "0", "1")["runs"]
    assert isinstance(runs, list)
    assert [(run["learner"], run["seed"]) for run in runs] == [
        (name, seed) for seed in (0, 1) for name in (OURS, OUR_PPO, SB3)
    ]
    assert all(run["steps"] == 512 and run["late"] and run["seconds"] > 0.0 for run in runs)
