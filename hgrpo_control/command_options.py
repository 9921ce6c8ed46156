"""What each command of `hgrpo` but `train` takes; importable without torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from hgrpo_control.diagnose_settings import DiagnoseSettings
from hgrpo_control.task_options import TASK_OPTIONS


@dataclass(frozen=True)
class EvaluateOptions:
    """Fly a trained policy without exploration in fresh episodes; writes evaluation.json into its folder."""

    folder: tyro.conf.Positional[Path]
    """Run folder."""
    episodes: int = 100
    """Episodes flown side by side."""
    seed: int = 0
    """Seed of the episodes; training never sees it."""
    video: bool = False
    """Also write video.mp4 and episodes.png of the first few episodes."""
    video_episodes: int = 4
    """How many."""
    task_options: Annotated[dict[str, str], TASK_OPTIONS] = field(default_factory=dict)
    """Options of the task that differ from those it was trained with."""


@dataclass(frozen=True)
class TransferOptions:
    """Fly an exported policy of a quadrotor task in another physics and at home, from the same starts.

    Writes policy.onnx, transfer-NAME.json and transfer-NAME.png into its folder.
    """

    folder: tyro.conf.Positional[Path]
    """Run folder."""
    to: str
    """Where: mujoco or gym-pybullet-drones; docs/sim2sim.md says what flies there."""
    episodes: int = 100
    """Episodes flown in each place, side by side."""
    seed: int = 0
    """Seed of the starts; training never sees it."""
    video: bool = False
    """Also write transfer-NAME.mp4, the first few flights there."""


@dataclass(frozen=True)
class ExportOptions:
    """Write a trained policy in a form that runs without the training side of this package."""

    folder: tyro.conf.Positional[Path]
    """Run folder."""
    onnx: Path | None = None
    """Where to write ONNX: policy.onnx in the run folder without a path, and where no other file is asked for."""
    batch_1: bool = False
    """Also write ONNX whose batch is fixed to 1, into NAME.batch1.onnx beside it."""
    float16: bool = False
    """Also write ONNX whose network computes in float16, into NAME.float16.onnx, and fly it."""
    int8: bool = False
    """Also write ONNX whose network is quantised to int8, into NAME.int8.onnx, and fly it."""
    episodes: int = 100
    """Episodes flown with the policy and with each variant."""
    c: Path | None = None
    """Write C99 into NAME.c and NAME.h; the last part of it begins the names of the functions."""
    tanh: Literal["libm", "approximate"] = "libm"
    """In C: tanhf of libm, or an own approximation that needs no libm."""
    crazyflie: Path | None = None
    """Write an out-of-tree controller app of the Crazyflie's firmware into a new folder."""

    @property
    def wants_variants(self) -> bool:
        """Whether any variant of the ONNX file is asked for."""
        return self.batch_1 or self.float16 or self.int8


@dataclass(frozen=True)
class InspectOptions:
    """Tables of what an exported ONNX file takes, gives, and was measured at."""

    file: tyro.conf.Positional[Path]
    """The file."""


@dataclass(frozen=True)
class CompareOptions:
    """Learning curves and a table of several runs, as PNG and Markdown."""

    folders: tyro.conf.Positional[tuple[Path, ...]]
    """Run folders."""
    out: Path = Path("comparison")
    """Folder to write into."""


@dataclass(frozen=True)
class DiagnoseOptions:
    """Variance and bias of every estimator's policy gradient at a checkpoint, as a table and a plot in its folder."""

    folder: tyro.conf.Positional[Path]
    """Run folder."""
    settings: DiagnoseSettings = field(default_factory=DiagnoseSettings)


@dataclass(frozen=True)
class CheckOptions:
    """Branch and replay an environment; says what differs, and exits with 1 unless nothing does."""

    environment: tyro.conf.Positional[str]
    """Task, gymnasium/ID, MODULE:ID or MODULE:FACTORY."""
    states: int = 100
    """States branched from."""
    steps: int = 5
    """Steps of a branch."""
    seed: int = 0
    """Seed of the random actions."""
    task_options: Annotated[dict[str, str], TASK_OPTIONS] = field(default_factory=dict)
    """Options of the environment."""
