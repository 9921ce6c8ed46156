"""Options of an export."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from hgrpo_control.config.argument import IMPORTS, RUN_FOLDER
from hgrpo_control.config.judged import JudgedSettings
from hgrpo_fields import Range


@dataclass(frozen=True)
class ExportOptions(JudgedSettings):
    """Write a trained policy as ONNX, as C, as an app for the Crazyflie, for PX4 or ROS 2.

    Replaces only files that an export wrote.
    """

    folder: Annotated[Path, RUN_FOLDER]
    """Run folder."""
    onnx: Path | None = None
    """Path of the ONNX file; without any other target, policy.onnx in the run folder."""
    batch_1: bool = False
    """Write an ONNX file with a fixed batch of 1 too, NAME.batch1.onnx."""
    float16: bool = False
    """Write an ONNX file that computes in float16 too, NAME.float16.onnx, and evaluate it."""
    int8: bool = False
    """Write an ONNX file that is quantised to int8 too, NAME.int8.onnx, and evaluate it."""
    episodes: Annotated[int, Range(least=1)] = 100
    """Number of episodes that evaluate the policy and each variant."""
    c: Path | None = None
    """Path without suffix of the C99 files NAME.c and NAME.h; NAME also begins the names of the functions."""
    tanh: Literal["libm", "approximate"] = "libm"
    """Function tanh in C: tanhf of libm, or an approximation without libm."""
    crazyflie: Path | None = None
    """Folder for a controller app of the Crazyflie firmware; a new folder or one of an earlier export."""
    imports: IMPORTS = ()
    """Module of yours to import first, such as the one that registers the task."""
    px4: Path | None = None
    """Path of the archive that PX4's module mc_raptor loads, policy.tar; for a policy of `--network raptor`."""

    ros2: Path | None = None
    """Folder for a ROS 2 package whose node flies the policy through MAVROS."""

    @property
    def wants_variants(self) -> bool:
        """Whether any variant of the ONNX file is asked for."""
        return self.batch_1 or self.float16 or self.int8
