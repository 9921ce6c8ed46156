"""An exported policy at run time; needs numpy and onnxruntime only."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import ArrayLike, NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as ort

from hgrpo_errors import HgrpoError, nearest
from policies.spec import PolicySpec
from sim2real.policy import trained_on
from sim2real.policy.memory import KeptMemory
from sim2real.policy.metadata import (
    GoldenPairs,
    disagreement,
    read_golden_pairs,
    read_spec,
)
from sim2real.policy.real_numbers import as_array, to_single
from sim2real.policy.trained_on import TrainedOn

INPUT_NAME = "observation"
OUTPUT_NAME = "action"
MEMORY_NAME = "memory"
NEXT_MEMORY_NAME = "next_memory"
_NOWHERE = os.devnull  # folder for weights in other files; nothing can lie below it, so none are read

SESSION_ERRORS: tuple[type[Exception], ...] = (
    ort.Fail,
    ort.InvalidArgument,
    ort.InvalidGraph,
    ort.InvalidProtobuf,
    ort.NoModel,
    ort.NotImplemented,
    ort.RuntimeException,
)
_OUTPUTS = [OUTPUT_NAME]
_OUTPUTS_WITH_MEMORY = [OUTPUT_NAME, NEXT_MEMORY_NAME]
_RUN_ERRORS: tuple[type[Exception], ...] = (ValueError, TypeError, *SESSION_ERRORS)


class OnnxPolicyError(HgrpoError):
    """Raised for a file that is missing, damaged or not an exported policy."""


class OnnxPolicy(KeptMemory):
    """Deterministic action of an exported policy, for one observation or a batch.

    The file normalises the observation, and scales and clips the action. A file with a fixed batch of 1 is run row by
    row. Copies, pickled ones too, keep the content of the file and load it again.

    A policy with memory carries it from call to call, so one object flies one episode, or the same B episodes, at a
    time, and in one thread. Call `reset` before a new episode. A copy begins without memory.

    Args:
        path: The ONNX file.
        threads: Number of onnxruntime's intra-op threads.
        model: Content of the file, if it was read already.

    Raises OnnxPolicyError for another file, and if a golden pair in the file is not reproduced within its tolerance,
    1e-5 of the action's range in single precision.
    """

    spec: PolicySpec
    """Interface of the policy."""
    metadata: dict[str, str]
    """Texts in the file, by key."""
    trained_on: TrainedOn | None
    """Task options and airframe of the training; None for a file that does not contain them."""
    takes_one_row: bool
    """Whether the batch of the file is fixed to 1."""

    def __init__(self, path: str | Path, threads: int = 1, model: bytes | None = None) -> None:
        self._open(read_model(Path(path)) if model is None else model, threads, str(path))

    def __getstate__(self) -> tuple[bytes, int, str]:
        return self._source

    def __setstate__(self, opened: tuple[bytes, int, str]) -> None:
        self._open(*opened)

    def _open(self, model: bytes, threads: int, path: str) -> None:
        """Load the content of a file; `path` is for error messages."""
        self._source = (model, threads, path)
        try:
            self._session = open_session(model, threads)
        except SESSION_ERRORS as error:
            raise OnnxPolicyError(f"{path} is damaged or not an ONNX model: {first_line(error)}") from error
        self.metadata = dict(self._session.get_modelmeta().custom_metadata_map)
        try:
            self.spec = read_spec(self.metadata)
            self.trained_on = trained_on.from_json(self.metadata.get(trained_on.KEY))
            self._size, self._width = self.spec.observation_size, self.spec.memory_width
            self.takes_one_row = _has_fixed_batch(self._session, self.spec)
            golden, tolerance = read_golden_pairs(self.metadata, self.spec)
        except ValueError as error:
            raise OnnxPolicyError(f"{path} {first_line(error)}") from error
        self._check_golden_pairs(golden, tolerance, path)

    def __call__(self, observation: ArrayLike) -> NDArray[np.float32]:
        """Action (A,) or (B, A), float32, of an observation (O,) or (B, O).

        A policy with memory takes B observations of the same B episodes as before.

        Raises HgrpoError for another shape, for entries that are no real numbers or not finite in single precision, and
        for another number of episodes without a `reset`.
        """
        given = as_array(observation, f"({self._size},) or (B, {self._size})")
        array = to_single(given)
        if array.ndim not in (1, 2) or array.shape[-1] != self._size:
            raise HgrpoError(f"observation has shape {given.shape}; expected ({self._size},) or (B, {self._size})")
        if np.count_nonzero(np.isfinite(array)) != array.size:
            self._refuse_non_finite(given, array)
        act = self._carry if self._width else self.run
        if array.ndim == 2:
            return act(array)
        return act(array.reshape(1, -1)).reshape(-1)

    predict = __call__
    """The same, under the name that a torch policy has for it."""

    def _carry(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        memory = self._memory_of(len(batch))
        action, self._memory = self.step(batch, self.no_memory(len(batch)) if memory is None else memory)
        return action

    def no_memory(self, rows: int) -> NDArray[np.float32]:
        """Memory (rows, M) at the beginning of episodes."""
        return np.zeros((rows, self._width), np.float32)

    def step(
        self, batch: NDArray[np.float32], memory: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """One step of a policy with memory; nothing is kept.

        Args:
            batch: Observations (B, O), float32 and finite. They are not checked.
            memory: (B, M), from the step before or from `no_memory`.

        Returns:
            Actions (B, A) and the next memory (B, M).

        Raises HgrpoError for a memory of another shape or type, and for a policy without memory.
        """
        if not self._width or memory.shape != (len(batch), self._width) or memory.dtype != np.float32:
            self._refuse_memory(batch, memory)
        if self.takes_one_row and len(batch) != 1:
            rows = [self.step(*row) for row in zip(batch[:, None], memory[:, None], strict=True)]
            actions = [row[0] for row in rows] or [np.zeros((0, self.spec.action_size), np.float32)]
            return np.concatenate(actions), np.concatenate([row[1] for row in rows] or [memory])
        action, after = self._session.run(_OUTPUTS_WITH_MEMORY, {INPUT_NAME: batch, MEMORY_NAME: memory})
        return action, after

    def run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Actions (B, A) of observations (B, O) that are float32 and finite, of a policy without memory.

        They are not checked. Raises HgrpoError for a policy with memory.
        """
        if self._width:
            raise HgrpoError("this policy has memory; allowed: step(batch, memory), or a call, which carries it")
        if self.takes_one_row and len(batch) != 1:
            rows = [self.run(row) for row in np.split(batch, len(batch))] if len(batch) else []
            return np.concatenate(rows) if rows else np.zeros((0, self.spec.action_size), np.float32)
        actions: NDArray[np.float32] = self._session.run(_OUTPUTS, {INPUT_NAME: batch})[0]
        return actions

    def _refuse_memory(self, batch: NDArray[np.float32], memory: NDArray[np.generic]) -> None:
        if not self._width:
            raise HgrpoError("this policy has no memory; allowed: run(batch), or a call")
        raise HgrpoError(
            f"memory is {memory.dtype} of shape {memory.shape}; allowed: float32 of shape {(len(batch), self._width)}"
        )

    def _refuse_non_finite(self, given: NDArray[np.generic], array: NDArray[np.float32]) -> None:
        index = tuple(np.argwhere(~np.isfinite(array))[0])
        row = f" in row {index[0]}" if array.ndim == 2 else ""
        name = self.spec.observation[index[-1]].name
        raise HgrpoError(
            f"observation entry {name!r}{row} is {given[index]}; expected a finite single-precision number"
        )

    def _check_golden_pairs(self, golden: GoldenPairs, tolerance: float, path: str) -> None:
        try:
            together = self._golden(golden.observation)
            singly = np.concatenate([self._golden(row[None]) for row in golden.observation])
            problem = None
            for action in (together, singly):
                problem = problem or disagreement(self.spec, action, golden.action, tolerance)
        except _RUN_ERRORS as error:
            raise OnnxPolicyError(f"{path} does not run its golden pairs: {first_line(error)}") from error
        if problem:
            raise OnnxPolicyError(f"{path} does not reproduce its golden pairs: {problem}")

    def _golden(self, observation: NDArray[np.float32]) -> NDArray[np.float32]:
        """Actions of golden observations (K, O), or of the steps of golden sequences (K, T, O)."""
        if not self._width:
            return self(observation)
        try:
            return np.stack([self(rows) for rows in observation.swapaxes(0, 1)], axis=1)
        finally:
            self.reset()


