"""Running what is missing of a suite: skipped, resumed, refused, failed, killed."""

from __future__ import annotations

import fcntl
import json
import os
import runpy
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch

from benchmarks.suite import runs as runner
from benchmarks.suite.definition import Suite, SuiteError, Variant
from benchmarks.suite.listing import listing
from benchmarks.suite.plan import Run, clear_unstarted, next_step, planned_runs, require_agreement
from hgrpo_control.runs.run_folder import RunFolder
from hgrpo_control.training.train import train
from hgrpo_control.training.trainer import Trainer
from policies import checkpoint

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
OPTIONS = "--num-envs 4 --rollout-steps 4 --num-minibatches 1 --update-epochs 1 --hidden-sizes 8 --total-steps"
CLOCKS = {"wall_seconds", "simulator_steps_per_second", "sampling_seconds", "learning_seconds"}

# Stands in for `hgrpo` where a test is about the runner: what it does depends on the variant that it is asked for.
STAND_IN = """
import json, os, pathlib, shutil, signal, sys
words = sys.argv[2:]
if words[0] == "evaluate":
    given = dict(zip(words[2::2], words[3::2]))
    figures = {"task": "quadrotor-hover", "episodes": int(given["--episodes"]), "seed": int(given["--seed"])}
    pathlib.Path(words[1], "evaluation.json").write_text(json.dumps(figures))
    sys.exit()
out = pathlib.Path(words[-1])
variant = out.parent.name
if variant == "fails":
    sys.exit("this is why")
if variant == "is-killed":
    os.kill(os.getpid(), signal.SIGKILL)
if variant == "waits":
    print("waiting", flush=True)
    sys.stdin.read()
    sys.exit("asked to stop")
shutil.copytree(pathlib.Path(sys.argv[1], out.name), out)
"""


