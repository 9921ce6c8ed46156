"""Settings of a run; importable without torch. Names load when they are first used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgrpo_imports import lazy_names

if TYPE_CHECKING:
    from hgrpo_control.config.algorithms import ALGORITHMS, GRPO, PPO, Algorithm, HybridGRPO
    from hgrpo_control.config.learning import Learning, Network
    from hgrpo_control.config.run import Config, ConfigError

_LAZY = {
    "ALGORITHMS": "hgrpo_control.config.algorithms",
    "Algorithm": "hgrpo_control.config.algorithms",
    "Config": "hgrpo_control.config.run",
    "ConfigError": "hgrpo_control.config.run",
    "GRPO": "hgrpo_control.config.algorithms",
    "HybridGRPO": "hgrpo_control.config.algorithms",
    "Learning": "hgrpo_control.config.learning",
    "Network": "hgrpo_control.config.learning",
    "PPO": "hgrpo_control.config.algorithms",
}
__getattr__, __dir__ = lazy_names(__name__, _LAZY)

__all__ = [
    "ALGORITHMS",
    "GRPO",
    "PPO",
    "Algorithm",
    "Config",
    "ConfigError",
    "HybridGRPO",
    "Learning",
    "Network",
]
