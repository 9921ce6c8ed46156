"""A policy as an ONNX graph: normaliser, actor, squashing, scaling and clipping."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from policies.actor_critic import ActorCritic
from policies.normalizer import CLIP
from policies.spec import Channel, PolicySpec
from sim2real.export.exportable import ExportError, array
from sim2real.export.onnx_memory import Constants, gru_nodes, normalized_past, remembered
from sim2real.policy.metadata import bounds_within
from sim2real.policy.onnx_policy import INPUT_NAME, MEMORY_NAME, NEXT_MEMORY_NAME, OUTPUT_NAME


def graph(policy: ActorCritic, half: bool = False, batch: int | None = None) -> onnx.GraphProto:
    """The graph of a policy, in torch's order of operations.

    Args:
        policy: The policy.
        half: Whether the actor computes in half precision. Observations and actions stay float32, because raw
            observations may exceed 65504, the largest number of half precision.
        batch: Number of rows; None for any.
    """
    spec = policy.spec
    before, normalizer = _normalizer(policy)
    past, of_past = normalized_past(policy, "normalized") if spec.memory == "history" else ([], {})
    actor, weights = _actor(policy, past[-1].output[0] if past else "normalized", half)
    after, scaling = _scaling(policy)
    kept, limits = remembered(spec, "mean") if spec.memory == "history" else ([], {})
    constants = {**normalizer, **of_past, **weights, **scaling, **limits}
    nodes = before + past + actor + after + kept
    inputs, outputs = [_port(INPUT_NAME, spec.observation, batch)], [_port(OUTPUT_NAME, spec.action, batch)]
    if spec.memory_width:
        inputs.append(_memory_port(MEMORY_NAME, spec, batch))
        outputs.append(_memory_port(NEXT_MEMORY_NAME, spec, batch))
    initializers = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    return helper.make_graph(nodes, "policy", inputs, outputs, initializers)


def describe(spec: PolicySpec) -> str:
    """Description of the file for its readers."""
    return (
        f"Deterministic policy of task {spec.task} for robot {spec.robot}, to be called at {spec.control_hz:g} Hz. "
        f"Input {INPUT_NAME}: {_list_entries(spec.observation)}. Output {OUTPUT_NAME}: {_list_entries(spec.action)}. "
        "The graph normalises the observation, and scales and clips the action: give raw observations and send the "
        f"action unchanged. Without a valid observation, send {list(spec.safe_action)}. "
        f"{_describe_memory(spec)}The metadata contain the full specification and golden pairs."
    )


def _normalizer(policy: ActorCritic) -> tuple[list[onnx.NodeProto], Constants]:
    shift, scale = policy.normalizer.shift_and_scale()
    constants: Constants = {
        "normalizer.mean": array(shift),
        "normalizer.scale": array(scale),
        "normalizer.lowest": np.array(-CLIP, np.float32),
        "normalizer.highest": np.array(CLIP, np.float32),
    }
    nodes = [
        helper.make_node("Sub", [INPUT_NAME, "normalizer.mean"], ["centred"]),
        helper.make_node("Mul", ["centred", "normalizer.scale"], ["scaled"]),
        helper.make_node("Clip", ["scaled", "normalizer.lowest", "normalizer.highest"], ["normalized"]),
    ]
    return nodes, constants


def _actor(policy: ActorCritic, source: str, half: bool) -> tuple[list[onnx.NodeProto], Constants]:
    """Nodes from the tensor `source` to `mean`, and their constants.

    With `half` they compute in half precision, between casts.
    """
    nodes: list[onnx.NodeProto] = []
    constants: Constants = {}
    if half:
        nodes.append(helper.make_node("Cast", [source], ["normalized.half"], to=TensorProto.FLOAT16))
        source = "normalized.half"
    dtype = np.float16 if half else np.float32
    for index, layer in enumerate(policy.actor):
        name = f"actor.{index}"
        nodes += gru_nodes(name, source, half) if isinstance(layer, nn.GRUCell) else [_layer_node(layer, name, source)]
        source = nodes[-1].output[0]
        if isinstance(layer, nn.Linear | nn.GRUCell):
            for parameter, value in layer.named_parameters():
                constants[f"{name}.{parameter}"] = array(value).astype(dtype)
    nodes[-1].output[0] = "mean"
    if half:
        nodes[-1].output[0] = "mean.half"
        nodes.append(helper.make_node("Cast", ["mean.half"], ["mean"], to=TensorProto.FLOAT))
    return nodes, constants


def _scaling(policy: ActorCritic) -> tuple[list[onnx.NodeProto], Constants]:
    low, high = bounds_within(policy.spec)
    constants: Constants = {
        "one": np.array(1.0, np.float32),
        "action.half_range": array(0.5 * (policy.action_high - policy.action_low)),
        "action.low": array(policy.action_low),
        "action.lowest": low,
        "action.highest": high,
    }
    # clipped after scaling, so that rounding cannot exceed the bounds
    nodes = [
        helper.make_node("Add", ["mean", "one"], ["from_low"]),
        helper.make_node("Mul", ["from_low", "action.half_range"], ["above_low"]),
        helper.make_node("Add", ["above_low", "action.low"], ["unclipped"]),
        helper.make_node("Max", ["unclipped", "action.lowest"], ["floored"]),
        helper.make_node("Min", ["floored", "action.highest"], [OUTPUT_NAME]),
    ]
    return nodes, constants


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
            raise ExportError(f"layer {name} is {type(layer).__name__}; allowed: Linear, Tanh, ReLU, ELU, GRUCell")


def _port(name: str, entries: tuple[Channel, ...], batch: int | None) -> onnx.ValueInfoProto:
    rows = "batch" if batch is None else batch
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, [rows, len(entries)], _list_entries(entries))


def _memory_port(name: str, spec: PolicySpec, batch: int | None) -> onnx.ValueInfoProto:
    rows = "batch" if batch is None else batch
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, [rows, spec.memory_width])


def _describe_memory(spec: PolicySpec) -> str:
    if not spec.memory_width:
        return ""
    return (
        f"Input {MEMORY_NAME}: {spec.memory_width} zeros at the beginning of an episode, then the output "
        f"{NEXT_MEMORY_NAME} of the step before. "
    )


def _list_entries(entries: tuple[Channel, ...]) -> str:
    return ", ".join(
        f"{entry.name} [{entry.unit}]" + (f" in {entry.frame}" if entry.frame else "") for entry in entries
    )
