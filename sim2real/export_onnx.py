"""Export of a policy as one ONNX file that needs no other knowledge to be flown."""

from __future__ import annotations

import hashlib
import json
import os
from copy import deepcopy
from importlib import metadata
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from policies.actor_critic import ActorCritic
from policies.normalizer import CLIP, ObservationNormalizer
from policies.spec import Entry, PolicySpec
from sim2real.onnx_policy import (
    INPUT_NAME,
    OUTPUT_NAME,
    SCHEMA_VERSION,
    SESSION_ERRORS,
    OnnxPolicy,
    OnnxPolicyError,
    disagreement,
    first_line,
    open_session,
)

# Opset 17 with IR version 8 is what ONNX 1.12 (2022) defined, so that runtimes of that year and all later ones read it.
# Every operator used here had its present meaning for float32 by opset 14: a later opset would only shut readers out.
OPSET = 17
IR_VERSION = 8

_DISTRIBUTION = "hgrpo-control"
_EXTREMES = (0.0, 1e3, -1e3, 1e6, -1e6)
_GOLDEN_ROWS = (0, 1, 2, 5, 6, 7, 8, 9)  # of the check observations: three extremes and five drawn ones
_FEWEST_CHECKS = max(_GOLDEN_ROWS) + 1 - len(_EXTREMES)
_ALREADY_IN_GRAPH = ("observation normalising", "action scaling", "action clipping")
_INVALID_FILE_ERRORS: tuple[type[Exception], ...] = (
    onnx.checker.ValidationError,
    onnx.shape_inference.InferenceError,
    OnnxPolicyError,
    *SESSION_ERRORS,
)
_SINGLE_MAX = float(np.finfo(np.float32).max)


class ExportError(ValueError):
    """Raised for a policy that cannot be exported, or whose export does not act like it; one line says why."""


def export_onnx(policy: ActorCritic, path: Path, checks: int = 1000) -> float:
    """Write the deterministic policy to `path` as ONNX; returns the largest |action difference| found, in action units.

    The graph maps `observation` float32 [batch, O] in the environment's units to `action` float32 [batch, A] within the
    bounds. The file takes its place only once onnxruntime, in one batch and row by row, has given the policy's own
    actions to 1e-5 of their range on `checks` observations drawn around the normaliser's mean, on 0, +-1e3 and +-1e6.
    Raises ExportError, and leaves `path` as it was, if that fails, a parameter is not finite or a layer could overflow.
    """
    if checks < _FEWEST_CHECKS:
        raise ValueError(f"checks is {checks}; at least {_FEWEST_CHECKS} are needed")
    path = Path(path)
    if path.is_dir() or not path.parent.is_dir():
        raise ExportError(f"cannot write {path}: it {'is a folder' if path.is_dir() else 'lies in no existing folder'}")
    policy = deepcopy(policy).cpu()
    _refuse_non_finite(policy)
    _refuse_overflow(policy)
    observation = _check_observations(policy.normalizer, checks)
    with torch.no_grad():
        action = policy(torch.from_numpy(observation)).numpy()
    rows = list(_GOLDEN_ROWS)
    model = _model(policy, observation[rows], action[rows])
    temporary = path.with_name(path.name + ".partial")
    try:
        _write(temporary, model)
        difference = _verify(temporary, policy.spec, observation, action)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return difference


def checkpoint_hash(policy: ActorCritic) -> str:
    """SHA-256, in hexadecimal, of the state_dict: for each name, in sorted order, a header and the values.

    The header is "name dtype [shape]" and a newline; the values are row-major, little-endian, in their own precision.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(policy.state_dict().items()):
        values = tensor.detach().cpu().numpy()
        digest.update(f"{name} {values.dtype.name} {list(values.shape)}\n".encode())
        digest.update(values.astype(values.dtype.newbyteorder("<")).tobytes())
    return digest.hexdigest()


def _refuse_non_finite(policy: ActorCritic) -> None:
    """Raise ExportError unless parameters, statistics and the spec's numbers are finite, also in single precision."""
    shift, scale = policy.normalizer.shift_and_scale()
    action_range = policy.action_high - policy.action_low
    numbers = {
        **policy.state_dict(),
        "normalizer.mean in single precision": shift,
        "the reciprocal of normalizer.scale": scale.reciprocal(),
        "the action range": action_range,
        "the reciprocal of the action range": action_range.reciprocal(),
    }
    for name, tensor in numbers.items():
        if not bool(torch.isfinite(tensor).all()):
            raise ExportError(f"{name} holds a value that is not finite; only finite ones can be exported")


