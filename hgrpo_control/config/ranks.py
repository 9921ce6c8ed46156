"""The share of one process in the settings of a run."""

from __future__ import annotations

import dataclasses

from hgrpo_control.config.run import Config, ConfigError


def share_of(config: Config, processes: int) -> Config:
    """Settings of one of the processes of a run: each has as many roots as the others.

    Raises ConfigError where the roots, or their rows and minibatches, cannot be divided.
    """
    if processes == 1:
        return config
    share, rest = divmod(config.num_envs, processes)
    if rest:
        near = [number * processes for number in (share, share + 1) if number]
        raise ConfigError(
            f"num_envs {config.num_envs} cannot be divided among {processes} processes; nearest: "
            f"{' or '.join(map(str, near))}"
        )
    try:
        return dataclasses.replace(config, num_envs=share)
    except ConfigError as error:
        raise ConfigError(f"with {processes} processes, each with {share} of the num_envs: {error}") from error
