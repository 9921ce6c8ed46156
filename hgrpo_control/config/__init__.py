"""Settings of a run; importable without torch."""

from hgrpo_control.config.run import (
    ALGORITHMS,
    GRPO,
    PPO,
    Algorithm,
    Config,
    ConfigError,
    HybridGRPO,
    Learning,
    Network,
)

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
