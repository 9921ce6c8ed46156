"""The metadata of an exported file, as tables to compare with the robot."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hgrpo_errors import printable
from policies.spec import PolicySpec
from sim2real.policy.metadata import read_golden_pairs, read_measured
from sim2real.policy.onnx_policy import OnnxPolicy
from sim2real.policy.trained_on import airframe_in_words, options_in_words

_SHOWN_PAIRS = 3


def inspect(path: Path) -> str:
    """Tables of the metadata of a file that loads and reproduces its golden pairs.

    Raises OnnxPolicyError.
    """
    policy = OnnxPolicy(path)
    sections = [
        _facts(policy, path),
        _observation(policy),
        _action(policy),
        _golden_pairs(policy),
        _measured(read_measured(policy.metadata)),
    ]
    return "\n\n".join(section for section in sections if section)


def _facts(policy: OnnxPolicy, path: Path) -> str:
    spec, texts = policy.spec, policy.metadata
    return _aligned(
        [
            ("file", str(path)),
            ("schema version", texts["schema_version"]),
            ("written by", f"hgrpo-control {texts['producer_version']}"),
            ("checkpoint SHA-256", texts["checkpoint_sha256"]),
            ("task", spec.task),
            ("task options", options_in_words(policy.trained_on)),
            ("drone preset", spec.robot or "none"),
            ("airframe", airframe_in_words(policy.trained_on)),
            ("control rate", f"{spec.control_hz:g} Hz"),
            ("action type", texts["action_type"]),
            ("past actions in the observation", texts["action_history"]),
            ("network", f"{_sizes(spec.hidden_sizes)} {spec.activation}, {texts['precision']}"),
            *([("memory", memory_in_words(spec))] if spec.memory_width else []),
            ("batch", "1" if policy.takes_one_row else "any"),
            ("already part of the file", ", ".join(json.loads(texts["already_in_graph"]))),
        ]
    )


def _observation(policy: OnnxPolicy) -> str:
    rows = [(str(i), e.name, e.unit, e.frame or "-") for i, e in enumerate(policy.spec.observation)]
    return _aligned([("observation", "name", "unit", "frame"), *rows])


def _action(policy: OnnxPolicy) -> str:
    spec = policy.spec
    bounds = zip(spec.action, spec.action_low, spec.action_high, spec.safe_action, strict=True)
    rows = [
        (str(i), e.name, e.unit, e.frame or "-", f"{low:g}", f"{high:g}", f"{safe:g}")
        for i, (e, low, high, safe) in enumerate(bounds)
    ]
    return _aligned([("action", "name", "unit", "frame", "low", "high", "safe"), *rows])


def _golden_pairs(policy: OnnxPolicy) -> str:
    golden, tolerance = read_golden_pairs(policy.metadata, policy.spec)
    kind, observations, actions = f"golden pairs: {len(golden.observation)}", golden.observation, golden.action
    if policy.spec.memory_width:
        kind = f"golden sequences: {len(observations)} of {observations.shape[1]} steps"
        observations, actions = observations[-1], actions[-1]
    head = f"{kind}, reproduced here to {tolerance:g} of each action's range; for example"
    rows = []
    for observation, action in list(zip(observations, actions, strict=True))[-_SHOWN_PAIRS:]:
        rows.append(f"  observation {_numbers(observation.tolist())}\n  action      {_numbers(action.tolist())}")
    return "\n".join([head, *rows])


def _measured(measured: dict[str, Any]) -> str:
    if not measured:
        return ""
    rows = [(name.replace("_", " "), _text(value)) for name, value in measured.items()]
    return _aligned([("measured when exported", ""), *rows])


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}={_text(item)}" for name, item in value.items()) or "none"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _sizes(hidden: Sequence[int]) -> str:
    return "-".join(map(str, hidden)) or "no hidden layer,"


def memory_in_words(spec: PolicySpec) -> str:
    """Kind, size and number of entries of a memory."""
    kinds = {"gru": "GRU of {} units", "history": "history of {} observations and actions"}
    return f"{kinds[spec.memory].format(spec.memory_size)}, {spec.memory_width} entries"


def _numbers(values: list[float]) -> str:
    return "[" + ", ".join(f"{value:.4g}" for value in values) + "]"


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells as aligned columns; texts of a file become printable."""
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)
