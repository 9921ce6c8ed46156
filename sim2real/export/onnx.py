"""Export of a policy as one ONNX file that contains everything needed to fly it."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnx import helper

from hgrpo_errors import HgrpoError, unknown
from hgrpo_files import writing
from policies.actor_critic import ActorCritic
from policies.spec import PolicySpec
from sim2real.export.exportable import (
    FEWEST_CHECKS,
    GOLDEN_ROWS,
    GOLDEN_STEPS,
    SINGLE_MAX,
    ExportError,
    actions_of,
    check_inputs,
    checkpoint_hash,
    golden_part,
    memories_of,
    refuse_non_finite,
    refuse_overflow,
)
from sim2real.export.onnx_graph import describe, graph
from sim2real.export.own_files import replacing, require_replaceable
from sim2real.export.rounding import golden_tolerance, tolerance
from sim2real.policy import metadata
from sim2real.policy.metadata import GoldenPairs, disagreement
from sim2real.policy.onnx_policy import (
    INPUT_NAME,
    MEMORY_NAME,
    SESSION_ERRORS,
    OnnxPolicy,
    OnnxPolicyError,
    first_line,
    open_session,
)
from sim2real.policy.trained_on import KEY as TRAINED_ON
from sim2real.policy.trained_on import TrainedOn

# Opset 17 with IR version 8 is that of ONNX 1.12 (2022): runtimes of that year and later read it. The operators used
# here have not changed for float32 since opset 14, so a later opset would only exclude runtimes.
OPSET = 17
IR_VERSION = 8

ALLOWED = {"float32": metadata.TOLERANCE, "float16": 0.02, "int8": 0.5}
"""Largest allowed difference from the policy, as a share of an action's range, by precision.

