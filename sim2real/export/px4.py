"""Export to the archive that PX4's module mc_raptor loads from the SD card, /fs/microsd/raptor/policy.tar.

The format is that of rl_tools (https://github.com/rl-tools/rl-tools, persist/backends/tar): a tar archive in which a
tensor is two files, NAME/meta with its type and shape and NAME/data with its numbers. The module has the layers of
RAPTOR (Eschmann et al., 2025) compiled in: 22 inputs, 16 units with ReLU, a GRU of 16 units, 4 outputs. It loads the
weights, feeds the example inputs through the policy, and refuses the file unless the mean difference from the example
outputs is below 1e-5.
"""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hgrpo_errors import HgrpoError
from hgrpo_files import read_bytes, write_bytes
from policies.actor_critic import ActorCritic
from policies.memory import Recurrent
from sim2real.export.exportable import ExportError, array, check_observations, refuse_non_finite
from sim2real.export.own_files import replacing, require_replaceable

UNITS, INPUTS, OUTPUTS, RATE = 16, 22, 4, 100.0
EXAMPLES, STEPS = 2, 16
"""Example sequences and their steps; the module's self-test reads the first five steps of each."""
TOLERANCE = 1e-5
"""Largest difference of an exported sequence from the policy's, over MEASURED steps."""
MEASURED = 1_000
SHAPES = {
    "actor/layers/0/weights/parameters": (UNITS, INPUTS),
    "actor/layers/0/biases/parameters": (UNITS,),
    "actor/layers/1/weights_input/parameters": (3 * UNITS, UNITS),
    "actor/layers/1/biases_input/parameters": (3 * UNITS,),
    "actor/layers/1/weights_hidden/parameters": (3 * UNITS, UNITS),
    "actor/layers/1/biases_hidden/parameters": (3 * UNITS,),
    "actor/layers/1/initial_hidden_state/parameters": (UNITS,),
    "actor/layers/2/weights/parameters": (OUTPUTS, UNITS),
    "actor/layers/2/biases/parameters": (OUTPUTS,),
    "example/input": (STEPS, EXAMPLES, INPUTS),
    "example/output": (STEPS, EXAMPLES, OUTPUTS),
}
"""Name and shape of every tensor in the archive."""
_MARK = "checkpoint_name: hgrpo "
_NAME = 60  # letters of the checkpoint's name; the module reads 256 bytes with it


def export_px4(policy: ActorCritic, path: Path) -> float:
    """Write the archive; returns the largest difference of its actions from the policy's over MEASURED steps.

    The scaling of observations is folded into the first layer. Its clip at ten standard deviations is left out, since
    the module has none: the entries that the module itself bounds stay within.

    Raises ExportError for a policy of other layers, inputs or rate, and for a difference above TOLERANCE.
    """
    _require_layers(policy)
    refuse_non_finite(policy)
    require_replaceable(path, is_own_archive)
    tensors = _tensors(policy)
    inputs = _sequences(policy, MEASURED)
    expected = _actions(policy, inputs)
    tensors["example/input"], tensors["example/output"] = inputs[:STEPS], expected[:STEPS]
    with replacing(path, is_own_archive) as made:
        write_bytes(made, _archive(tensors, _checkpoint_name(policy)))
        difference = float(np.abs(run(read_px4(made), inputs) - expected).max())
        if difference > TOLERANCE:
            raise ExportError(f"the archive differs from the policy by {difference:.3g}; allowed: {TOLERANCE:g}")
    return difference


def read_px4(path: Path) -> dict[str, NDArray[np.float32]]:
    """Tensors of an archive by name; raises HgrpoError for other names, shapes or types than the module loads."""
    found: dict[str, NDArray[np.float32]] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(read_bytes(path)), mode="r:") as archive:
            for name, shape in SHAPES.items():
                meta = _text(archive, f"{name}/meta")
                if meta != _meta(shape):
                    raise HgrpoError(f"{path}: {name} is described by {meta!r}; allowed: {_meta(shape)!r}")
                data = _bytes(archive, f"{name}/data")
                if len(data) != 4 * int(np.prod(shape)):
                    raise HgrpoError(f"{path}: {name} has {len(data)} bytes; allowed: {4 * int(np.prod(shape))}")
                found[name] = np.frombuffer(data, dtype="<f4").reshape(shape)
    except (tarfile.TarError, KeyError) as error:
        raise HgrpoError(f"{path} is no archive of a policy for PX4: {error}") from error
    return found


