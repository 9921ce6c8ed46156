"""Quantisation of an exported graph to int8."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from sim2real.policy.onnx_policy import INPUT_NAME


class Observations(CalibrationDataReader):
    """Observations (N, O), one row at a time.

    Also for a file with a fixed batch of 1.
    """

    def __init__(self, observation: NDArray[np.float32]) -> None:
        self._rows: Iterator[NDArray[np.float32]] = iter(np.split(observation, len(observation)))

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        """The next row (1, O) by the name of the input; None after the last."""
        row = next(self._rows, None)
        return None if row is None else {INPUT_NAME: row}


def quantized(model: onnx.ModelProto, calibration: NDArray[np.float32]) -> onnx.ModelProto:
    """The model with its matrix products in int8, by onnxruntime's static quantisation.

    Weights have one scale per output. Activations have one scale per layer, from their smallest and largest value on
    the calibration observations. The scales are constants, so an action depends on its own observation only.

    Args:
        model: The model in float32.
        calibration: Observations (N, O).
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
            Observations(calibration),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QInt8,  # with int8 weights: products of uint8 saturate on some processors
            weight_type=QuantType.QInt8,
            per_channel=True,
            nodes_to_quantize=products,
        )
        return onnx.load(path)
