"""One trial: training with the settings of a trial, its score, and pruning on its learning curve."""

from __future__ import annotations

import math
import os
import socket
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import optuna

from hgrpo_control.config.run import Config
from hgrpo_control.runs.run_folder import Metrics, RunFolder, last_tenth
from hgrpo_control.training.resuming import restore_trainer
from hgrpo_control.training.train import TrainingDivergedError
from hgrpo_control.training.train import run as run_trainer
from hgrpo_control.training.trainer import Trainer
from hgrpo_errors import HgrpoError

SUCCESS = 0.95
"""Success rate at which a trial counts as successful."""
_POINTS = 20  # of a learning curve, at which a trial may be pruned
_SPEED = 0.01  # weight of the steps to success, below the difference of two success rates


class NoEpisodeError(HgrpoError):
    """Raised for a training in whose last tenth no episode ended."""


class Curve:
    """Reports the learning curve of a trial to its study, and ends the trial where the study prunes it.

    Args:
        trial: The trial.
        total_steps: Simulator steps of the training.
        has_goal: Whether episodes of the task can succeed; the curve is the return otherwise.
    """

    def __init__(self, trial: optuna.Trial, total_steps: int, has_goal: bool) -> None:
        self._trial, self._total_steps = trial, total_steps
        self._name = "success_rate" if has_goal else "episode_return"
        self._rows: list[Metrics] = []
        self._point = 0

    def report(self, metrics: Metrics) -> None:
        """Take one iteration; raises TrialPruned at a point of the curve."""
        self._rows.append(metrics)
        point = int(_POINTS * metrics["simulator_steps"] / self._total_steps)
        if point <= self._point:
            return
        measured = [row[self._name] for row in self._rows if not math.isnan(row[self._name])]
        self._rows, self._point = [], point
        if measured:
            self._trial.report(sum(measured) / len(measured), point)
            if point < _POINTS and self._trial.should_prune():
                raise optuna.TrialPruned


def score(history: Sequence[Metrics], has_goal: bool) -> float:
    """Objective of a training, which is larger for a better one.

    With a goal: the success rate of the last tenth in hundredths, plus at most 0.01 for few simulator steps until the
    success rate first reached 0.95. Without one: the return of the last tenth.

    Raises:
        NoEpisodeError: No episode ended in the last tenth of a task without a goal.
    """
    if not has_goal:
        value = last_tenth(history, "episode_return")
        if math.isnan(value):
            raise NoEpisodeError("no episode ended in the last tenth of the training; give it more total steps")
        return value
    success = last_tenth(history, "success_rate")
    total = history[-1]["simulator_steps"]
    steps = next((row["simulator_steps"] for row in history if row["success_rate"] >= SUCCESS), total)
    return (0.0 if math.isnan(success) else round(success, 2)) + _SPEED * (1.0 - steps / total)


def train_trial(trial: optuna.Trial, config: Config, folder: Path) -> float:
    """Train with the settings of a trial, or continue where an interrupted trial with these settings ended.

    Args:
        trial: The trial.
        config: Its settings.
        folder: Run folder.

    Returns:
        The score.

    Raises:
        TrialPruned: The study ended the trial, or the training diverged.
        KeyboardInterrupt: A signal; the run is saved.
    """
    run = RunFolder(folder)
    begun = run.checkpoint.exists() and run.config.exists()
    with (_same(run, config) if begun else RunFolder.create(folder, config)).locked() as run:
        trainer = restore_trainer(run, imports=config.imports) if begun else Trainer.from_config(config)
        with closing(trainer):
            has_goal = bool(trainer.sampler.simulator.spec.goal)
            curve = Curve(trial, config.total_steps, has_goal)
            for row in run.read_metrics() if begun else ():
                if row["iteration"] <= trainer.iteration:
                    curve.report(row)
            try:
                run_trainer(trainer, run, (curve,))
            except TrainingDivergedError as error:
                trial.set_user_attr("diverged", str(error))
                raise optuna.TrialPruned from error
    return score(run.read_metrics(), has_goal)


def worker() -> dict[str, str | int]:
    """Host and process of this worker, which a trial keeps."""
    return {"host": socket.gethostname(), "process": os.getpid()}


def _same(run: RunFolder, config: Config) -> RunFolder:
    """The run, if it was made with the same settings; raises HgrpoError otherwise."""
    if run.peek_config() != config:
        raise HgrpoError(f"{run.path} has other settings than its trial; choose another --out")
    return run
