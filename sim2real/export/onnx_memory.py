"""Memory in an ONNX graph: the step of a GRU, and a history of observations and actions."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from policies.actor_critic import ActorCritic
from policies.spec import PolicySpec
from sim2real.export.exportable import array
from sim2real.policy.onnx_policy import INPUT_NAME, MEMORY_NAME, NEXT_MEMORY_NAME

Constants = dict[str, NDArray[np.generic]]


def gru_nodes(name: str, source: str, half: bool) -> list[onnx.NodeProto]:
    """One step of a GRU from the tensor `source` and the memory, in torch's order of operations.

    With `half` the gates are computed in half precision. The state is interpolated in single precision, because small
    changes of it would be lost otherwise.

    Args:
        name: Name of the layer, the prefix of its weights.
        source: Name of the tensor (B, I).
        half: Whether `source` and the weights have half precision.
    """
    made = []

    def node(kind: str, inputs: list[str], *outputs: str, **attributes: Any) -> None:
        given = [made_here(tensor) for tensor in inputs]
        made.append(helper.make_node(kind, given, [f"{name}.{output}" for output in outputs], **attributes))

    def made_here(tensor: str) -> str:
        return tensor[1:] if tensor.startswith("/") else f"{name}.{tensor}"

    def gemm(output: str, tensor: str, kind: str) -> None:
        node("Gemm", [tensor, f"weight_{kind}", f"bias_{kind}"], output, name=f"{name}.{output}", transB=1)

    if half:
        node("Cast", [f"/{MEMORY_NAME}"], "memory", to=TensorProto.FLOAT16)
    gemm("by_input", f"/{source}", "ih")
    gemm("by_state", "memory" if half else f"/{MEMORY_NAME}", "hh")
    for part in ("by_input", "by_state"):
        node("Split", [part], f"{part}.reset", f"{part}.update", f"{part}.new", axis=1)
    for gate in ("reset", "update"):
        node("Add", [f"by_input.{gate}", f"by_state.{gate}"], f"{gate}.sum")
        node("Sigmoid", [f"{gate}.sum"], gate)
    node("Mul", ["reset", "by_state.new"], "kept")
    node("Add", ["by_input.new", "kept"], "new.sum")
    node("Tanh", ["new.sum"], "new")
    new, update = "new", "update"
    if half:
        new, update = "new.single", "update.single"
        node("Cast", ["new"], new, to=TensorProto.FLOAT)
        node("Cast", ["update"], update, to=TensorProto.FLOAT)
    node("Sub", [f"/{MEMORY_NAME}", new], "difference")
    node("Mul", [update, "difference"], "change")
    made.append(helper.make_node("Add", [f"{name}.{new}", f"{name}.change"], [NEXT_MEMORY_NAME]))
    if half:
        node("Cast", [f"/{NEXT_MEMORY_NAME}"], "state", to=TensorProto.FLOAT16)
    return made


def normalized_past(policy: ActorCritic, normalized: str) -> tuple[list[onnx.NodeProto], Constants]:
    """Input of the actor: the normalised observation, then the history with normalised observations.

    Args:
        policy: A policy whose memory is a history.
        normalized: Name of the normalised observation (B, O).
    """
    shift, scale = (array(tensor) for tensor in policy.normalizer.shift_and_scale())
    actions = np.zeros(policy.spec.action_size, np.float32)  # normalised already: shifted by 0, scaled by 1
    steps = policy.spec.memory_size
    constants: Constants = {
        "past.mean": np.tile(np.concatenate((shift, actions)), steps),
        "past.scale": np.tile(np.concatenate((scale, actions + 1.0)), steps),
    }
    nodes = [
        helper.make_node("Sub", [MEMORY_NAME, "past.mean"], ["past.centred"]),
        helper.make_node("Mul", ["past.centred", "past.scale"], ["past.scaled"]),
        helper.make_node("Clip", ["past.scaled", "normalizer.lowest", "normalizer.highest"], ["past"]),
        helper.make_node("Concat", [normalized, "past"], ["normalized.all"], axis=1),
    ]
    return nodes, constants


def remembered(spec: PolicySpec, mean: str) -> tuple[list[onnx.NodeProto], Constants]:
    """The next history: the observation and the clipped mean action in front, without the oldest step.

    Args:
        spec: Interface of a policy whose memory is a history.
        mean: Name of the normalised mean action (B, A).
    """
    constants: Constants = {"past.lowest": np.array(-1.0, np.float32), "past.highest": np.array(1.0, np.float32)}
    nodes = [helper.make_node("Clip", [mean, "past.lowest", "past.highest"], ["mean.clipped"])]
    newest = [INPUT_NAME, "mean.clipped"]
    if spec.memory_size > 1:
        end = spec.memory_width - spec.observation_size - spec.action_size
        constants |= {name: np.array([value]) for name, value in (("past.from", 0), ("past.to", end), ("past.axis", 1))}
        nodes.append(helper.make_node("Slice", [MEMORY_NAME, "past.from", "past.to", "past.axis"], ["past.kept"]))
        newest.append("past.kept")
    nodes.append(helper.make_node("Concat", newest, [NEXT_MEMORY_NAME], axis=1))
    return nodes, constants
