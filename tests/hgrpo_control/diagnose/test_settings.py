"""Settings of a diagnosis: what they come to, and what is refused in one line."""

from __future__ import annotations

from typing import Any

import pytest

from hgrpo_control.config.run import ConfigError
from hgrpo_control.diagnose.settings import DiagnoseSettings


def test_replicates_share_a_budget() -> None:
    # 524,288 / (32 x 64) = 256 replicates of one sample
    settings = DiagnoseSettings()
    assert [settings.replicates(n) for n in (1, 2, 3, 16)] == [256, 128, 85, 16]


@pytest.mark.parametrize(
    ("gamma", "limit", "horizon"),
    [
        (0.99, 1000, 459),  # 0.99^459 = 0.00992, 0.99^458 = 0.01002
        (0.9, 1000, 44),
        (0.99, 500, 459),
        (0.99, 100, 68),  # 100 - 32
        (1.0, 500, 468),
        (0.0, 500, 468),
    ],
)
def test_the_horizon_ends_where_the_discount_has_forgotten_or_time_is_up(
    gamma: float, limit: int, horizon: int
) -> None:
    assert DiagnoseSettings().horizon_for(gamma, limit) == horizon


def test_a_given_horizon_is_taken() -> None:
    assert DiagnoseSettings(horizon=68).horizon_for(0.99, 100) == 68
    with pytest.raises(
        ConfigError, match=r"horizon must lie in \[1, 68\], the time limit of 100 less steps 32; given 69"
    ):
        DiagnoseSettings(horizon=69).horizon_for(0.99, 100)
    with pytest.raises(ConfigError, match="steps must be below the time limit of 32; given 32"):
        DiagnoseSettings().horizon_for(0.99, 32)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"seed": -1}, "seed must be at least 0; given -1"),
        ({"roots": 0}, "roots must be at least 1; given 0"),
        ({"steps": 0, "branch_steps": ()}, "steps must be at least 1; given 0"),
        ({"branch_steps": (4, 0)}, "branch_steps must be at least 1; given 0"),
        ({"branch_steps": (4, 3), "steps": 8}, "branch_steps 3 does not divide steps 8; allowed: 1, 2, 4, 8"),
        ({"samples": (0, 2)}, "samples must be at least 1; given 0"),
        ({"shares": ("0.5", "2")}, "shares .*; given 2"),
        ({"shares": ("aut",)}, "shares .*'aut'.*auto"),
        ({"lambdas": (0.5, 1.5)}, "lambdas? must be from 0 to 1; given 1.5"),
        ({"lambdas": (float("nan"),)}, "lambdas? must be from 0 to 1; given nan"),
        ({"gae_lambda": -0.1}, "lambdas? must be from 0 to 1; given -0.1"),
        ({"reference_branches": 16}, "reference_branches must be a multiple of 16 and at least 32; given 16"),
        ({"reference_branches": 40}, "reference_branches must be a multiple of 16 and at least 32; given 40"),
        # 4 x 32 steps x 64 roots x 16 samples
        ({"budget": 131_071}, "budget must hold 4 replicates of .*, 131072 simulator steps; given 131071"),
    ],
)
def test_what_cannot_be_measured_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        DiagnoseSettings(**given)
