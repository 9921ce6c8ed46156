"""Curves of a run for MLflow; in a local folder unless MLFLOW_TRACKING_URI says otherwise."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

from hgrpo_control.runs.run_folder import Metrics, RunFolder
from hgrpo_control.runs.tensorboard import tagged
from hgrpo_files import read_bytes, write_text, writing

_EXPERIMENT = "hgrpo-control"
_AT_ONCE = 100  # parameters of one call, at most


class MLflow:
    """Writes every metric over simulator steps, and the settings as parameters.

    Without MLFLOW_TRACKING_URI the folder `mlruns` beside the run folder takes them; `mlflow ui` shows it.

    Args:
        folder: The run. Its file `mlflow-run.txt` keeps the id, under which a resumed run goes on.
        simulator_steps: Without effect; MLflow cannot replace curves of a resumed run.
    """

    def __init__(self, folder: RunFolder, simulator_steps: int = 0) -> None:
        self._folder = folder
        self._client: Any = None
        self._id = ""

    def report(self, metrics: Metrics) -> None:
        """Write one iteration; values that are NaN are left out. Raises FileError."""
        self._log(tagged(metrics), int(metrics["simulator_steps"]))

    def add_evaluation(self, figures: Mapping[str, float], simulator_steps: int) -> None:
        """Write the figures of an evaluation; values that are NaN are left out. Raises FileError."""
        self._log(tagged(figures, "evaluation"), simulator_steps)

    def close(self) -> None:
        """End the run."""
        if self._client is not None:
            with writing(self._folder.path):
                self._client.set_terminated(self._id)

    def _log(self, values: dict[str, float], simulator_steps: int) -> None:
        with writing(self._folder.path):
            if self._client is None:
                self._begin()
            from mlflow.entities import Metric

            now = int(time.time() * 1000)
            self._client.log_batch(
                self._id, metrics=[Metric(name, float(value), now, simulator_steps) for name, value in values.items()]
            )

    def _begin(self) -> None:
        store = os.environ.get("MLFLOW_TRACKING_URI")
        if store is None:
            store = (self._folder.path.resolve().parent / "mlruns").as_uri()
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        from mlflow import MlflowClient
        from mlflow.entities import Param

        self._client = MlflowClient(store)
        if self._folder.mlflow.exists():
            self._id = read_bytes(self._folder.mlflow).decode().strip()
            self._client.set_terminated(self._id, "RUNNING")
            return
        experiment = self._client.get_experiment_by_name(_EXPERIMENT)
        number = experiment.experiment_id if experiment else self._client.create_experiment(_EXPERIMENT)
        self._id = self._client.create_run(number, run_name=self._folder.path.resolve().name).info.run_id
        write_text(self._folder.mlflow, f"{self._id}\n")
        settings = [Param(name, str(value)) for name, value in self._folder.settings().items()]
        for start in range(0, len(settings), _AT_ONCE):
            self._client.log_batch(self._id, params=settings[start : start + _AT_ONCE])
