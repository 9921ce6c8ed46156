"""Which step a run of a suite needs next, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from support.suite_runs import a_suite

from benchmarks.suite.definition import Suite, SuiteError, Variant
from benchmarks.suite.listing import listing
from benchmarks.suite.plan import Run, clear_unstarted, next_step, planned_runs, require_agreement
from hgrpo_control.training.trainer import Trainer
from policies import checkpoint

pytestmark = pytest.mark.slow


def evaluated(run: Run, trained: Path, **changes: object) -> Run:
    """The run, finished and evaluated."""
    shutil.copytree(trained / f"seed{run.seed}", run.path)
    figures = {"task": run.task, "episodes": run.suite.episodes, "seed": run.suite.evaluation_seed} | changes
    run.folder.evaluation.write_text(json.dumps(figures), encoding="utf-8")
    return run


def test_a_new_run_is_trained(run: Run) -> None:
    assert next_step(run) == "train"


@pytest.mark.parametrize("config", ["", '{"task": "quadrotor-h'])
def test_a_run_killed_before_its_first_checkpoint_begins_again(run: Run, config: str) -> None:
    run.path.mkdir(parents=True)
    run.folder.config.write_text(config, encoding="utf-8")
    (run.path / "checkpoint.pt.0123abcd.partial").write_bytes(b"half of")
    require_agreement([run])
    assert next_step(run) == "train"
    clear_unstarted(run)
    assert not run.path.exists()


def test_a_folder_of_something_else_is_not_removed(run: Run) -> None:
    run.path.mkdir(parents=True)
    (run.path / "thesis.tex").write_text("chapter 1", encoding="utf-8")
    for attempt in (lambda: require_agreement([run]), lambda: clear_unstarted(run)):
        with pytest.raises(SuiteError, match=r"seed0 holds thesis.tex but no checkpoint.pt; move it away"):
            attempt()
    assert (run.path / "thesis.tex").exists()


def test_a_run_that_lacks_iterations_is_resumed(run: Run, trained: Path) -> None:
    shutil.copytree(trained / "seed0", run.path)
    run.folder.drop_metrics_after(1)
    assert next_step(run) == "resume"


def test_a_run_killed_between_its_last_row_and_its_last_checkpoint_is_resumed(run: Run, trained: Path) -> None:
    shutil.copytree(trained / "seed0", run.path)
    trainer = Trainer.from_config(run.config)
    trainer.step()
    checkpoint.save(run.folder.checkpoint, trainer.policy, trainer.state_dict())
    assert len(run.folder.read_metrics()) == run.config.num_iterations
    assert next_step(run) == "resume"


def test_a_trained_run_is_evaluated(run: Run, trained: Path) -> None:
    shutil.copytree(trained / "seed0", run.path)
    assert next_step(run) == "evaluate"
    run.folder.evaluation.write_text('{"task": "quad', encoding="utf-8")  # killed while writing
    assert next_step(run) == "evaluate"


@pytest.mark.parametrize("changes", [{"episodes": 4}, {"seed": 0}, {"task": "quadrotor-other"}])
def test_an_evaluation_that_the_suite_did_not_ask_for_is_made_again(
    run: Run, trained: Path, changes: dict[str, object]
) -> None:
    assert next_step(evaluated(run, trained, **changes)) == "evaluate"


def test_a_run_made_with_other_settings_is_refused_by_name(tmp_path: Path, trained: Path) -> None:
    done = evaluated(planned_runs(a_suite("a"), tmp_path)[0], trained)
    require_agreement([done])
    changed = Suite(
        "trial", "Trial", done.suite.tasks, (Variant("a", "ppo", (*done.variant.options, "--gamma", "0.9")),), (0,)
    )
    with pytest.raises(
        SuiteError, match=r"trial/quadrotor-hover/a/seed0 was made with algorithm.gamma = 0.99, .* 0.9;"
    ):
        require_agreement(planned_runs(changed, tmp_path))
    done.folder.config.write_text("{}", encoding="utf-8")
    with pytest.raises(SuiteError, match=r"seed0 cannot be used: .*config\.json"):
        require_agreement([done])


def test_the_listing_says_what_is_left_and_how_long_it_takes(tmp_path: Path, trained: Path) -> None:
    runs = planned_runs(a_suite("a", "b", seeds=(0, 1)), tmp_path)
    assert "How long the rest takes cannot be said" in listing(runs, jobs=2)
    done = evaluated(runs[0], trained)
    begun = runs[1]
    shutil.copytree(trained / "seed0", begun.path)
    for each, iterations, seconds in ((done, 2, 480.0), (begun, 1, 7.0)):
        rows = each.folder.read_metrics()[:iterations]
        each.folder.drop_metrics_after(0)
        for row in rows:
            each.folder.append_metrics(row | {"wall_seconds": seconds})
    told = listing(runs, jobs=2)
    assert "1 of 4 runs are done." in told
    # Half a run and two whole ones of 480 s each, two at a time: 2.5 * 480 / 2 = 600 s.
    assert "roughly 0 h 10 min with 2 jobs" in told
    rows = [[cell.strip() for cell in line.split("|")[2:6]] for line in told.splitlines()[2:4]]
    assert rows == [["a", "0", "-", "1"], ["b", "-", "0", "1"]]
