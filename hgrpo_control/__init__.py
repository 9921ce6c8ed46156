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
    from hgrpo_control.config.algorithms import GRPO, PPO, HybridGRPO
    from hgrpo_control.config.run import Config
    from hgrpo_control.evaluation.evaluate import evaluate
    from hgrpo_control.presets.quadrotor import preset
    from hgrpo_control.training.resuming import resume
    from hgrpo_control.training.train import train

_LAZY = {
    "Config": "hgrpo_control.config.run",
    "GRPO": "hgrpo_control.config.algorithms",
    "HybridGRPO": "hgrpo_control.config.algorithms",
    "PPO": "hgrpo_control.config.algorithms",
    "evaluate": "hgrpo_control.evaluation.evaluate",
    "preset": "hgrpo_control.presets.quadrotor",
    "resume": "hgrpo_control.training.resuming",
    "train": "hgrpo_control.training.train",
}
__getattr__, __dir__ = lazy_names(__name__, _LAZY)

__all__ = ["GRPO", "PPO", "Config", "HybridGRPO", "evaluate", "preset", "resume", "train"]
