"""Export of a policy as one ONNX file that needs no other knowledge to be flown."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnx import helper

from hgrpo_errors import HgrpoError
from hgrpo_files import writing
from policies.actor_critic import ActorCritic
from policies.spec import PolicySpec
from sim2real.export.exportable import (
    FEWEST_CHECKS,
    GOLDEN_ROWS,
    SINGLE_MAX,
    ExportError,
    actions_of,
    check_observations,
    checkpoint_hash,
    refuse_non_finite,
    refuse_overflow,
)
from sim2real.export.onnx_graph import describe, graph
from sim2real.export.own_files import replacing, require_replaceable
from sim2real.export.quantization import quantized
from sim2real.export.rounding import tolerance
from sim2real.policy import metadata
from sim2real.policy.metadata import GoldenPairs, disagreement
from sim2real.policy.onnx_policy import (
    INPUT_NAME,
    SESSION_ERRORS,
    OnnxPolicy,
    OnnxPolicyError,
    first_line,
    open_session,
)
from sim2real.policy.trained_on import KEY as TRAINED_ON
from sim2real.policy.trained_on import TrainedOn

# Opset 17 with IR version 8 is what ONNX 1.12 (2022) defined, so that runtimes of that year and all later ones read it.
# Every operator used here had its present meaning for float32 by opset 14: a later opset would only shut readers out.
OPSET = 17
IR_VERSION = 8

ALLOWED = {"float32": metadata.TOLERANCE, "float16": 0.02, "int8": 0.5}
"""Largest difference from the policy, as a share of an action's range, that an export of each precision may have. It
keeps out what is broken; what a variant is worth shows in closed loop."""

_HALF_MAX = float(np.finfo(np.float16).max)
_INVALID_FILE_ERRORS: tuple[type[Exception], ...] = (
    onnx.checker.ValidationError,
    onnx.shape_inference.InferenceError,
    OnnxPolicyError,
    *SESSION_ERRORS,
)


def export_onnx(
    policy: ActorCritic,
    path: Path,
    checks: int = 1000,
    precision: str = "float32",
    batch: int | None = None,
    calibration: NDArray[np.float32] | None = None,
    trained: TrainedOn | None = None,
) -> float:
    """Write the deterministic policy to `path` as ONNX; returns the largest |action difference| found, in action units.

    The graph maps `observation` float32 [batch, O] in the environment's units to `action` float32 [batch, A] within the
    bounds; `batch` None is any, 1 a fixed one. With `precision` float16 or int8 the actor computes in that. The file
    takes its place only once onnxruntime, in one batch and row by row, has given the policy's own actions to 1e-5 of
    their range (other precisions: ALLOWED) on `checks` observations drawn around the normaliser's mean, on 0, +-1e3 and
    +-1e6. With `calibration` (N, O) int8 is calibrated and checked on those observations instead, and knows no others.
    `trained` is what the policy was trained on, which the file then says; None leaves that out.
    Raises ExportError, and leaves `path` as it was, if that fails, a parameter is not finite or a layer could overflow,
    and where there is a file that no export wrote.
    """
    _refuse_arguments(checks, precision, batch)
    path = Path(path)
    require_replaceable(path, is_own_model)
    policy = deepcopy(policy).cpu()
    refuse_non_finite(policy)
    refuse_overflow(policy, _HALF_MAX if precision == "float16" else SINGLE_MAX)
    observation = check_observations(policy.normalizer, checks)
    if precision == "int8" and calibration is not None:
        observation = calibration
    if len(observation) <= max(GOLDEN_ROWS):
        raise HgrpoError(f"calibration has {len(observation)} observations; at least {max(GOLDEN_ROWS) + 1} are needed")
    expected = actions_of(policy, observation)
    model = _model(policy, precision, batch, observation)
    allowed = np.maximum(ALLOWED[precision], tolerance(policy, observation))
    result, difference = _verify(model, policy.spec, allowed, batch, observation, expected)
    rows = list(GOLDEN_ROWS)
    golden = GoldenPairs(observation[rows], (expected if precision == "float32" else result)[rows].astype(np.float64))
    rounding = float(tolerance(policy, golden.observation).max())
    texts = metadata.write(policy.spec, precision, checkpoint_hash(policy), model.producer_version, golden, rounding)
    texts |= {} if trained is None else {TRAINED_ON: trained.to_json()}
    helper.set_model_props(model, texts)
    _write(path, model)
    return difference


def record(path: Path, measured: dict[str, Any]) -> None:
    """Write down in an exported file what was measured about it, replacing what was there; ExportError if it is none.

    Names and values are JSON; the actions of the file stay as they are.
    """
    texts = OnnxPolicy(path).metadata | {metadata.MEASURED: json.dumps(measured, allow_nan=False)}
    model = onnx.load(path)
    helper.set_model_props(model, texts)
    _write(path, model)


def _refuse_arguments(checks: int, precision: str, batch: int | None) -> None:
    if checks < FEWEST_CHECKS:
        raise HgrpoError(f"checks is {checks}; at least {FEWEST_CHECKS} are needed")
    if precision not in ALLOWED:
        raise HgrpoError(f"unknown precision {precision!r}; allowed: {', '.join(ALLOWED)}")
    if batch not in (None, 1):
        raise HgrpoError(f"batch is {batch}; allowed: None, for any, and 1")


def _model(policy: ActorCritic, precision: str, batch: int | None, calibration: NDArray[np.float32]) -> onnx.ModelProto:
    """The graph in a precision, with its description and without metadata."""
    opset = helper.make_opsetid("", OPSET)
    content = graph(policy, precision == "float16", batch)
    model = helper.make_model(content, opset_imports=[opset], ir_version=IR_VERSION)
    if precision == "int8":
        model = quantized(model, calibration)
    model.producer_name, model.producer_version = metadata.DISTRIBUTION, metadata.producer_version()
    model.doc_string = describe(policy.spec)
    return model


def _verify(
    model: onnx.ModelProto,
    spec: PolicySpec,
    allowed: NDArray[np.float64],
    batch: int | None,
    observation: NDArray[np.float32],
    expected: NDArray[np.float32],
) -> tuple[NDArray[np.float32], float]:
    """Actions (B, A) of the model, row by row, and their largest |difference| from the expected ones; ExportError where
    that is too much."""
    content = model.SerializeToString()
    try:
        onnx.checker.check_model(content, full_check=True)
        session = open_session(content)
        rows = [session.run(None, {INPUT_NAME: row})[0] for row in np.split(observation, len(observation))]
        results = [np.concatenate(rows)]
        if batch is None:
            results.append(session.run(None, {INPUT_NAME: observation})[0])
    except _INVALID_FILE_ERRORS as error:
        raise ExportError(f"the exported file is not valid: {first_line(error)}") from error
    for result in results:
        if problem := disagreement(spec, result, expected, allowed):
            raise ExportError(f"onnxruntime does not reproduce the policy: {problem}")
    return results[0], float(max(np.abs(result - expected).max() for result in results))


def _write(path: Path, model: onnx.ModelProto) -> None:
    """Let the model take its place at `path` once it has been read back and run."""
    with replacing(path, is_own_model) as temporary:
        with writing(path):
            temporary.write_bytes(model.SerializeToString())
        try:
            OnnxPolicy(temporary)
        except OnnxPolicyError as error:
            raise ExportError(f"the exported file is not valid: {first_line(error)}") from error


def is_own_model(content: bytes) -> bool:
    """Whether a file's content is an ONNX model that this package made, by its producer_name."""
    try:
        producer: str = onnx.load_model_from_string(content).producer_name
    except DecodeError:
        return False
    return producer == metadata.DISTRIBUTION
