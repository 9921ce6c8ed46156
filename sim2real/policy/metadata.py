"""The metadata of an exported file: its keys, and how they are written and read.

Numbers are JSON with enough digits to restore a float32 exactly. Importable without torch and onnx.
"""

from __future__ import annotations

import importlib.metadata
import json
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hgrpo_errors import HgrpoError
from policies.spec import PolicySpec

DISTRIBUTION = "hgrpo-control"
SCHEMA_VERSION = "2"
ALREADY_IN_GRAPH = ("observation normalising", "action squashing", "action scaling", "action clipping")
KEYS = (
    "schema_version",
    "policy_spec",
    "action_type",
    "action_history",
    "already_in_graph",
    "precision",
    "checkpoint_sha256",
    "producer_version",
    "golden_pairs",
    "golden_tolerance",
)
MEASURED = "measured"
"""Key of the measurements that were made after the export; absent without any."""

TOLERANCE = 1e-5  # of an action's range, between runtimes that compute in single precision
GOLDEN_TOLERANCE = {"float32": TOLERANCE, "float16": 2e-3, "int8": 2e-2}
"""Share of an action's range by which another machine may differ from the exporting one, by precision.

Runtimes may round half precision at different places, and an int8 value between two steps may be rounded to either.
"""

_ACTION_TYPES: dict[tuple[str, ...], str] = {
    ("motor_1", "motor_2", "motor_3", "motor_4"): "motors",
    ("collective_thrust", "roll_rate", "pitch_rate", "yaw_rate"): "ctbr",
    ("velocity_command_x", "velocity_command_y", "velocity_command_z", "yaw_rate_command"): "velocity",
}


class GoldenPairs(NamedTuple):
    """Observations, and the actions that the file gave for them on the exporting machine.

    A policy with memory has K golden sequences of T steps; each begins without memory.
    """

    observation: NDArray[np.float32]
    """(K, O) or (K, T, O)"""
    action: NDArray[np.float64]
    """(K, A) or (K, T, A)"""


def action_type(spec: PolicySpec) -> str:
    """Type of the actions by their names: motors, ctbr, velocity or other."""
    return _ACTION_TYPES.get(tuple(entry.name for entry in spec.action), "other")