def _refuse_overflow(policy: ActorCritic) -> None:
    """Raise ExportError if a layer could overflow: |W x + b| <= |W| |x| + |b|, |x| <= 10 at first."""
    bound = np.full(policy.spec.observation_size, CLIP)
    for index, layer in enumerate(policy.actor):
        if isinstance(layer, nn.Linear):
            bound = np.abs(_array(layer.weight)).astype(np.float64) @ bound + np.abs(_array(layer.bias))
        else:
            bound = np.minimum(bound, 1.0) if isinstance(layer, nn.Tanh) else np.maximum(bound, 1.0)
        if bound.max() > _SINGLE_MAX:
            raise ExportError(
                f"layer actor.{index} can reach {bound.max():.3g}; single precision ends at {_SINGLE_MAX:.3g}"
            )


def _check_observations(normalizer: ObservationNormalizer, checks: int) -> NDArray[np.float32]:
    """(5 + checks, O): extremes, then draws around the normaliser's mean, every other one wide enough to be clipped."""
    shift, scale = (_array(tensor).astype(np.float64) for tensor in normalizer.shift_and_scale())
    drawn = np.random.default_rng(0).standard_normal((checks, shift.size))
    drawn[1::2] *= 0.5 * CLIP
    extremes = np.repeat(np.array(_EXTREMES)[:, np.newaxis], shift.size, axis=1)
    observation = np.concatenate([extremes, shift + drawn / scale])
    return np.clip(observation, -_SINGLE_MAX, _SINGLE_MAX).astype(np.float32)


def _model(policy: ActorCritic, observation: NDArray[np.float32], action: NDArray[np.float32]) -> onnx.ModelProto:
    """The graph with all a reader needs to know, and the golden pairs (K, O), (K, A)."""
    opset = helper.make_opsetid("", OPSET)
    model = helper.make_model(_graph(policy), opset_imports=[opset], ir_version=IR_VERSION)
    model.producer_name, model.producer_version = _DISTRIBUTION, _producer_version()
    model.doc_string = _description(policy.spec)
    pairs = [{"observation": o, "action": a} for o, a in zip(observation.tolist(), action.tolist(), strict=True)]
    properties = {
        "schema_version": SCHEMA_VERSION,
        "policy_spec": policy.spec.to_json(),
        "already_in_graph": json.dumps(_ALREADY_IN_GRAPH),
        "checkpoint_sha256": checkpoint_hash(policy),
        "producer_version": model.producer_version,
        "golden_pairs": json.dumps(pairs),
    }
    helper.set_model_props(model, properties)
    return model


def _graph(policy: ActorCritic) -> onnx.GraphProto:
    """Normaliser, actor and scaling as torch computes them, in the same order of operations."""
    spec, (shift, scale) = policy.spec, policy.normalizer.shift_and_scale()
    low, high = _bounds_within(spec)
    constants = {
        "normalizer.mean": _array(shift),
        "normalizer.scale": _array(scale),
        "normalizer.lowest": np.array(-CLIP, np.float32),
        "normalizer.highest": np.array(CLIP, np.float32),
        "one": np.array(1.0, np.float32),
        "action.half_range": _array(0.5 * (policy.action_high - policy.action_low)),
        "action.low": _array(policy.action_low),
        "action.lowest": low,
        "action.highest": high,
    }
    nodes = [
        helper.make_node("Sub", [INPUT_NAME, "normalizer.mean"], ["centred"]),
        helper.make_node("Mul", ["centred", "normalizer.scale"], ["scaled"]),
        helper.make_node("Clip", ["scaled", "normalizer.lowest", "normalizer.highest"], ["normalized"]),
    ]
    last = "normalized"
    for index, layer in enumerate(policy.actor):
        nodes.append(_layer_node(layer, f"actor.{index}", last))
        last = nodes[-1].output[0]
        if isinstance(layer, nn.Linear):
            constants |= {f"actor.{index}.weight": _array(layer.weight), f"actor.{index}.bias": _array(layer.bias)}
    # clipped after scaling: the action then lies within the bounds exactly, whatever the rounding of the scaling
    nodes += [
        helper.make_node("Add", [last, "one"], ["from_low"]),
        helper.make_node("Mul", ["from_low", "action.half_range"], ["above_low"]),
        helper.make_node("Add", ["above_low", "action.low"], ["unclipped"]),
        helper.make_node("Max", ["unclipped", "action.lowest"], ["floored"]),
        helper.make_node("Min", ["floored", "action.highest"], [OUTPUT_NAME]),
    ]
    ports = (_port(INPUT_NAME, spec.observation), _port(OUTPUT_NAME, spec.action))
    initializers = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    return helper.make_graph(nodes, "policy", ports[:1], ports[1:], initializers)


