"""Studies: a tiny one through the command line, scores, pruning, and two workers of which one is killed."""

from __future__ import annotations

import gc
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("optuna", reason="the extra `tune` is not here: pip install -c constraints.txt '.[tune]'")

import matplotlib
import optuna
from optuna.trial import TrialState
from support.forked import Fork, command

from hgrpo_control.cli import main
from hgrpo_control.commands.train_options import parse_train_options
from hgrpo_control.runs.run_folder import RunFolder
from hgrpo_control.tune.study import _storage
from hgrpo_control.tune.trials import Curve, NoEpisodeError, score

SETTINGS = "--num-envs 4 --rollout-steps 16 --num-minibatches 2 --update-epochs 1 --hidden-sizes 8 --total-steps"
SEARCH = "--search num_envs=2,4 rollout_steps=8,16 num_minibatches=2,4 update_epochs=1,2"


def words(storage: str, steps: int, trials: int) -> list[str]:
    how = f"{SETTINGS} {steps} {SEARCH} --trials {trials} --storage {storage}"
    return ["tune", "ppo", "InvertedPendulum-v5", *how.split(), "--out", "tuned"]


def rows(**columns: list[float]) -> list[dict[str, float]]:
    names = {"simulator_steps": [100.0 * (i + 1) for i in range(10)], **columns}
    return [dict(zip(names, row, strict=True)) for row in zip(*names.values(), strict=True)]


def test_final_success_comes_first_and_then_the_steps_to_it() -> None:
    soon, late = [0.0] * 2 + [1.0] * 8, [0.0] * 8 + [1.0] * 2
    worse = [1.0] * 9 + [0.98]
    nan = [float("nan")] * 10
    scores = [score(rows(success_rate=column), True) for column in (soon, late, worse, nan)]
    assert scores == sorted(scores, reverse=True)
    assert scores == pytest.approx([1.007, 1.001, 0.989, 0.0])


def test_without_a_goal_the_return_counts() -> None:
    assert score(rows(episode_return=[0.0] * 9 + [7.0]), False) == 7.0
    with pytest.raises(NoEpisodeError, match="total steps"):
        score(rows(episode_return=[float("nan")] * 10), False)


def test_a_bad_learning_curve_is_pruned() -> None:
    study = optuna.create_study(
        direction="maximize", pruner=optuna.pruners.ThresholdPruner(lower=0.5, n_warmup_steps=4)
    )
    curve = Curve(study.ask(), 1000, has_goal=True)
    history = rows(success_rate=[0.1] * 10)
    curve.report(history[0])
    with pytest.raises(optuna.TrialPruned):
        curve.report(history[1])  # 200 of 1,000 steps: the 4th of 20 points


@pytest.mark.slow
def test_a_study_leaves_settings_that_train_takes_and_plots(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], complaint: Callable[..., str]
) -> None:
    monkeypatch.chdir(tmp_path)
    color = matplotlib.rcParams["axes.facecolor"]
    assert main(words("sqlite:///tune.db", 512, trials=2)) == 0
    assert matplotlib.rcParams["axes.facecolor"] == color, "the style of Optuna's plots is theirs alone"
    assert "trial 1" in capsys.readouterr().out
    study = optuna.load_study(study_name="ppo-InvertedPendulum-v5", storage="sqlite:///tune.db")
    assert [trial.number for trial in study.trials] == [0, 1]
    assert study.trials[0].params["num_envs"] == 4  # the settings that were given come first
    config = parse_train_options(["--config", "tuned/best.toml"]).config
    assert config.num_envs == study.best_params["num_envs"]
    assert config.learning.learning_rate == study.best_params["learning_rate"]
    for name in ("history", "curves", "settings"):
        assert Path(f"tuned/{name}.png").read_bytes().startswith(b"\x89PNG")
    assert main(words("sqlite:///tune.db", 512, trials=2)) == 0  # nothing left to do; the files are written again
    assert len(study.get_trials()) == 2
    other = words("sqlite:///tune.db", 1024, trials=2)
    assert "--study" in complaint(*other)
    assert "postgresql" in complaint(*words("sqlit:///tune.db", 512, trials=2))


