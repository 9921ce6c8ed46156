"""Quantisation of an exported graph to int8."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from policies.actor_critic import ActorCritic
from sim2real.export.exportable import CALIBRATION_ROWS, memories_of
from sim2real.policy.onnx_policy import INPUT_NAME, MEMORY_NAME


class Rows(CalibrationDataReader):
    """Inputs of the graph by name, one row at a time.

    Also for a file with a fixed batch of 1.
    """

    def __init__(self, inputs: Mapping[str, NDArray[np.float32]]) -> None:
        split = [np.split(values, len(values)) for values in inputs.values()]
        self._names, self._rows = tuple(inputs), iter(zip(*split, strict=True))

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        """The next row (1, ...) of every input; None after the last."""
        row = next(self._rows, None)
        return None if row is None else dict(zip(self._names, row, strict=True))


def inputs_of(policy: ActorCritic, observation: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """Inputs (N, ...) of the graph for observations (N, O).

    For the steps (T, B, O) of sequences they include the memory that the policy has at each step.
    """
    if not policy.spec.memory_width:
        return {INPUT_NAME: observation}
    memories = memories_of(policy, observation)
    inputs = {INPUT_NAME: np.concatenate(observation), MEMORY_NAME: np.concatenate(memories)}
    count = len(inputs[INPUT_NAME])
    chosen = np.sort(np.random.default_rng(0).choice(count, min(CALIBRATION_ROWS, count), replace=False))
    return {name: values[chosen] for name, values in inputs.items()}


def quantized(model: onnx.ModelProto, calibration: Mapping[str, NDArray[np.float32]]) -> onnx.ModelProto:
    """The model with its matrix products in int8, by onnxruntime's static quantisation.

    Weights have one scale per output. Activations have one scale per layer, from their smallest and largest value on
    the calibration observations. The scales are constants, so an action depends on its own observation only.

    Args:
        model: The model in float32.
        calibration: Inputs (N, ...) by name.
    """
    # marks the model as preprocessed: `graph` fuses its nodes, and shapes are inferred here
    marked = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    onnx.helper.set_model_props(marked, {"onnx.quant.pre_process": "onnxruntime.quant"})
    products = [node.name for node in model.graph.node if node.op_type == "Gemm"]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "quantized.onnx"
        quantize_static(
            marked,
            path,
            Rows(calibration),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QInt8,  # with int8 weights: products of uint8 saturate on some processors
            weight_type=QuantType.QInt8,
            per_channel=True,
            nodes_to_quantize=products,
        )
        return onnx.load(path)