def _layer_node(layer: nn.Module, name: str, source: str) -> onnx.NodeProto:
    match layer:
        case nn.Linear():
            return helper.make_node("Gemm", [source, f"{name}.weight", f"{name}.bias"], [name], name, transB=1)
        case nn.Tanh():
            return helper.make_node("Tanh", [source], [name], name)
        case nn.ReLU():
            return helper.make_node("Relu", [source], [name], name)
        case nn.ELU():
            return helper.make_node("Elu", [source], [name], name, alpha=layer.alpha)
        case _:
            raise ExportError(f"layer {name} is {type(layer).__name__}; allowed: Linear, Tanh, ReLU, ELU")


def _bounds_within(spec: PolicySpec) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Bounds (A,) rounded inwards to single precision: what respects them respects the spec's, which are double."""
    exact_low, exact_high = np.array(spec.action_low), np.array(spec.action_high)
    low, high = exact_low.astype(np.float32), exact_high.astype(np.float32)
    low = np.where(low < exact_low, np.nextafter(low, np.float32(np.inf)), low)
    high = np.where(high > exact_high, np.nextafter(high, np.float32(-np.inf)), high)
    return low, high


def _port(name: str, entries: tuple[Entry, ...]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", len(entries)], _list_entries(entries))


def _list_entries(entries: tuple[Entry, ...]) -> str:
    return ", ".join(
        f"{entry.name} [{entry.unit}]" + (f" in {entry.frame}" if entry.frame else "") for entry in entries
    )


def _description(spec: PolicySpec) -> str:
    return (
        f"Deterministic policy of task {spec.task} for robot {spec.robot}, to be called at {spec.control_hz:g} Hz. "
        f"Input {INPUT_NAME}: {_list_entries(spec.observation)}. Output {OUTPUT_NAME}: {_list_entries(spec.action)}. "
        "Normalising the observation and scaling and clipping the action are in the graph: give raw observations, send "
        f"the action as it is. Where no valid observation is at hand, send {list(spec.safe_action)}. "
        "The metadata hold the full specification and golden pairs."
    )


def _producer_version() -> str:
    try:
        return metadata.version(_DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return "0+uninstalled"


def _write(path: Path, model: onnx.ModelProto) -> None:
    with path.open("wb") as file:
        file.write(model.SerializeToString())
        file.flush()
        os.fsync(file.fileno())


def _verify(path: Path, spec: PolicySpec, observation: NDArray[np.float32], action: NDArray[np.float32]) -> float:
    """Largest |difference| from `action` (B, A) of the file at `path`; raises ExportError where that is too much."""
    content = path.read_bytes()
    try:
        onnx.checker.check_model(content, full_check=True)
        session = open_session(content)
        rows = [session.run(None, {INPUT_NAME: row})[0] for row in np.split(observation, len(observation))]
        (batch,) = session.run(None, {INPUT_NAME: observation})
        results = (np.concatenate(rows), batch)
        for result in results:
            if problem := disagreement(spec, result, action):
                raise ExportError(f"onnxruntime does not reproduce the policy: {problem}")
        OnnxPolicy(path)
    except _INVALID_FILE_ERRORS as error:
        raise ExportError(f"the exported file is not valid: {first_line(error)}") from error
    return float(max(np.abs(result - action).max() for result in results))


def _array(tensor: Tensor) -> NDArray[np.float32]:
    return tensor.detach().numpy().astype(np.float32)
