"""Training and evaluation of policies: `hgrpo_control.train(config, out)` does a whole run in one call.

`import hgrpo_control` loads no torch, so that the command line shows its help quickly. The names below are loaded when
they are first used.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

# robots/__init__.py gives the reason; it is repeated here because torch may be imported before robots
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from hgrpo_imports import lazy_names

if TYPE_CHECKING:
    from hgrpo_control.api.loading import load
    from hgrpo_control.api.run import Run, TrainingResult, resume, train
    from hgrpo_control.config.algorithms import GRPO, PPO, HybridGRPO
    from hgrpo_control.config.run import Config
    from hgrpo_control.diagnose.settings import DiagnoseSettings
    from hgrpo_control.evaluation.array_policy import ArrayPolicy
    from hgrpo_control.evaluation.evaluate import Evaluation, evaluate
    from hgrpo_control.presets.quadrotor import preset
    from hgrpo_control.reports.compare import compare
    from hgrpo_control.runs.progress import ProgressBar
    from hgrpo_control.runs.reporter import Reporter
    from hgrpo_control.runs.run_folder import Metrics
    from hgrpo_control.runs.tensorboard import TensorBoard

_LAZY = {
    "ArrayPolicy": "hgrpo_control.evaluation.array_policy",
    "Config": "hgrpo_control.config.run",
    "DiagnoseSettings": "hgrpo_control.diagnose.settings",
    "Evaluation": "hgrpo_control.evaluation.evaluate",
    "GRPO": "hgrpo_control.config.algorithms",
    "HybridGRPO": "hgrpo_control.config.algorithms",
    "Metrics": "hgrpo_control.runs.run_folder",
    "PPO": "hgrpo_control.config.algorithms",
    "ProgressBar": "hgrpo_control.runs.progress",
    "Reporter": "hgrpo_control.runs.reporter",
    "Run": "hgrpo_control.api.run",
    "TensorBoard": "hgrpo_control.runs.tensorboard",
    "TrainingResult": "hgrpo_control.api.run",
    "compare": "hgrpo_control.reports.compare",
    "evaluate": "hgrpo_control.evaluation.evaluate",
    "load": "hgrpo_control.api.loading",
    "preset": "hgrpo_control.presets.quadrotor",
    "resume": "hgrpo_control.api.run",
    "train": "hgrpo_control.api.run",
}
__getattr__, __dir__ = lazy_names(__name__, _LAZY)

__all__ = [
    "GRPO",
    "PPO",
    "ArrayPolicy",
    "Config",
    "DiagnoseSettings",
    "Evaluation",
    "HybridGRPO",
    "Metrics",
    "ProgressBar",
    "Reporter",
    "Run",
    "TensorBoard",
    "TrainingResult",
    "compare",
    "evaluate",
    "load",
    "preset",
    "resume",
    "train",
]
