"""Which modules a run imports, and what names them again on a command line."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from hgrpo_control.config.run import Config
from hgrpo_imports import import_options
from robots.registry import module_of, registered_by

TRUST = "--trust-snapshots"
"""What says that the pickles in a run's checkpoint may be read."""


def modules_of(config: Config, learning: bool = True) -> dict[str, str]:
    """Modules that a run imports, and what of its config says so; `learning` counts the reward transform in."""
    named = {name: import_options((name,)) for name in config.imports}
    task = module_of(config.task)
    if task:
        named.setdefault(task, f"task {config.task!r}")
    transform, colon, _ = config.algorithm.reward_transform.partition(":")
    if learning and colon:
        named.setdefault(transform, f"reward_transform {config.algorithm.reward_transform!r}")
    return named


def with_registrar(config: Config) -> Config:
    """The config with the module that registered its task among the imports, where none is named.

    A run that is trained from Python then says from the command line which module it needs.
    """
    module = registered_by(config.task)
    return config if config.imports or not module else dataclasses.replace(config, imports=(module,))


def resume_command(folder: Path, config: Config) -> str:
    """What goes on with a run from the command line, its modules included."""
    return f"hgrpo resume {folder} {import_options(tuple(modules_of(config)))}".rstrip()
