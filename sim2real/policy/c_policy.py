"""An exported C policy, compiled for this machine.

Needs a C compiler and numpy, not torch.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hgrpo_errors import HgrpoError
from policies.spec import PolicySpec
from sim2real.policy.memory import KeptMemory

WARNINGS = ("-Wall", "-Wextra", "-Wpedantic", "-Werror")
_FLOATS = ctypes.POINTER(ctypes.c_float)


class CompilerError(HgrpoError):
    """Raised where the C compiler is missing or fails; the message contains its first error."""


def compile_library(source: Path, library: Path, compiler: str = "cc", flags: Sequence[str] = ("-O2",)) -> None:
    """Compile an exported source into a shared library; every warning is an error.

    Args:
        source: The C file.
        library: The shared library to write.
        compiler: Name of the compiler.
        flags: Flags of the compilation. The linker does not get them: a library linked with -ffast-math disables
            denormal numbers in the whole process that loads it.

    Raises CompilerError.
    """
    compiled = library.with_suffix(".o")
    try:
        run_compiler(compiler, ("-std=c99", *WARNINGS, *flags, "-fPIC", "-c", str(source), "-o", str(compiled)))
        run_compiler(compiler, ("-shared", str(compiled), "-o", str(library), "-lm"))
    finally:
        compiled.unlink(missing_ok=True)


def run_compiler(compiler: str, args: Sequence[str]) -> None:
    """Run a compiler; raises CompilerError if it is missing or fails."""
    if shutil.which(compiler) is None:
        raise CompilerError(f"compiler {compiler} not found")
    result = subprocess.run([compiler, *args], capture_output=True, text=True, check=False)
    if result.returncode:
        errors = [line for line in result.stderr.splitlines() if "error" in line] or result.stderr.splitlines()
        raise CompilerError(f"{compiler} cannot compile the source: {errors[0] if errors else result.returncode}")


class CPolicy(KeptMemory):
    """Deterministic action of a compiled policy, for one observation or a batch.

    A policy with memory carries it from call to call, as an OnnxPolicy does.

    Args:
        library: Shared library that `compile_library` made of NAME.c.
        name: NAME.
        spec: Interface of the exported policy.

    Raises CompilerError for a file that is no such library, if its self-test fails, and if its safe action is not that
    of the spec.
    """

    def __init__(self, library: Path, name: str, spec: PolicySpec) -> None:
        self.spec = spec
        try:
            loaded = _load_copy(library)
            self._act, self._self_test = loaded[f"{name}_act"], loaded[f"{name}_self_test"]
            if spec.memory_width:
                self._reset = loaded[f"{name}_reset"]
            safe_action = (ctypes.c_float * spec.action_size).in_dll(loaded, f"{name}_safe_action")
        except (OSError, AttributeError, ValueError) as error:
            raise CompilerError(f"{library} contains no policy {name!r}: {error}") from error
        if not np.array_equal(np.array(safe_action), np.array(spec.safe_action, np.float32)):
            raise CompilerError(f"{library} has the safe action {list(safe_action)}; expected {spec.safe_action}")
        self._act.argtypes = (_FLOATS, _FLOATS)
        if spec.memory_width:
            self._act.argtypes = (_FLOATS, _FLOATS, _FLOATS)
        if failed := self.self_test():
            raise CompilerError(f"{library} fails check {failed} of its self-test")

    def self_test(self) -> int:
        """0 if all golden pairs are reproduced and values that are not finite are refused."""
        return int(self._self_test())

    def __call__(self, observation: ArrayLike) -> NDArray[np.float32]:
        """Action (A,) or (B, A), float32, of an observation (O,) or (B, O).

        Raises HgrpoError for another shape, for a row that is not finite in single precision, and for another number of
        rows without a `reset` where the policy has memory.
        """
        given = np.ascontiguousarray(observation, dtype=np.float32)
        size = self.spec.observation_size
        if given.ndim not in (1, 2) or given.shape[-1] != size:
            raise HgrpoError(f"observation has shape {given.shape}; expected ({size},) or (B, {size})")
        rows = np.atleast_2d(given)
        action = np.empty((len(rows), self.spec.action_size), np.float32)
        memory = self._next_memory(len(rows))
        for index, row in enumerate(rows):
            pointers = [each.ctypes.data_as(_FLOATS) for each in (row, *memory[index : index + 1], action[index])]
            if self._act(*pointers):
                raise HgrpoError(f"row {index} of the observation is not finite: {row.tolist()}")
        self._memory = memory if self.spec.memory_width else None
        return action if given.ndim == 2 else action[0]

    def _next_memory(self, rows: int) -> NDArray[np.float32]:
        """Memory (rows, M) to change; (0, 0) without memory. The present one stays as it is if a row is refused."""
        width = self.spec.memory_width
        if not width:
            return np.empty((0, 0), np.float32)
        kept = self._memory_of(rows)
        if kept is None:
            memory = np.full((rows, width), np.nan, np.float32)
            for row in memory:
                self._reset(row.ctypes.data_as(_FLOATS))
            return memory
        return kept.copy()


def _load_copy(library: Path) -> ctypes.CDLL:
    """Load a library from a new path.

    The loader returns the former library for a path that it has seen.
    """
    with TemporaryDirectory() as folder:
        return ctypes.CDLL(shutil.copy(library, folder))
