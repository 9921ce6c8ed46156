"""From a config or a run to its simulator and its policy's interface."""

from __future__ import annotations

import robots
from hgrpo_control.config import Config, ConfigError, Network
from policies.spec import Entry, PolicySpec
from robots.simulator import Quantity, Simulator, SimulatorSpec


def make_simulator(config: Config) -> Simulator:
    """The task's simulator with the config's options; raises ConfigError for an unknown task or option."""
    try:
        return robots.make(config.task, **config.task_options)
    except (ValueError, AssertionError, RuntimeError) as error:
        raise ConfigError(str(error)) from error
    except TypeError as error:
        given = ", ".join(config.task_options)
        raise ConfigError(f"{config.task} does not take these task options: {given} ({error})") from error


def policy_spec(spec: SimulatorSpec, network: Network, critic: bool) -> PolicySpec:
    """Interface of a policy for a simulator."""
    return PolicySpec(
        task=spec.name,
        robot=spec.robot,
        control_hz=spec.control_hz,
        observation=_entries(spec.observation),
        action=_entries(spec.action),
        action_low=spec.action_low,
        action_high=spec.action_high,
        safe_action=spec.neutral_action,
        hidden_sizes=network.hidden_sizes,
        activation=network.activation,
        min_sigma=network.min_sigma,
        critic=critic,
    )


def _entries(quantities: tuple[Quantity, ...]) -> tuple[Entry, ...]:
    return tuple(Entry(q.name, q.unit, q.frame) for q in quantities)
