"""Export of a policy as C99: one header and one source, without allocation."""

from __future__ import annotations

import shutil
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hgrpo_errors import HgrpoError, unknown
from hgrpo_files import writing
from policies.actor_critic import ActorCritic
from policies.normalizer import CLIP
from sim2real.export.c_footprint import Footprint, footprints
from sim2real.export.c_source import header, source
from sim2real.export.c_text import require_identifier
from sim2real.export.exportable import (
    FEWEST_CHECKS,
    ExportError,
    actions_of,
    array,
    check_inputs,
    golden_part,
    refuse_non_finite,
    refuse_overflow,
)
from sim2real.export.own_files import replacing, require_replaceable
from sim2real.export.rounding import tolerance
from sim2real.policy.c_policy import CompilerError, CPolicy, compile_library
from sim2real.policy.metadata import GoldenPairs, disagreement
from sim2real.policy.trained_on import TrainedOn

TANH = ("libm", "approximate")
_FURTHEST = 1e18  # limit to which the generated code clips raw observations


class CExport(NamedTuple):
    """The files that were written."""

    source: Path
    header: Path
    difference: float | None
    """Largest |action difference| from the policy, in units of the action; None without a C compiler."""
    footprints: list[Footprint]
    """Memory on each target with a compiler."""


def export_c(
    policy: ActorCritic, path: Path, checks: int = 1000, tanh: str = "libm", trained: TrainedOn | None = None
) -> CExport:
    """Write the deterministic policy to PATH.c and PATH.h.

    If there is a C compiler, the source has to compile without a warning, pass its self-test, and give the policy's
    actions to 1e-5 of their range on the check observations, or over the check sequences for a policy with memory. Only
    then are the files put in place.

    Args:
        policy: The policy.
        path: PATH; its last part is the prefix of all names in the files.
        checks: Number of check observations drawn around the normaliser's mean.
        tanh: `libm` calls tanhf; `approximate` needs no libm and has an error of at most 3e-7.
        trained: Task options and airframe of the training, for the header.

    Raises ExportError if a check fails, and for an existing file that no export wrote; both paths are then unchanged.
    """
    path = Path(path)
    targets = c_files(path)
    if tanh not in TANH:
        raise ExportError(unknown("tanh", tanh, TANH))
    if checks < FEWEST_CHECKS:
        raise HgrpoError(f"checks is {checks}; allowed: at least {FEWEST_CHECKS}")
    policy = deepcopy(policy).cpu()
    refuse_non_finite(policy)
    refuse_overflow(policy)
    _refuse_wide_normalizer(policy)
    observation = check_inputs(policy, checks)
    action = actions_of(policy, observation)
    golden = GoldenPairs(golden_part(observation), golden_part(action).astype(np.float64))
    texts = {".h": header(policy, path.name, golden, trained), ".c": source(policy, path.name, golden, tanh)}
    with TemporaryDirectory() as folder:
        made = {ending: Path(folder) / f"{path.name}{ending}" for ending in texts}
        for ending, text in texts.items():
            with writing(made[ending]):
                made[ending].write_text(text, encoding="utf-8")
        difference = _verify(made[".c"], policy, observation, action) if shutil.which("cc") else None
        sizes = footprints(made[".c"], 4 * policy.spec.memory_width)
    with replacing(targets[".h"]) as new_header, replacing(targets[".c"]) as new_source:
        for ending, new in ((".h", new_header), (".c", new_source)):
            with writing(targets[ending]):
                new.write_text(texts[ending], encoding="utf-8")
    return CExport(targets[".c"], targets[".h"], difference, sizes)


def c_files(path: Path) -> dict[str, Path]:
    """PATH.c and PATH.h, by their endings; raises ExportError if they cannot be written."""
    require_identifier(path.name)
    if path.is_dir():
        raise ExportError(f"{path} is a folder; expected a name for the files too, such as {path / 'policy'}")
    targets = {ending: path.with_name(path.name + ending) for ending in (".c", ".h")}
    for target in targets.values():
        require_replaceable(target)
    return targets


def _refuse_wide_normalizer(policy: ActorCritic) -> None:
    """Raise ExportError if clipping raw observations to +-1e18 could change the normalised ones."""
    mean, scale = (array(tensor).astype(np.float64) for tensor in policy.normalizer.shift_and_scale())
    reach = np.abs(mean) + CLIP / scale
    if reach.max() > _FURTHEST:
        name = policy.spec.observation[int(np.argmax(reach))].name
        raise ExportError(f"observation entry {name!r} is clipped at {reach.max():.3g}; allowed in C: up to 1e18")


def _verify(path: Path, policy: ActorCritic, observation: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """Largest |difference| of the compiled source from the expected actions, (B, A) or (T, B, A)."""
    try:
        compile_library(path, path.with_suffix(".so"))
        compiled = CPolicy(path.with_suffix(".so"), path.stem, policy.spec)
        recalls = bool(policy.spec.memory_width)
        action = np.stack([compiled(rows) for rows in observation]) if recalls else compiled(observation)
    except CompilerError as error:
        raise ExportError(f"the exported source is not valid: {error}") from error
    if problem := disagreement(policy.spec, action, expected, tolerance(policy, observation)):
        raise ExportError(f"the compiled source does not reproduce the policy: {problem}")
    return float(np.abs(action - expected).max())
