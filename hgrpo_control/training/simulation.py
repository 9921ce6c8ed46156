"""From a config or a run to its simulator and its policy's interface."""

from __future__ import annotations

import torch

import robots
from hgrpo_control.config.device import find_device
from hgrpo_control.config.learning import Network
from hgrpo_control.config.roots import EXECUTED
from hgrpo_control.config.run import Config, ConfigError
from policies.spec import Channel, PolicySpec
from robots.catalogue import QUADROTOR_TASKS
from robots.privileged import Privileged
from robots.quadrotor.flight.simulator import QuadrotorFlight
from robots.quadrotor.physics.catalogue import BUILT_IN
from robots.registry import takes_device
from robots.simulator import Simulator, SimulatorSpec, closed_on_error


def make_simulator(config: Config, device: torch.device | None = None) -> Simulator:
    """The task's simulator with the config's options, on the CPU unless another device is given.

    Raises ConfigError for an unknown task or option, and for a device that the task is not made for.
    """
    placed = {} if device is None or device.type == "cpu" else {"device": device}
    if takes_device(config.task):
        if "device" in config.task_options:
            raise ConfigError(
                f"device is not a task option; given device={config.task_options['device']}; to train on a GPU: "
                "hgrpo train ... --device cuda"
            )
    elif placed:
        raise ConfigError(f"{config.task} runs on the CPU only; given device {device}, allowed: cpu")
    try:
        simulator = robots.make(config.task, **config.task_options, **placed)
    except (ValueError, RuntimeError) as error:
        raise ConfigError(str(error)) from error
    if placed and isinstance(simulator, QuadrotorFlight) and simulator.physics is not None:
        simulator.close()
        raise ConfigError(
            f"physics={simulator.options.physics} runs on the CPU only; given device {device}; "
            f"allowed: cpu, or physics={BUILT_IN}"
        )
    return simulator


def training_simulator(config: Config) -> Simulator:
    """The simulator that a run is trained on, on its device.

    It shows what is hidden if the critic is privileged.

    Raises ConfigError as `make_simulator`, where nothing is hidden that a privileged critic could see, and where an
    algorithm branches or splits noise in a task that does not allow that; DeviceError for a device that is not there.
    """
    simulator = make_simulator(config, find_device(config.device))
    with closed_on_error(simulator):
        _require_fit(config, simulator.spec)
        try:
            return Privileged(simulator) if config.network.privileged_critic else simulator
        except ValueError as error:
            raise ConfigError(str(error)) from error


def _require_fit(config: Config, spec: SimulatorSpec) -> None:
    """Raise ConfigError where a task cannot branch or restore states, or has no noise to split."""
    if config.algorithm.num_samples > 1 and spec.branching_obstacle:
        raise ConfigError(
            f"{config.algorithm_name} branches {config.algorithm.num_samples} samples from every state, but "
            f"{spec.branching_obstacle}; allowed: ppo, which does not branch"
        )
    if config.roots != EXECUTED and spec.branching_obstacle:
        raise ConfigError(
            f"roots {config.roots} starts episodes from saved states, but {spec.branching_obstacle}; allowed: "
            f"roots {EXECUTED}"
        )
    if config.algorithm.uses_slopes and not spec.differentiable:
        raise ConfigError(
            f"pathwise {config.algorithm.pathwise} needs a differentiable simulator, and {config.task} is none; "
            f"allowed: pathwise off, or one of {', '.join(QUADROTOR_TASKS)} with physics={BUILT_IN}"
        )
    # Not a matter of the config alone: presets of tasks without slopes transform rewards, and the task comes first.
    if config.algorithm.uses_slopes and config.algorithm.reward_transform != "identity":
        raise ConfigError(
            f"with pathwise {config.algorithm.pathwise} reward_transform must be identity; given "
            f"{config.algorithm.reward_transform}; or pathwise off"
        )
    if config.algorithm.sibling_noise == "split" and not spec.noise:
        raise ConfigError(
            f"sibling_noise split does nothing in {config.task}, whose steps have no noise; allowed: shared, or a task "
            "with noise, such as a quadrotor's with --task-options gust=1"
        )


def policy_spec(spec: SimulatorSpec, network: Network, critic: bool) -> PolicySpec:
    """Interface of a policy for a simulator.

    Args:
        spec: Of the simulator.
        network: Shape of the networks. What only a privileged critic sees is no part of the policy's observation.
        critic: Whether there is one.
    """
    privileged = spec.privileged if network.privileged_critic else ()
    hidden = {entry.name for entry in privileged}
    return PolicySpec(
        task=spec.name,
        robot=spec.robot,
        control_hz=spec.control_hz,
        observation=_entries(tuple(q for q in spec.observation if q.name not in hidden)),
        action=_entries(spec.action),
        action_low=spec.action_low,
        action_high=spec.action_high,
        safe_action=spec.neutral_action,
        hidden_sizes=network.hidden_sizes,
        activation=network.activation,
        min_sigma=network.min_sigma,
        critic=critic,
        privileged=_entries(privileged),
        memory=network.memory,
        memory_size=0 if network.memory == "none" else network.memory_size,
    )


def _entries(channels: tuple[robots.simulator.Channel, ...]) -> tuple[Channel, ...]:
    return tuple(Channel(q.name, q.unit, q.frame) for q in channels)
