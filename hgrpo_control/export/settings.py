"""Which files an export writes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from hgrpo_control.config.argument import IMPORTS, RUN_FOLDER
from hgrpo_control.config.judged import JudgedSettings
from hgrpo_fields import Range


@dataclass(frozen=True)
class ExportOptions(JudgedSettings):
    """Write a trained policy in a form that runs without the training side of this package.

    Replaces files that an export wrote, and no others.
    """

    folder: Annotated[Path, RUN_FOLDER]
    """Run folder."""
    onnx: Path | None = None
    """Write ONNX into this file; policy.onnx in the run folder if no other file is named either."""
    batch_1: bool = False
    """Also write ONNX whose batch is fixed to 1, into NAME.batch1.onnx beside it."""
    float16: bool = False
    """Also write ONNX whose network computes in float16, into NAME.float16.onnx, and fly it."""
    int8: bool = False
    """Also write ONNX whose network is quantised to int8, into NAME.int8.onnx, and fly it."""
    episodes: Annotated[int, Range(least=1)] = 100
    """Episodes flown with the policy and with each variant, at the difficulty and for the rewards chosen."""
    c: Path | None = None
    """Write C99 into NAME.c and NAME.h; the last part of it begins the names of the functions."""
    tanh: Literal["libm", "approximate"] = "libm"
    """In C: tanhf of libm, or an own approximation that needs no libm."""
    crazyflie: Path | None = None
    """Write an out-of-tree controller app of the Crazyflie's firmware into a folder: a new one or an app of ours."""
    imports: IMPORTS = ()
    """Module of yours to import first, such as the one that registers its task; a run's are named again here."""

    @property
    def wants_variants(self) -> bool:
        """Whether any variant of the ONNX file is asked for."""
        return self.batch_1 or self.float16 or self.int8
