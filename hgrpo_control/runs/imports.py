"""Modules that a run imports, and the command that continues it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from hgrpo_control.config.run import Config
from hgrpo_imports import import_options
from robots.registry import module_of, registered_by

TRUST = "--trust-snapshots"
"""Option that allows pickles in a run's checkpoint."""


def modules_of(config: Config, learning: bool = True) -> dict[str, str]:
    """Modules that a run imports, each with the setting that names it; `learning` includes the reward transform."""
    named = {name: import_options((name,)) for name in config.imports}
    task = module_of(config.task)
    if task:
        named.setdefault(task, f"task {config.task!r}")
    transform, colon, _ = config.algorithm.reward_transform.partition(":")
    if learning and colon:
        named.setdefault(transform, f"reward_transform {config.algorithm.reward_transform!r}")
    return named


def with_registrar(config: Config) -> Config:
    """The config, with the module that registered its task as import where it has none.

    Commands can then name the module that a run from Python needs.
    """
    module = registered_by(config.task)
    return config if config.imports or not module else dataclasses.replace(config, imports=(module,))


def resume_command(folder: Path, config: Config) -> str:
    """The command that continues a run, with its modules."""
    return f"hgrpo resume {folder} {import_options(tuple(modules_of(config)))}".rstrip()
