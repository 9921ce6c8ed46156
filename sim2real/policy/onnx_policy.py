"""An exported policy at run time; needs numpy and onnxruntime only."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import ArrayLike, NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as ort

from hgrpo_errors import HgrpoError, nearest
from policies.spec import PolicySpec
from sim2real.policy import trained_on
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
_RUN_ERRORS: tuple[type[Exception], ...] = (ValueError, TypeError, *SESSION_ERRORS)


class OnnxPolicyError(HgrpoError):
    """Raised for a file that is missing, damaged or not an exported policy."""


class OnnxPolicy:
    """Deterministic action of an exported policy, for one observation or a batch.

    The file normalises the observation, and scales and clips the action. A file with a fixed batch of 1 is run row by
    row. Copies, pickled ones too, keep the content of the file and load it again.

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
            self._size = self.spec.observation_size
            self.takes_one_row = _has_fixed_batch(self._session, self.spec)
            golden, tolerance = read_golden_pairs(self.metadata, self.spec)
        except ValueError as error:
            raise OnnxPolicyError(f"{path} {first_line(error)}") from error
        self._check_golden_pairs(golden, tolerance, path)

    def __call__(self, observation: ArrayLike) -> NDArray[np.float32]:
        """Action (A,) or (B, A), float32, of an observation (O,) or (B, O).

        Raises HgrpoError for another shape, and for entries that are no real numbers or not finite in single precision.
        """
        given = as_array(observation, f"({self._size},) or (B, {self._size})")
        array = to_single(given)
        if array.ndim not in (1, 2) or array.shape[-1] != self._size:
            raise HgrpoError(f"observation has shape {given.shape}; expected ({self._size},) or (B, {self._size})")
        if np.count_nonzero(np.isfinite(array)) != array.size:
            self._refuse_non_finite(given, array)
        if array.ndim == 2:
            return self.run(array)
        return self.run(array.reshape(1, -1)).reshape(-1)

    predict = __call__
    """The same, under the name that a torch policy has for it."""

    def run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Actions (B, A) of observations (B, O) that are float32 and finite.

        They are not checked.
        """
        if self.takes_one_row and len(batch) != 1:
            rows = [self.run(row) for row in np.split(batch, len(batch))] if len(batch) else []
            return np.concatenate(rows) if rows else np.zeros((0, self.spec.action_size), np.float32)
        actions: NDArray[np.float32] = self._session.run(_OUTPUTS, {INPUT_NAME: batch})[0]
        return actions

    def _refuse_non_finite(self, given: NDArray[np.generic], array: NDArray[np.float32]) -> None:
        index = tuple(np.argwhere(~np.isfinite(array))[0])
        row = f" in row {index[0]}" if array.ndim == 2 else ""
        name = self.spec.observation[index[-1]].name
        raise HgrpoError(
            f"observation entry {name!r}{row} is {given[index]}; expected a finite single-precision number"
        )

    def _check_golden_pairs(self, golden: GoldenPairs, tolerance: float, path: str) -> None:
        try:
            together = self(golden.observation)
            singly = np.stack([self(row) for row in golden.observation])
            problem = None
            for action in (together, singly):
                problem = problem or disagreement(self.spec, action, golden.action, tolerance)
        except _RUN_ERRORS as error:
            raise OnnxPolicyError(f"{path} does not run its golden pairs: {first_line(error)}") from error
        if problem:
            raise OnnxPolicyError(f"{path} does not reproduce its golden pairs: {problem}")


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
    taken = _batch_of("input", session.get_inputs(), INPUT_NAME, spec.observation_size)
    given = _batch_of("output", session.get_outputs(), OUTPUT_NAME, spec.action_size)
    if taken != given:
        raise HgrpoError(f"has batches of {taken} at the input and of {given} at the output")
    return taken == 1


def _batch_of(kind: str, ports: Sequence[onnxruntime.NodeArg], name: str, size: int) -> str | int:
    given = ", ".join(f"{port.name} {port.type} {port.shape}" for port in ports)
    for batch in ("batch", 1):
        if given == f"{name} tensor(float) {[batch, size]}":
            return batch
    raise HgrpoError(f"has the {kind} {given}; expected by its policy_spec: {name} tensor(float) ['batch', {size}]")


def first_line(error: Exception) -> str:
    """First line of the message of an error, or its type without a message."""
    text = str(error).strip().splitlines()
    return text[0] if text else type(error).__name__
