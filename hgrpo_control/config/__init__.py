"""Settings of a run; importable without torch."""

from hgrpo_control.config.algorithms import ALGORITHMS, GRPO, PPO, Algorithm, HybridGRPO
from hgrpo_control.config.learning import Learning, Network
from hgrpo_control.config.run import Config, ConfigError

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
