"""Whose implementation trains a variant: this project's, or another one that the suites compare it with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from benchmarks.suite.learners.stable_baselines3_settings import StableBaselines3Config, parse_options, read_settings
from hgrpo_control.commands.train_options import parse_train_options
from hgrpo_control.config.algorithms import ALGORITHMS
from hgrpo_control.runs.lock import LOCK_NAME
from hgrpo_control.runs.run_folder import RunFolder
from policies import checkpoint


class Settings(Protocol):
    """Everything that a run is made with; a frozen dataclass that has a field `seed`."""

    @property
    def seed(self) -> int:
        """What makes runs of one variant differ."""
        ...

    @property
    def num_iterations(self) -> int:
        """Rows of metrics.csv when training has ended."""
        ...

    def to_json(self) -> str:
        """Contents of config.json."""
        ...


@dataclass(frozen=True)
class Learner:
    """An implementation of algorithms, run as `python -m MODULE train|evaluate ...` in run folders of this project."""

    module: str
    algorithms: tuple[str, ...]
    parse: Callable[[str, str, Sequence[str]], Settings]
    """Settings of (algorithm, task, options); raises UsageError or ConfigError."""
    read: Callable[[RunFolder], Settings]
    """Settings that a run was made with; raises RunFolderError."""
    checkpoint: str
    """The file that holds a policy; training may be resumed as soon as it is there."""
    saved_iteration: Callable[[Path], int | None]
    """At which iteration a checkpoint was made; None where there is none but that of the end."""
    before_checkpoint: frozenset[str]
    """What a run may leave that was killed before its first checkpoint, beside files that are not whole."""
    packages: tuple[str, ...] = ()
    """Packages whose versions are recorded, beside torch and numpy."""


def _parse(algorithm: str, task: str, options: Sequence[str]) -> Settings:
    return parse_train_options([algorithm, task, *options]).config


def _saved_iteration(path: Path) -> int:
    _, training = checkpoint.restore(path)
    return int(training["iteration"])


LEARNERS: dict[str, Learner] = {
    "hgrpo": Learner(
        module="hgrpo_control.child",
        algorithms=tuple(ALGORITHMS),
        parse=_parse,
        read=RunFolder.read_config,
        checkpoint=checkpoint.CHECKPOINT_NAME,
        saved_iteration=_saved_iteration,
        before_checkpoint=frozenset({"config.json", "tensorboard", LOCK_NAME}),
    ),
    "stable-baselines3": Learner(
        module="benchmarks.suite.learners.stable_baselines3",
        algorithms=(StableBaselines3Config.algorithm,),
        parse=parse_options,
        read=read_settings,
        checkpoint=StableBaselines3Config.model_name,
        saved_iteration=lambda path: None,
        before_checkpoint=frozenset(
            {"config.json", "metrics.csv", LOCK_NAME, StableBaselines3Config.normalizer_name, "partial.zip"}
        ),
        packages=("stable-baselines3", "gymnasium", "mujoco"),
    ),
}