def bounds_within(spec: PolicySpec) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Bounds (A,), (A,) in single precision, rounded inwards."""
    exact_low, exact_high = np.array(spec.action_low), np.array(spec.action_high)
    low, high = exact_low.astype(np.float32), exact_high.astype(np.float32)
    low = np.where(low < exact_low, np.nextafter(low, np.float32(np.inf)), low)
    high = np.where(high > exact_high, np.nextafter(high, np.float32(-np.inf)), high)
    return low, high


def producer_version() -> str:
    """Installed version of this package."""
    try:
        return importlib.metadata.version(DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        return "0+uninstalled"


def write(
    spec: PolicySpec,
    precision: str,
    checkpoint_sha256: str,
    producer_version: str,
    golden: GoldenPairs,
    rounding: float = TOLERANCE,
) -> dict[str, str]:
    """The metadata of a file, by key.

    Args:
        spec: Interface of the policy.
        precision: float32, float16 or int8.
        checkpoint_sha256: Hash of the weights.
        producer_version: Version of this package.
        golden: Pairs that every machine has to reproduce.
        rounding: Smallest tolerance of the golden pairs, as a share of an action's range.
    """
    observation, action = golden.observation.tolist(), golden.action.tolist()
    if spec.memory_width:
        pairs = [_pairs(*sequence) for sequence in zip(observation, action, strict=True)]
    else:
        pairs = _pairs(observation, action)
    texts = {
        "schema_version": SCHEMA_VERSION,
        "policy_spec": spec.to_json(),
        "action_type": action_type(spec),
        "action_history": str(spec.action_history),
        "already_in_graph": json.dumps(ALREADY_IN_GRAPH),
        "precision": precision,
        "checkpoint_sha256": checkpoint_sha256,
        "producer_version": producer_version,
        "golden_pairs": json.dumps(pairs),
        "golden_tolerance": json.dumps(max(GOLDEN_TOLERANCE[precision], rounding)),
    }
    assert tuple(texts) == KEYS
    return texts | _memory(spec)


def _pairs(observation: list[Any], action: list[Any]) -> list[Any]:
    return [{"observation": o, "action": a} for o, a in zip(observation, action, strict=True)]


def _memory(spec: PolicySpec) -> dict[str, str]:
    """Kind and size of the memory; nothing without one."""
    return {"memory": spec.memory, "memory_size": str(spec.memory_size)} if spec.memory_width else {}


def read_spec(metadata: dict[str, str]) -> PolicySpec:
    """Interface of the policy in a file.

    Raises HgrpoError for metadata that this release does not write.
    """
    missing = [key for key in KEYS if key not in metadata]
    if missing:
        raise HgrpoError(f"lacks the metadata {', '.join(missing)}; expected a file written by hgrpo export")
    version = metadata["schema_version"]
    if version != SCHEMA_VERSION:
        raise HgrpoError(f"has schema version {version!r}; this release reads {SCHEMA_VERSION!r}")
    try:
        spec = PolicySpec.from_json(metadata["policy_spec"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise HgrpoError(f"has an unreadable policy_spec: {error}") from error
    stated = {"action_type": action_type(spec), "action_history": str(spec.action_history), **_memory(spec)}
    for key, expected in stated.items():
        if metadata.get(key) != expected:
            raise HgrpoError(f"has {key} {metadata.get(key)!r}; expected by its policy_spec: {expected!r}")
    return spec


def read_golden_pairs(metadata: dict[str, str], spec: PolicySpec) -> tuple[GoldenPairs, float]:
    """Golden pairs, and their tolerance as a share of an action's range.

    Raises HgrpoError if they are unusable.
    """
    try:
        pairs = json.loads(metadata["golden_pairs"])
        observation = np.array(_part(pairs, "observation"), dtype=np.float32)
        action = np.array(_part(pairs, "action"), dtype=np.float64)
        tolerance = float(json.loads(metadata["golden_tolerance"]))
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise HgrpoError(f"has unreadable golden pairs: {error}") from error
    shapes = (observation.shape, action.shape)
    steps = (len(pairs[0]),) if spec.memory_width and pairs and isinstance(pairs[0], list) else ()
    allowed = ((len(pairs), *steps, spec.observation_size), (len(pairs), *steps, spec.action_size))
    if not len(pairs) or shapes != allowed or bool(steps) != bool(spec.memory_width) or 0 in steps:
        raise HgrpoError(f"has golden pairs of shapes {shapes}; expected at least one pair and {allowed}")
    if not 0.0 < tolerance < 0.1:
        raise HgrpoError(f"has the golden_tolerance {tolerance}; allowed: a share of the action's range below 0.1")
    return GoldenPairs(observation, action), tolerance


def _part(pairs: Any, name: str) -> Any:
    """`name` of a golden pair, of pairs, or of sequences of pairs."""
    return [_part(pair, name) for pair in pairs] if isinstance(pairs, list) else pairs[name]


def read_measured(metadata: dict[str, str]) -> dict[str, Any]:
    """Measurements of the file, by name; empty without any."""
    measured: dict[str, Any] = json.loads(metadata.get(MEASURED, "{}"))
    return measured


def disagreement(
    spec: PolicySpec,
    action: NDArray[np.floating],
    expected: NDArray[np.floating],
    tolerance: float | NDArray[np.float64] = TOLERANCE,
) -> str | None:
    """The largest difference between actions and expected ones, as text.

    None if all are within the tolerance.

    Args:
        spec: Interface with the ranges of the actions.
        action: (..., A).
        expected: (..., A).
        tolerance: Share of each action's range: one number, or (..., A).
    """
    allowed = np.broadcast_to(tolerance * (np.array(spec.action_high) - np.array(spec.action_low)), action.shape)
    difference = np.abs(action.astype(np.float64) - expected)
    if np.all(difference <= allowed):  # false for NaN
        return None
    worst = np.unravel_index(np.argmax(difference / allowed), action.shape)  # the first NaN, where there is one
    name = spec.action[int(worst[-1])].name
    return f"action {name!r} differs by {difference[worst]:.3g}, allowed {allowed[worst]:.3g}"
