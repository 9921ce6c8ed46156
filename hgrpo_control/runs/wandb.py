"""Curves of a run for Weights & Biases; offline unless WANDB_MODE says otherwise."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from typing import Any

from hgrpo_control.runs.run_folder import Metrics, RunFolder
from hgrpo_control.runs.tensorboard import tagged
from hgrpo_files import read_bytes, write_text, writing

_STEP = "simulator_steps"


class WandB:
    """Writes every metric over simulator steps, and the settings as the config of the run.

    Without WANDB_MODE the run is offline: it is written into `wandb/` of the run folder, and `wandb sync` sends it. The
    variables WANDB_PROJECT and WANDB_DIR hold as usual.

    Args:
        folder: The run. Its file `wandb-run.txt` keeps the id, under which a resumed run goes on.
        simulator_steps: Without effect; Weights & Biases cannot replace curves of a resumed run.
    """

    def __init__(self, folder: RunFolder, simulator_steps: int = 0) -> None:
        self._folder = folder
        self._run: Any = None

    def report(self, metrics: Metrics) -> None:
        """Write one iteration; values that are NaN are left out. Raises FileError."""
        self._log(tagged(metrics), int(metrics[_STEP]))

    def add_evaluation(self, figures: Mapping[str, float], simulator_steps: int) -> None:
        """Write the figures of an evaluation; values that are NaN are left out. Raises FileError."""
        self._log(tagged(figures, "evaluation"), simulator_steps)

    def close(self) -> None:
        """Write what is buffered, and end the run."""
        if self._run is not None:
            self._run.finish()

    def _log(self, values: dict[str, float], simulator_steps: int) -> None:
        if self._run is None:
            self._run = self._begin()
        self._run.log(values | {_STEP: simulator_steps})

    def _begin(self) -> Any:
        mode: Any = os.environ.setdefault("WANDB_MODE", "offline")
        if mode != "online":
            os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # else errors of the package are sent to its makers
        import wandb

        path = self._folder.wandb
        if not path.exists():
            write_text(path, f"{secrets.token_hex(4)}\n")
        with writing(self._folder.path):
            run = wandb.init(
                project=os.environ.get("WANDB_PROJECT", "hgrpo-control"),
                name=self._folder.path.resolve().name,
                dir=os.environ.get("WANDB_DIR", str(self._folder.path)),
                id=read_bytes(path).decode().strip(),
                resume="allow",
                mode=mode,
                config=self._folder.settings(),
                settings=wandb.Settings(
                    console="off", silent=True, save_code=False, disable_git=True, x_disable_stats=True
                ),
            )
        run.define_metric("*", step_metric=_STEP)
        return run
