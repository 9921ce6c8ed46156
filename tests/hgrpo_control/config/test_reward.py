"""Settings of the reward transform: what contradicts itself is refused, and the old ones are still read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hgrpo_control.config.algorithms import GRPO, PPO, HybridGRPO
from hgrpo_control.config.reward import TRANSFORMS
from hgrpo_control.config.run import Config, ConfigError

NAMES = "allowed: identity, tanh, clip, scale, rolling, rolling-std, MODULE:FUNCTION"


@pytest.mark.parametrize("kind", [PPO, GRPO, HybridGRPO])
@pytest.mark.parametrize("name", [*TRANSFORMS, "rewards:mine", "package.module:function"])
def test_every_name_is_allowed_for_every_algorithm(kind: Any, name: str) -> None:
    config = Config("quadrotor-hover", kind(reward_transform=name))
    assert Config.from_json(config.to_json()) == config


@pytest.mark.parametrize("kind", [PPO, GRPO, HybridGRPO])
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"reward_transform": "tan"}, f"unknown reward_transform 'tan'; did you mean 'tanh'? {NAMES}"),
        (
            {"reward_transform": "roling_std"},
            f"unknown reward_transform 'roling_std'; did you mean 'rolling-std'? {NAMES}",
        ),
        ({"reward_transform": "xyz"}, f"unknown reward_transform 'xyz'; {NAMES}"),
        ({"reward_transform": ""}, f"unknown reward_transform ''; {NAMES}"),
        ({"reward_transform": ":f"}, f"unknown reward_transform ':f'; {NAMES}"),
        ({"reward_transform": "m:"}, f"unknown reward_transform 'm:'; {NAMES}"),
        ({"reward_transform": "m::f"}, f"unknown reward_transform 'm::f'; {NAMES}"),
        ({"reward_transform": "a:b:c"}, f"unknown reward_transform 'a:b:c'; {NAMES}"),
        ({"reward_low": 2.0}, "reward_low must be below reward_high; given 2.0 and 1.0"),
        ({"reward_low": 1.0}, "reward_low must be below reward_high; given 1.0 and 1.0"),
        ({"reward_high": float("nan")}, "reward_low must be below reward_high; given -1.0 and nan"),
        ({"reward_window": 1}, "reward_window must be at least 2; given 1"),
        ({"reward_window": -5}, "reward_window must be at least 2; given -5"),
        ({"reward_low": -2.0}, "reward_low -2.0 does nothing with reward_transform identity; it belongs to clip"),
        (
            {"reward_transform": "tanh", "reward_high": 0.5},
            "reward_high 0.5 does nothing with reward_transform tanh; it belongs to clip",
        ),
        (
            {"reward_transform": "clip", "reward_window": 50},
            "reward_window 50 does nothing with reward_transform clip; it belongs to rolling and rolling-std",
        ),
    ],
)
def test_what_contradicts_itself_is_refused_in_one_line(kind: Any, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        Config("quadrotor-hover", kind(**changes))
    assert str(raised.value) == message


@pytest.mark.parametrize(
    "changes",
    [
        {"reward_transform": "clip", "reward_low": -2.0, "reward_high": 0.5},
        {"reward_transform": "rolling", "reward_window": 50},
        {"reward_transform": "rolling-std", "reward_window": 50},
        {"reward_window": 100_000, "reward_low": -1.0},
    ],
)
def test_what_belongs_to_the_transform_or_repeats_a_default_is_taken(changes: dict[str, Any]) -> None:
    assert Config("quadrotor-hover", PPO(**changes)).algorithm == PPO(**changes)


def test_a_config_from_before_there_were_settings_is_still_read() -> None:
    fields = json.loads(Config("quadrotor-hover", PPO(reward_transform="tanh")).to_json())
    for name in ("reward_low", "reward_high", "reward_window"):
        del fields["algorithm"][name]
    assert Config.from_json(json.dumps(fields)).algorithm == PPO(reward_transform="tanh")