def a_suite(*names: str, seeds: tuple[int, ...] = (0,)) -> Suite:
    variants = tuple(Variant(name, "ppo", (*OPTIONS.split(), "32")) for name in names)
    return Suite("trial", "Trial", ("quadrotor-hover",), variants, seeds, episodes=5)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders seed0 and seed1 of finished runs of two iterations."""
    folder = tmp_path_factory.mktemp("trained")
    for run in planned_runs(a_suite("a", seeds=(0, 1)), folder):
        train(run.config, folder / f"seed{run.seed}")
    return folder


@pytest.fixture
def stand_in(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(runner.COMMANDS, "hgrpo", (sys.executable, "-c", STAND_IN, str(trained)))


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return planned_runs(a_suite("a"), tmp_path)[0]


def processes(run: Run) -> list[str]:
    """First words of the commands that were started for a run."""
    return [json.loads(line)["command"][1] for line in run.origin.read_text(encoding="utf-8").splitlines()]


def evaluated(run: Run, trained: Path, **changes: object) -> Run:
    """The run, finished and evaluated."""
    shutil.copytree(trained / f"seed{run.seed}", run.path)
    figures = {"task": run.task, "episodes": run.suite.episodes, "seed": run.suite.evaluation_seed} | changes
    run.folder.evaluation.write_text(json.dumps(figures), encoding="utf-8")
    return run


def test_what_is_missing_is_run_and_what_is_done_is_skipped(tmp_path: Path, stand_in: None) -> None:
    runs = planned_runs(a_suite("a", "b", seeds=(0, 1)), tmp_path)
    assert runner.run_missing(runs[:3], jobs=2) == []
    assert runner.run_missing(runs, jobs=2) == []
    assert [processes(run) for run in runs] == [["train", "evaluate"]] * 4
    assert [next_step(run) for run in runs] == [None] * 4


@pytest.mark.usefixtures("stand_in")
def test_failures_are_told_at_the_end_and_stop_nobody(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    runs = planned_runs(a_suite("fails", "is-killed", "a"), tmp_path)
    failed, killed = runner.run_missing(runs, jobs=1)
    assert failed.run is runs[0]
    assert failed.reason == f"train failed (exit status 1): this is why; all of it: {runs[0].log}"
    assert killed.run is runs[1]
    assert killed.reason.startswith("train failed (killed by signal 9)")
    assert next_step(runs[2]) is None
    assert "[3/3] quadrotor-hover/a/seed0: done" in capfd.readouterr().out


@pytest.mark.usefixtures("stand_in")
def test_a_run_that_another_process_works_on_is_left_to_it(tmp_path: Path) -> None:
    runs = planned_runs(a_suite("a", "b"), tmp_path)
    runs[0].log.parent.mkdir(parents=True)
    with runs[0].log.open("ab") as log:
        fcntl.flock(log, fcntl.LOCK_EX)
        release = threading.Timer(0.5, lambda: fcntl.flock(log, fcntl.LOCK_UN))
        release.start()
        assert runner.run_missing(runs, jobs=2) == []
        release.join()
    begun = [run.origin.stat().st_mtime for run in runs]
    assert begun[1] < begun[0]


def with_reference(*names: str, root: Path) -> list[Run]:
    """Runs of the suite of `held`, whose reference is `a`, and of others, as listed."""
    options = (*OPTIONS.split(), "32")
    held = Variant("held", "ppo", (*options, "--kl-coef", "0.1"), reference="a")
    others = a_suite("a", "b").variants
    variants = tuple(held if name == "held" else next(v for v in others if v.name == name) for name in names)
    return planned_runs(Suite("trial", "Trial", ("quadrotor-hover",), variants, (0,), episodes=5), root)


@pytest.mark.usefixtures("stand_in")
def test_a_run_waits_for_its_reference_to_be_finished(tmp_path: Path) -> None:
    held, b, a = with_reference("held", "b", "a", root=tmp_path)
    assert runner.run_missing([held, b, a], jobs=3) == []
    assert processes(b) == processes(a) == processes(held) == ["train", "evaluate"]
    assert a.folder.evaluation.stat().st_mtime_ns < held.folder.config.stat().st_ctime_ns
    words = json.loads(held.origin.read_text(encoding="utf-8").splitlines()[0])["command"]
    assert words[words.index("--reference") + 1] == str(a.path)


@pytest.mark.usefixtures("stand_in")
def test_a_run_without_a_trained_reference_is_told_and_not_begun(tmp_path: Path, trained: Path) -> None:
    held, a = with_reference("held", "a", root=tmp_path)
    shutil.copytree(trained / "seed0", a.path)
    a.folder.drop_metrics_after(1)  # half of it
    (failure,) = runner.run_missing([held], jobs=1)
    assert failure.reason == "failed: it needs quadrotor-hover/a/seed0, which is not trained to its end"
    assert not held.path.exists()
    assert not held.origin.exists()


@pytest.mark.usefixtures("stand_in")
def test_an_interrupt_ends_the_children(tmp_path: Path) -> None:
    (run,) = planned_runs(a_suite("waits"), tmp_path)

    def interrupt() -> None:
        while not (run.log.exists() and b"waiting" in run.log.read_bytes()):
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        runner.run_missing([run], jobs=1)
    assert run.log.read_text(encoding="utf-8").endswith("asked to stop\n")
    with run.log.open("ab") as log:
        fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)  # nobody holds it any more


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


def figures(folder: RunFolder) -> list[str]:
    """Every row of metrics without its clocks; as text, in which NaN equals NaN."""
    return [repr([v for k, v in row.items() if k not in CLOCKS]) for row in folder.read_metrics()]


SCRIPT = f"""
import sys
from pathlib import Path
from benchmarks.suite.definition import Suite, Variant
from benchmarks.suite.plan import planned_runs
from benchmarks.suite.runs import run_missing

variant = Variant("a", "ppo", (*"{OPTIONS} 1600 --checkpoint-every 7".split(),))
SUITE = Suite("trial", "Trial", ("quadrotor-hover",), (variant,), (0,), episodes=2)
if __name__ == "__main__":
    run_missing(planned_runs(SUITE, Path(sys.argv[1])), jobs=1)
"""


def test_a_killed_runner_takes_its_children_along_and_the_next_call_goes_on_bit_for_bit(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    (run,) = planned_runs(runpy.run_path(str(script))["SUITE"], tmp_path)
    paths = os.pathsep.join((str(ROOT / "benchmarks"), str(ROOT)))
    killed = subprocess.Popen([sys.executable, str(script), str(tmp_path)], env={**os.environ, "PYTHONPATH": paths})
    while len(run.folder.read_metrics()) < 3:
        assert killed.poll() is None
        time.sleep(0.01)
    killed.kill()
    killed.wait()
    with run.log.open("ab") as log:
        fcntl.flock(log, fcntl.LOCK_EX)  # held until the orphan has saved and ended
    left = len(run.folder.read_metrics())
    assert left < run.config.num_iterations == 100
    _, saved = checkpoint.restore(run.folder.checkpoint)
    assert saved["iteration"] == left  # saved on its way out, not only every seventh time

    assert runner.run_missing([run], jobs=1) == []
    assert processes(run) == ["train", "resume", "evaluate"]
    assert next_step(run) is None
    undisturbed = train(run.config, tmp_path / "undisturbed")
    resumed = checkpoint.load(run.folder.checkpoint)
    for ours, theirs in zip(resumed.state_dict().values(), undisturbed.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs)
    assert figures(run.folder) == figures(RunFolder(tmp_path / "undisturbed"))
