"""An exported policy at run time, with numpy and onnxruntime only."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import ArrayLike, NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as ort

from policies.spec import PolicySpec

SCHEMA_VERSION = "1"
INPUT_NAME = "observation"
OUTPUT_NAME = "action"
METADATA_KEYS = (
    "schema_version",
    "policy_spec",
    "already_in_graph",
    "checkpoint_sha256",
    "producer_version",
    "golden_pairs",
)
TOLERANCE = 1e-5  # of an action's range, between this runtime and the policy that was exported

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


class OnnxPolicyError(ValueError):
    """Raised for a file that is missing, damaged or not an exported policy; one line says which, and where."""


class OnnxPolicy:
    """Deterministic action of an exported policy: observation (O,) or (B, O) in its units -> action (A,) or (B, A).

    Normalising, scaling and clipping to the bounds are in the file. `spec` is the policy's, `metadata` the texts in the
    file, `threads` onnxruntime's intra-op number. Loading runs the golden pairs stored with the policy and raises
    OnnxPolicyError unless each action is reproduced to 1e-5 of its range.
    """

    spec: PolicySpec
    metadata: dict[str, str]

    def __init__(self, path: str | Path, threads: int = 1) -> None:
        path = Path(path)
        try:
            self._session = open_session(path.read_bytes(), threads)
        except OSError as error:
            raise OnnxPolicyError(f"cannot read {path}: {error.strerror or error}") from error
        except SESSION_ERRORS as error:
            raise OnnxPolicyError(f"{path} is damaged or not an ONNX model: {first_line(error)}") from error
        self.metadata = dict(self._session.get_modelmeta().custom_metadata_map)
        self.spec = _read_spec(self.metadata, path)
        self._size = self.spec.observation_size
        _check_signature(self._session, self.spec, path)
        self._check_golden_pairs(path)

    def __call__(self, observation: ArrayLike) -> NDArray[np.float32]:
        """Action (A,) or (B, A), float32, of an observation (O,) or (B, O).

        Raises ValueError for another shape, for what is no real number, and for what is not finite in single precision.
        """
        try:
            given = np.asarray(observation)
        except ValueError as error:
            raise ValueError(
                f"observation is no array; expected ({self._size},) or (B, {self._size}): {error}"
            ) from error
        array = given if given.dtype == np.float32 else _to_single(given)
        if array.ndim not in (1, 2) or array.shape[-1] != self._size:
            raise ValueError(f"observation has shape {given.shape}; expected ({self._size},) or (B, {self._size})")
        if np.count_nonzero(np.isfinite(array)) != array.size:
            self._refuse_non_finite(given, array)
        if array.ndim == 2:
            return self._run(array)
        return self._run(array.reshape(1, -1)).reshape(-1)

    def _run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        action: NDArray[np.float32] = self._session.run(_OUTPUTS, {INPUT_NAME: batch})[0]
        return action

    def _refuse_non_finite(self, given: NDArray[np.generic], array: NDArray[np.float32]) -> None:
        index = tuple(np.argwhere(~np.isfinite(array))[0])
        row = f" in row {index[0]}" if array.ndim == 2 else ""
        name = self.spec.observation[index[-1]].name
        raise ValueError(
            f"observation entry {name!r}{row} is {given[index]}; expected a finite single-precision number"
        )

    def _check_golden_pairs(self, path: Path) -> None:
        try:
            pairs = json.loads(self.metadata["golden_pairs"])
            observation = np.array([pair["observation"] for pair in pairs], dtype=np.float32)
            expected = np.array([pair["action"] for pair in pairs], dtype=np.float64)
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise OnnxPolicyError(f"{path} has unreadable golden pairs: {first_line(error)}") from error
        shapes = (observation.shape, expected.shape)
        allowed = ((len(pairs), self.spec.observation_size), (len(pairs), self.spec.action_size))
        if not len(pairs) or shapes != allowed:
            raise OnnxPolicyError(
                f"{path} has golden pairs of shapes {shapes}; expected at least one pair and {allowed}"
            )
        try:
            problem = disagreement(self.spec, self(observation), expected)
        except _RUN_ERRORS as error:
            raise OnnxPolicyError(f"{path} does not run its golden pairs: {first_line(error)}") from error
        if problem:
            raise OnnxPolicyError(f"{path} does not reproduce its golden pairs: {problem}")


def open_session(model: bytes, threads: int = 1) -> onnxruntime.InferenceSession:
    """CPU session of a serialised model; raises onnxruntime's exceptions for what is no valid model."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def disagreement(spec: PolicySpec, action: NDArray[np.floating], expected: NDArray[np.floating]) -> str | None:
    """Where actions (B, A) are furthest, for their range, from the expected ones; None if all are within 1e-5 of it."""
    allowed = TOLERANCE * (np.array(spec.action_high) - np.array(spec.action_low))
    largest = np.abs(action.astype(np.float64) - expected).max(axis=0)
    if np.all(largest <= allowed):  # false for NaN
        return None
    worst = int(np.argmax(largest / allowed))  # the first NaN, where there is one
    return f"action {spec.action[worst].name!r} differs by {largest[worst]:.3g}, allowed {allowed[worst]:.3g}"


def _read_spec(metadata: dict[str, str], path: Path) -> PolicySpec:
    missing = [key for key in METADATA_KEYS if key not in metadata]
    if missing:
        raise OnnxPolicyError(f"{path} lacks the metadata {', '.join(missing)}; it was not written by export_onnx")
    version = metadata["schema_version"]
    if version != SCHEMA_VERSION:
        raise OnnxPolicyError(f"{path} has schema version {version!r}; this release reads {SCHEMA_VERSION!r}")
    try:
        return PolicySpec.from_json(metadata["policy_spec"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise OnnxPolicyError(f"{path} has an unreadable policy_spec: {first_line(error)}") from error


def _check_signature(session: onnxruntime.InferenceSession, spec: PolicySpec, path: Path) -> None:
    _check_port("input", session.get_inputs(), INPUT_NAME, spec.observation_size, path)
    _check_port("output", session.get_outputs(), OUTPUT_NAME, spec.action_size, path)


def _check_port(kind: str, ports: Sequence[onnxruntime.NodeArg], name: str, size: int, path: Path) -> None:
    given = ", ".join(f"{port.name} {port.type} {port.shape}" for port in ports)
    expected = f"{name} tensor(float) ['batch', {size}]"
    if given != expected:
        raise OnnxPolicyError(f"{path} has the {kind} {given}; its policy_spec asks for {expected}")


def _to_single(given: NDArray[np.generic]) -> NDArray[np.float32]:
    if given.dtype.kind not in "fiu":  # numpy would parse text and drop imaginary parts
        raise ValueError(f"observation has dtype {given.dtype}; expected real numbers, convertible to float32")
    with np.errstate(over="ignore"):  # what overflows is reported by name as a non-finite entry
        return given.astype(np.float32)


def first_line(error: Exception) -> str:
    """First line of an error's message, or its type where it has none."""
    text = str(error).strip().splitlines()
    return text[0] if text else type(error).__name__
