"""Training from Python, and the run that it leaves."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

import policies
from hgrpo_control.api.progress import run_with_progress
from hgrpo_control.config.judged import FULL, RUN, JudgedSettings, Weights
from hgrpo_control.config.run import Config
from hgrpo_control.evaluation.evaluate import Evaluation
from hgrpo_control.evaluation.evaluate import evaluate as evaluate_policy
from hgrpo_control.runs.imports import with_registrar
from hgrpo_control.runs.reporter import Reporter
from hgrpo_control.runs.run_folder import RunFolder
from hgrpo_control.training.judged import judge_at
from hgrpo_control.training.resuming import restore_trainer
from hgrpo_control.training.simulation import make_simulator
from hgrpo_control.training.train import run as run_trainer
from hgrpo_control.training.trainer import Trainer
from hgrpo_fields import check
from hgrpo_imports import load_all
from policies.actor_critic import ActorCritic
from robots.simulator import closing as closing_simulator

if TYPE_CHECKING:
    from hgrpo_control.diagnose.measurement import Diagnosis
    from hgrpo_control.diagnose.settings import DiagnoseSettings
    from hgrpo_control.export.report import ExportEntry


class Run:
    """A run folder. Functions that take a run folder, such as `compare` and `export`, take a `Run` too.

    Args:
        path: The folder.
        imports: Modules to import before the task is made, such as the one that registers it. Those that the run names
            have to be among them, or imported already.

    Raises:
        RunFolderError: If it is no run.
    """

    def __init__(self, path: str | os.PathLike[str], imports: Sequence[str] = ()) -> None:
        self._folder, self.imports = RunFolder.open(path), tuple(imports)

    def __fspath__(self) -> str:
        return str(self.path)

    @property
    def path(self) -> Path:
        """The folder."""
        return self._folder.path

    @property
    def config(self) -> Config:
        """The settings."""
        return self._folder.peek_config()

    @property
    def metrics(self) -> dict[str, NDArray[np.float64]]:
        """Columns of metrics.csv so far, one value per iteration; NaN where nothing was measured."""
        rows = self._folder.read_metrics()
        return {name: np.array([row[name] for row in rows], dtype=np.float64) for name in (rows[0] if rows else ())}

    @property
    def policy(self) -> ActorCritic:
        """The policy of the last checkpoint, on the CPU."""
        return policies.load(self.path)

    def evaluate(
        self,
        episodes: int = 100,
        seed: int = 0,
        *,
        task_options: Mapping[str, Any] | None = None,
        difficulty: str | float = FULL,
        weights: Weights = "final",
    ) -> Evaluation:
        """Figures of the policy's mean action over fresh episodes, as `hgrpo evaluate` prints them.

        Args:
            episodes: Number of episodes, at least 1.
            seed: Seed of the episodes.
            task_options: Options of the task that differ from those of the training.
            difficulty: "full" (that of the task's options, 1 if they do not say), "run" (where the run's curriculum
                stands), or a number from 0 to 1.
            weights: Reward weights: "final" (where the run's curriculum ends), "run" or "default" (the task's).

        Returns:
            The figures; `evaluation.write(run.path / "evaluation.json")` stores them for `compare`.

        Raises:
            HgrpoError: For options that the task, the policy or the run does not have.
        """
        config = self._folder.read_config(self.imports, learning=False)
        config = replace(config, task_options=config.task_options | dict(task_options or {}))
        with closing_simulator(make_simulator(config)) as simulator:
            policy, training = policies.restore(self._folder.checkpoint)
            judged = judge_at(simulator, config, training, _judged_at(difficulty, weights))
            evaluation, _ = evaluate_policy(policy, simulator, episodes, seed)
        return replace(evaluation, task_options=config.task_options, judged_at=judged.for_json())

    def export(
        self,
        *,
        onnx: str | os.PathLike[str] | None = None,
        batch_1: bool = False,
        float16: bool = False,
        int8: bool = False,
        episodes: int = 100,
        c: str | os.PathLike[str] | None = None,
        tanh: Literal["libm", "approximate"] = "libm",
        crazyflie: str | os.PathLike[str] | None = None,
        px4: str | os.PathLike[str] | None = None,
        ros2: str | os.PathLike[str] | None = None,
        difficulty: str | float = FULL,
        weights: Weights = "final",
    ) -> list[ExportEntry]:
        """Write the policy in forms that run without torch, as `hgrpo export` does.

        Args:
            onnx: File to write; policy.onnx in the run folder if not given, and then only where no other form is.
            batch_1: Also write ONNX with a batch of 1, NAME.batch1.onnx.
            float16: Also write ONNX that computes in float16, NAME.float16.onnx.
            int8: Also write ONNX quantised to int8, NAME.int8.onnx.
            episodes: Episodes that measure the policy and each float16 or int8 file.
            c: Write C99 to NAME.c and NAME.h.
            tanh: For C: tanhf of libm, or an approximation without libm.
            crazyflie: Folder for a controller app of the Crazyflie's firmware.
            px4: Archive that PX4's mc_raptor loads.
            ros2: Folder for a ROS 2 package whose node flies the policy through MAVROS.
            difficulty: Of these episodes: "full", "run" or a number from 0 to 1, as for `evaluate`.
            weights: Reward weights of these episodes, as for `evaluate`.

        Returns:
            One entry per form: its files, its difference from the torch policy, and what was measured.

        Raises:
            ExportError: If the policy has no such form, or a file that no export wrote is in the way.
        """
        from hgrpo_control.export.files import export
        from hgrpo_control.export.settings import ExportOptions

        given = (onnx, c, crazyflie, px4, ros2)
        onnx, c, crazyflie, px4, ros2 = (None if path is None else Path(path) for path in given)
        forms = (self.path, onnx, batch_1, float16, int8, episodes, c, tanh, crazyflie, self.imports, px4, ros2)
        options = ExportOptions(*forms, **vars(_judged_at(difficulty, weights)))
        return list(export(options))

    def diagnose(
        self,
        settings: DiagnoseSettings | None = None,
        *,
        difficulty: str | float = RUN,
        weights: Weights = "run",
        progress: Callable[[int, int], None] | None = None,
    ) -> Diagnosis:
        """Measure variance and bias of every estimator's policy gradient at the last checkpoint.

        Args:
            settings: Estimators and numbers of samples; those of `hgrpo diagnose` if not given.
            difficulty: "run" (where the run's curriculum stands), "full" or a number from 0 to 1.
            weights: Reward weights: "run", "final" (where the run's curriculum ends) or "default" (the task's).
            progress: Called with the simulator steps taken and their total.

        Returns:
            Estimators with their measurements in `rows`, the run's own in `own`, and the reference gradient. No file is
            written.

        Raises:
            ConfigError: For settings that do not fit the run, and for a checkpoint that lacks what they need.
        """
        from hgrpo_control.diagnose.of_run import diagnose_run
        from hgrpo_control.diagnose.settings import DiagnoseSettings

        choice = _judged_at(difficulty, weights)
        given = DiagnoseSettings() if settings is None else settings
        return diagnose_run(self._folder, given, choice, self.imports, progress or (lambda done, total: None))[0]

    def resume(self, reporters: Sequence[Reporter] = (), **options: Any) -> TrainingResult:
        """Continue the training; arguments and result are those of `hgrpo_control.resume`."""
        return resume(self, reporters, imports=self.imports, **options)


def _judged_at(difficulty: str | float, weights: Weights) -> JudgedSettings:
    choice = JudgedSettings(difficulty=str(difficulty), weights=weights)
    check(choice)
    return choice


@dataclass(frozen=True)
class TrainingResult:
    """A trained policy."""

    policy: ActorCritic
    run: Run | None
    """Its run folder; None for training without one."""
    interrupted: bool = False
    """Whether a signal such as Ctrl-C ended the training before its last iteration."""


def train(
    config: Config,
    out: str | os.PathLike[str] | None = None,
    reporters: Sequence[Reporter] = (),
    *,
    progress: bool = False,
    return_on_interrupt: bool = False,
) -> TrainingResult:
    """Train a policy as `hgrpo train` does, after importing `config.imports`.

    Args:
        config: Every setting, such as those of `preset`.
        out: New run folder; None writes no file.
        reporters: Called with the metrics of every iteration.
        progress: Show a progress bar, and write TensorBoard files into the run folder.
        return_on_interrupt: Return the policy as it stands on Ctrl-C, SIGTERM or SIGHUP, in place of raising
            KeyboardInterrupt. The run is saved in both cases.

    Raises:
        ConfigError: For contradictory settings.
        RunFolderError: If `out` exists.
        TrainingDivergedError: If a number is not finite.
    """
    load_all(config.imports)
    config = with_registrar(config)
    with closing(Trainer.from_config(config)) as trainer:
        folder = None if out is None else RunFolder.create(out, config)
        return _finish(trainer, folder, reporters, progress, return_on_interrupt)


def resume(
    run: str | os.PathLike[str],
    reporters: Sequence[Reporter] = (),
    *,
    total_steps: int | None = None,
    imports: Sequence[str] = (),
    trust_snapshots: bool = False,
    progress: bool = False,
    return_on_interrupt: bool = False,
) -> TrainingResult:
    """Continue a run from its last checkpoint as if it had never stopped.

    A warning names the cause if a task prevents that.

    The result is the same bit for bit with the same number of threads, kind of machine and build of torch.

    Args:
        run: Run folder.
        reporters: Called with the metrics of every iteration.
        total_steps: Another total of simulator steps than the run's own, also for a finished run.
        imports: Modules to import first; those that the run names have to be among them, or imported already.
        trust_snapshots: Read pickles in the checkpoint of an adapted environment.
        progress: As for `train`.
        return_on_interrupt: As for `train`.

    Raises:
        RunFolderError: If there is no run, or nothing left to do.
        RunInUseError: If another process trains in the folder.
        ImportRefusedError, UntrustedError: For modules and pickles that are not allowed.
        CheckpointError: If the checkpoint cannot be used.
    """
    with (
        RunFolder.open(run).locked() as folder,
        closing(restore_trainer(folder, total_steps, imports, trust_snapshots)) as trainer,
    ):
        if trainer.resume_note:
            warnings.warn(trainer.resume_note, stacklevel=2)
        if total_steps is not None:
            folder.write_config(trainer.config)
        return _finish(trainer, folder, reporters, progress, return_on_interrupt)


def _finish(
    trainer: Trainer, folder: RunFolder | None, reporters: Sequence[Reporter], progress: bool, return_on_interrupt: bool
) -> TrainingResult:
    interrupted = False
    try:
        if progress:
            run_with_progress(trainer, folder, reporters)
        else:
            run_trainer(trainer, folder, tuple(reporters))
    except KeyboardInterrupt:
        if not return_on_interrupt:
            raise
        interrupted = True
    return TrainingResult(
        trainer.policy, None if folder is None else Run(folder.path, trainer.config.imports), interrupted
    )