It only detects broken exports; the quality of a variant is measured in closed loop.
"""

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
    """Write the deterministic policy as ONNX, once onnxruntime reproduces its actions.

    The graph maps `observation` float32 [batch, O] in the environment's units to `action` float32 [batch, A] within the
    bounds. The check compares actions in one batch and row by row, on 0, +-1e3, +-1e6 and on `checks` observations
    drawn around the normaliser's mean. The tolerance is 1e-5 of the range in float32, and ALLOWED in other precisions.

    With memory the graph also maps `memory` float32 [batch, M] to `next_memory`; zeros begin an episode. The check then
    runs eight sequences of `checks` steps. A variant in another precision gets the policy's history in each step.

    Args:
        policy: The policy.
        path: The file.
        checks: Number of drawn check observations.
        precision: float32, float16 or int8: the precision of the actor.
        batch: None for any number of rows, 1 for a fixed one.
        calibration: Observations (N, O) on which int8 is calibrated and checked in place of the drawn ones; (T, B, O)
            over the steps of sequences for a policy with memory.
        trained: Task options and airframe of the training; None leaves them out of the file.

    Returns:
        The largest |action difference|, in units of the action.

    Raises ExportError if the check fails, a parameter is not finite, a layer could overflow, or `path` is a file that
    no export wrote; `path` is then unchanged.
    """
    _refuse_arguments(checks, precision, batch)
    path = Path(path)
    require_replaceable(path, is_own_model)
    policy = deepcopy(policy).cpu()
    refuse_non_finite(policy)
    refuse_overflow(policy, _HALF_MAX if precision == "float16" else SINGLE_MAX)
    observation = check_inputs(policy, checks)
    if precision == "int8" and calibration is not None:
        observation = calibration
    if len(observation) <= max(GOLDEN_ROWS) and not policy.spec.memory_width:
        raise HgrpoError(f"calibration has {len(observation)} observations; allowed: at least {max(GOLDEN_ROWS) + 1}")
    expected = actions_of(policy, observation)
    model = _model(policy, precision, batch, observation)
    allowed = np.maximum(ALLOWED[precision], tolerance(policy, observation))
    # what a history holds was commanded in a flight, so a variant is not given its own actions there
    in_flight = precision != "float32" and policy.spec.memory == "history"
    memories = memories_of(policy, observation) if in_flight else None
    result, difference = _verify(model, policy.spec, allowed, batch, observation, expected, memories)
    if in_flight:
        result = _run(open_session(model.SerializeToString()), policy.spec, observation[:GOLDEN_STEPS])
    golden_action = golden_part(expected if precision == "float32" else result)
    golden = GoldenPairs(golden_part(observation).astype(np.float32), golden_action.astype(np.float64))
    rounding = golden_tolerance(policy, golden.observation)
    texts = metadata.write(policy.spec, precision, checkpoint_hash(policy), model.producer_version, golden, rounding)
    texts |= {} if trained is None else {TRAINED_ON: trained.to_json()}
    helper.set_model_props(model, texts)
    _write(path, model)
    return difference


def record(path: Path, measured: dict[str, Any]) -> None:
    """Store measurements in an exported file, in place of earlier ones.

    Its actions do not change.

    Args:
        path: The exported file.
        measured: Values for JSON, by name.

    Raises OnnxPolicyError for another file.
    """
    texts = OnnxPolicy(path).metadata | {metadata.MEASURED: json.dumps(measured, allow_nan=False)}
    model = onnx.load(path)
    helper.set_model_props(model, texts)
    _write(path, model)


def _refuse_arguments(checks: int, precision: str, batch: int | None) -> None:
    if checks < FEWEST_CHECKS:
        raise HgrpoError(f"checks is {checks}; allowed: at least {FEWEST_CHECKS}")
    if precision not in ALLOWED:
        raise HgrpoError(unknown("precision", precision, tuple(ALLOWED)))
    if batch not in (None, 1):
        raise HgrpoError(f"batch is {batch}; allowed: None (any) and 1")


def _model(policy: ActorCritic, precision: str, batch: int | None, calibration: NDArray[np.float32]) -> onnx.ModelProto:
    """The model in a precision, with its description, without metadata."""
    opset = helper.make_opsetid("", OPSET)
    content = graph(policy, precision == "float16", batch)
    model = helper.make_model(content, opset_imports=[opset], ir_version=IR_VERSION)
    if precision == "int8":
        from sim2real.export.quantization import inputs_of, quantized

        model = quantized(model, inputs_of(policy, calibration))
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
    memories: NDArray[np.float32] | None,
) -> tuple[NDArray[np.float32], float]:
    """Actions of the model, row by row, and their largest |difference| from the expected ones.

    Raises ExportError for a difference above the allowed share of the range.
    """
    content = model.SerializeToString()
    try:
        onnx.checker.check_model(content, full_check=True)
        session = open_session(content)
        axis = observation.ndim - 2  # of the rows, behind the steps of sequences
        count = observation.shape[axis]
        each = [None] * count if memories is None else np.split(memories, count, axis)
        rows = [_run(session, spec, *row) for row in zip(np.split(observation, count, axis), each, strict=True)]
        results = [np.concatenate(rows, axis)]
        if batch is None:
            results.append(_run(session, spec, observation, memories))
    except _INVALID_FILE_ERRORS as error:
        raise ExportError(f"the exported file is not valid: {first_line(error)}") from error
    for result in results:
        if problem := disagreement(spec, result, expected, allowed):
            raise ExportError(f"onnxruntime does not reproduce the policy: {problem}")
    return results[0], float(max(np.abs(result - expected).max() for result in results))


def _run(
    session: onnxruntime.InferenceSession,
    spec: PolicySpec,
    observation: NDArray[np.float32],
    memories: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Actions (B, A) of observations (B, O); (T, B, A) of (T, B, O) for a policy with memory.

    The memory is carried from step to step, unless `memories` (T, B, M) has that of each step.
    """
    if not spec.memory_width:
        action: NDArray[np.float32] = session.run(None, {INPUT_NAME: observation})[0]
        return action
    memory, actions = np.zeros((observation.shape[1], spec.memory_width), np.float32), []
    for step, rows in enumerate(observation):
        given = memory if memories is None else memories[step]
        action, memory = session.run(None, {INPUT_NAME: rows, MEMORY_NAME: given})
        actions.append(action)
    return np.stack(actions)


def _write(path: Path, model: onnx.ModelProto) -> None:
    """Put the model at `path` once it has been read back and run."""
    with replacing(path, is_own_model) as temporary:
        with writing(path):
            temporary.write_bytes(model.SerializeToString())
        try:
            OnnxPolicy(temporary)
        except OnnxPolicyError as error:
            raise ExportError(f"the exported file is not valid: {first_line(error)}") from error


def is_own_model(content: bytes) -> bool:
    """Whether a file is an ONNX model with this package as its producer_name."""
    try:
        producer: str = onnx.load_model_from_string(content).producer_name
    except DecodeError:
        return False
    return producer == metadata.DISTRIBUTION
