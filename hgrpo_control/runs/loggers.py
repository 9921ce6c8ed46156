"""Where the curves of a run go: TensorBoard, Weights & Biases, MLflow, or nowhere."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, Protocol

from hgrpo_control.config.argument import Argument
from hgrpo_control.runs.run_folder import Metrics, RunFolder
from hgrpo_errors import HgrpoError, install

Log = Literal["tensorboard", "wandb", "mlflow", "none"]
LOGS = Annotated[tuple[Log, ...], Argument(flag="--log", repeated=True)]
"""Loggers, each behind a --log of its own."""
_CLASSES = {
    "tensorboard": "hgrpo_control.runs.tensorboard:TensorBoard",
    "wandb": "hgrpo_control.runs.wandb:WandB",
    "mlflow": "hgrpo_control.runs.mlflow:MLflow",
}
_OPTIONAL = ("wandb", "mlflow")


class LoggerError(HgrpoError):
    """Raised for loggers that contradict each other or are not installed."""


class Logger(Protocol):
    """A reporter that writes curves; made from the run folder and the simulator steps of a resumed run."""

    def report(self, metrics: Metrics) -> None:
        """Write one iteration; values that are NaN are left out."""
        ...

    def add_evaluation(self, figures: Mapping[str, float], simulator_steps: int) -> None:
        """Write the figures of an evaluation as `evaluation/NAME`; values that are NaN are left out."""
        ...

    def close(self) -> None:
        """Write what is buffered."""
        ...


def require_loggers(names: Sequence[str]) -> None:
    """Raise LoggerError for loggers that contradict each other, or lack their package."""
    if "none" in names and len(set(names)) > 1:
        others = ", ".join(name for name in names if name != "none")
        raise LoggerError(f"--log none contradicts --log {others}; leave one of them out")
    for name in names:
        if name in _OPTIONAL and importlib.util.find_spec(name) is None:
            raise LoggerError(f"--log {name} needs the package {name}: {install(name)}")


def make_loggers(names: Sequence[str], folder: RunFolder, simulator_steps: int = 0) -> list[Logger]:
    """Loggers of a run.

    Args:
        names: Their names; a name that is given twice counts once.
        folder: The run.
        simulator_steps: Steps that a resumed run has taken already.
    """
    require_loggers(names)
    loggers = []
    for name in dict.fromkeys(names):
        if name != "none":
            module, _, kind = _CLASSES[name].partition(":")
            loggers.append(getattr(importlib.import_module(module), kind)(folder, simulator_steps))
    return loggers


def loggers_of(folder: RunFolder) -> list[str]:
    """Names of the loggers that have written for a run; TensorBoard before its first iteration."""
    if not folder.metrics.exists():
        return ["tensorboard"]
    traces = {"tensorboard": folder.tensorboard, "wandb": folder.wandb, "mlflow": folder.mlflow}
    return [name for name, path in traces.items() if path.exists()]


def log_evaluation(folder: RunFolder, figures: Mapping[str, float], simulator_steps: int) -> None:
    """Add the figures of an evaluation to every logger that has written for the run and is installed here.

    Args:
        folder: The evaluated run.
        figures: Values by name.
        simulator_steps: Steps of training behind the evaluated policy.

    Raises:
        FileError: Where the files cannot be written.
    """
    names = loggers_of(folder) if folder.metrics.exists() else []
    here = [name for name in names if name not in _OPTIONAL or importlib.util.find_spec(name) is not None]
    for logger in make_loggers(here, folder, simulator_steps):
        logger.add_evaluation(figures, simulator_steps)
        logger.close()