def read_model(path: Path) -> bytes:
    """Content of a file; raises OnnxPolicyError if it cannot be read."""
    if path.is_dir():
        raise OnnxPolicyError(f"{path} is a folder; expected an ONNX file{_hint_for(path)}")
    try:
        return path.read_bytes()
    except OSError as error:
        raise OnnxPolicyError(f"cannot read {path}: {error.strerror or error}") from error


def _hint_for(folder: Path) -> str:
    """Hint about a folder: the ONNX file in it, or how to export one."""
    models = sorted(str(path) for path in folder.glob("*.onnx"))
    if models:
        return f"; {nearest(str(folder / 'policy.onnx'), models[:5])}"
    return f", which hgrpo export {folder} writes" if (folder / "checkpoint.pt").exists() else ""


def open_session(model: bytes, threads: int = 1) -> onnxruntime.InferenceSession:
    """CPU session of a serialised model; raises one of SESSION_ERRORS for an invalid model."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", _NOWHERE)
    options.log_severity_level = (
        4  # errors are raised; log lines would contain names of the model, which may not be printable
    )
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _has_fixed_batch(session: onnxruntime.InferenceSession, spec: PolicySpec) -> bool:
    """Whether the batch of a file is fixed to 1.

    Raises HgrpoError if its tensors are not those of the spec.
    """
    inputs, outputs = {INPUT_NAME: spec.observation_size}, {OUTPUT_NAME: spec.action_size}
    if spec.memory_width:
        inputs |= {MEMORY_NAME: spec.memory_width}
        outputs |= {NEXT_MEMORY_NAME: spec.memory_width}
    taken = _batch_of("input", session.get_inputs(), inputs)
    given = _batch_of("output", session.get_outputs(), outputs)
    if taken != given:
        raise HgrpoError(f"has batches of {taken} at the input and of {given} at the output")
    return taken == 1


def _batch_of(kind: str, ports: Sequence[onnxruntime.NodeArg], sizes: Mapping[str, int]) -> str | int:
    given = ", ".join(f"{port.name} {port.type} {port.shape}" for port in ports)
    expected = {
        batch: ", ".join(f"{name} tensor(float) {[batch, size]}" for name, size in sizes.items())
        for batch in ("batch", 1)
    }
    for batch, ports_of_spec in expected.items():
        if given == ports_of_spec:
            return batch
    raise HgrpoError(f"has the {kind} {given}; expected by its policy_spec: {expected['batch']}")


def first_line(error: Exception) -> str:
    """First line of the message of an error, or its type without a message."""
    text = str(error).strip().splitlines()
    return text[0] if text else type(error).__name__