@pytest.fixture(scope="module")
def postgresql() -> Iterator[str]:
    """URL of a PostgreSQL server that runs for these tests."""
    if any(shutil.which(program) is None for program in ("initdb", "postgres", "setpriv")):
        pytest.skip("there is no PostgreSQL server here (initdb, postgres, setpriv)")
    pytest.importorskip("psycopg", reason="psycopg is not here: pip install 'psycopg[binary]'")
    as_user: list[str] = []
    folder = Path(tempfile.mkdtemp())
    if os.getuid() == 0:  # which the server refuses
        try:
            user = next(pwd.getpwnam(name) for name in ("postgres", "nobody"))
        except KeyError:
            pytest.skip("PostgreSQL does not run as root, and there is no user postgres")
        os.chown(folder, user.pw_uid, user.pw_gid)
        as_user = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    data, log = folder / "data", folder / "log"
    made = subprocess.run(
        [*as_user, "initdb", "-D", data, "-U", "tuner", "-A", "trust"],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
    )
    if made.returncode:
        pytest.skip(f"initdb does not work here: {made.stderr.strip().splitlines()[-1]}")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with log.open("wb") as output:
        server = subprocess.Popen(
            [*as_user, "postgres", "-D", data, "-p", str(port), "-c", "listen_addresses=127.0.0.1", "-k", folder],
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder,
        )
    until = time.monotonic() + 60
    while b"ready to accept connections" not in log.read_bytes():
        assert server.poll() is None, log.read_text()
        assert time.monotonic() < until
        time.sleep(0.1)
    yield f"postgresql+psycopg://tuner@127.0.0.1:{port}/postgres"
    server.send_signal(signal.SIGINT)
    server.wait()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*psycopg.Connection:ResourceWarning")  # of the storages of this process
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("kind", ["journal", "postgresql"])  # SQLite has the test above
def test_two_workers_share_a_study_and_the_trial_of_a_killed_one_is_given_again(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.chdir(tmp_path)
    storage = "journal:tune.log" if kind == "journal" else request.getfixturevalue("postgresql")
    # One million steps: the trial of the first worker does not end by itself.
    killed = Fork(tmp_path, command, *words(storage, 1_000_000, trials=2))
    study = None
    while study is None or not study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        assert killed.status is None
        time.sleep(0.2)
        if study is None and (kind == "postgresql" or Path("tune.log").exists()):
            study = _loaded(storage)
    while not (tmp_path / "tuned/trial-0/metrics.csv").exists():
        time.sleep(0.1)
    killed.close()
    assert study.trials[0].state == TrialState.RUNNING
    reached = iterations()
    other = Fork(tmp_path, command, *words(storage, 1_000_000, trials=2))
    while not [trial for trial in study.trials if trial.user_attrs.get("attempt") == 2 and trial.params]:
        assert other.status is None
        time.sleep(0.2)
    again = next(trial for trial in study.trials if trial.user_attrs.get("attempt") == 2)
    while study.trials[again.number].params != study.trials[0].params:
        assert other.status is None
        time.sleep(0.1)
    # A signal within the import of an extension module would end the worker with a traceback.
    while iterations() <= reached:
        assert other.status is None
        time.sleep(0.1)
    other.send(signal.SIGINT)
    other.wait()
    assert other.status == 130
    first, second = study.trials[0], study.trials[again.number]
    assert first.state == TrialState.FAIL
    assert second.params == first.params
    assert second.user_attrs["folder"] == "trial-0"
    assert [trial.user_attrs["attempt"] for trial in study.trials if trial.state == TrialState.WAITING] == [3]
    del study, first, second, again
    gc.collect()


def iterations() -> float:
    """Iterations of the first trial."""
    rows = RunFolder("tuned/trial-0").read_metrics()
    return rows[-1]["iteration"] if rows else 0.0


def _loaded(storage: str) -> Any:
    from sqlalchemy.exc import SQLAlchemyError

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        try:
            return optuna.load_study(study_name="ppo-InvertedPendulum-v5", storage=_storage(storage))
        except (KeyError, SQLAlchemyError):  # the worker is still making its tables or the study
            return None
