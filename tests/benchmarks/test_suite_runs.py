"""Running what is missing of a suite: skipped, failed, locked, waiting, interrupted."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import threading
import time
from pathlib import Path

import pytest
from support.suite_runs import OPTIONS, a_suite, processes

from benchmarks.suite import runs as runner
from benchmarks.suite.definition import Suite, Variant
from benchmarks.suite.plan import Run, next_step, planned_runs

pytestmark = pytest.mark.slow


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