def run(tensors: dict[str, NDArray[np.float32]], inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    """Unclipped outputs (T, B, 4) of an archive for inputs (T, B, 22), computed as the module does."""
    layer = {name.removeprefix("actor/layers/").removesuffix("/parameters"): x for name, x in tensors.items()}
    state = np.broadcast_to(layer["1/initial_hidden_state"], (inputs.shape[1], UNITS))
    outputs = []
    for x in inputs:
        h = np.maximum(x @ layer["0/weights"].T + layer["0/biases"], 0.0)
        by_input = h @ layer["1/weights_input"].T + layer["1/biases_input"]
        by_state = state @ layer["1/weights_hidden"].T + layer["1/biases_hidden"]
        gates = 1.0 / (1.0 + np.exp(-(by_input + by_state)[:, : 2 * UNITS]))
        reset, update = gates[:, :UNITS], gates[:, UNITS:]
        new = np.tanh(by_input[:, 2 * UNITS :] + reset * by_state[:, 2 * UNITS :])
        state = (1.0 - update) * new + update * state
        outputs.append(state @ layer["2/weights"].T + layer["2/biases"])
    return np.stack(outputs).astype(np.float32)


def is_own_archive(content: bytes) -> bool:
    """Whether the content of a file is an archive that this module wrote."""
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as archive:
            return _text(archive, "actor/meta").startswith(_MARK)
    except (tarfile.TarError, KeyError):
        return False


def _require_layers(policy: ActorCritic) -> None:
    """Raise ExportError unless the policy has the layers, inputs, outputs and rate that the module has compiled in."""
    spec = policy.spec
    given = {
        "layers": " ".join(map(str, spec.hidden_sizes)),
        "activation": spec.activation,
        "memory": f"{spec.memory} {spec.memory_size}",
        "observation entries": str(spec.observation_size),
        "action entries": str(spec.action_size),
        "rate": f"{spec.control_hz:g} Hz",
        "bounds": f"{min(spec.action_low):g} to {max(spec.action_high):g}",
    }
    needed = {
        "layers": str(UNITS),
        "activation": "relu",
        "memory": f"gru {UNITS}",
        "observation entries": str(INPUTS),
        "action entries": str(OUTPUTS),
        "rate": f"{RATE:g} Hz",
        "bounds": "-1 to 1",
    }
    for name, value in given.items():
        if value != needed[name]:
            raise ExportError(
                f"PX4's mc_raptor takes {name} {needed[name]}; given {value}; train with --network raptor on "
                "quadrotor-any"
            )


def _tensors(policy: ActorCritic) -> dict[str, NDArray[np.float32]]:
    """Weights by name, with the scaling of observations in the first layer."""
    actor = policy.actor
    assert isinstance(actor, Recurrent)
    shift, scale = (array(tensor).astype(np.float64) for tensor in policy.normalizer.shift_and_scale())
    first, cell, last = actor[0], actor.cell, actor[-1]
    weight = array(first.weight).astype(np.float64) * scale  # type: ignore[arg-type]
    bias = array(first.bias).astype(np.float64) - weight @ shift  # type: ignore[arg-type]
    by_name: dict[str, NDArray[Any]] = {
        "0/weights": weight,
        "0/biases": bias,
        "1/weights_input": array(cell.weight_ih),
        "1/biases_input": array(cell.bias_ih),
        "1/weights_hidden": array(cell.weight_hh),
        "1/biases_hidden": array(cell.bias_hh),
        "1/initial_hidden_state": np.zeros(UNITS),
        "2/weights": array(last.weight),  # type: ignore[arg-type]
        "2/biases": array(last.bias),  # type: ignore[arg-type]
    }
    return {f"actor/layers/{name}/parameters": value.astype(np.float32) for name, value in by_name.items()}


def _sequences(policy: ActorCritic, steps: int) -> NDArray[np.float32]:
    """Inputs (steps, 2, 22) within the clip of the policy's scaling, drawn around its mean."""
    drawn = check_observations(policy.normalizer, 2 * EXAMPLES * steps)[-2 * EXAMPLES * steps :: 2]
    return drawn.reshape(steps, EXAMPLES, INPUTS)


def _actions(policy: ActorCritic, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    """Unclipped mean actions (T, B, 4) of the policy for inputs (T, B, 22)."""
    assert isinstance(policy.actor, Recurrent)
    hidden, outputs = torch.zeros(inputs.shape[1], UNITS), []
    with torch.no_grad():
        for x in torch.from_numpy(inputs):
            mean, hidden = policy.actor(policy.normalizer(x), hidden)
            outputs.append(mean)
    return torch.stack(outputs).numpy()


def _checkpoint_name(policy: ActorCritic) -> str:
    """Name that PX4 shows for the policy."""
    return "".join(c if c.isascii() and c.isprintable() else "_" for c in policy.spec.task)[:_NAME]


def _archive(tensors: dict[str, NDArray[np.float32]], name: str) -> bytes:
    """The whole archive."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        texts = {
            "actor/meta": f"{_MARK}{name}\ntype: sequential\n",
            "actor/layers/0/meta": "activation_function: RELU\ntype: dense\n",
            "actor/layers/1/meta": "type: gru\n",
            "actor/layers/2/meta": "activation_function: IDENTITY\ntype: dense\n",
        }
        for path, text in texts.items():
            _add(archive, path, text.encode())
        for path, values in tensors.items():
            _add(archive, f"{path}/meta", _meta(values.shape).encode())
            _add(archive, f"{path}/data", values.astype("<f4").tobytes())
    return content.getvalue()


def _add(archive: tarfile.TarFile, path: str, data: bytes) -> None:
    entry = tarfile.TarInfo(path)
    entry.size = len(data)
    archive.addfile(entry, io.BytesIO(data))


def _meta(shape: tuple[int, ...]) -> str:
    sizes = "".join(f"dim_{i}: {size}\n" for i, size in enumerate(shape))
    return f"type: tensor\ndtype: float32\nnum_dims: {len(shape)}\n{sizes}"


def _bytes(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    if file is None:
        raise KeyError(name)
    return file.read()


def _text(archive: tarfile.TarFile, name: str) -> str:
    return _bytes(archive, name).decode("ascii", errors="replace")
