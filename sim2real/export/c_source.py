"""The C99 header and source of a policy, as text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from hgrpo_files import MARK
from policies.actor_critic import ActorCritic
from policies.normalizer import CLIP
from policies.spec import Channel, PolicySpec
from sim2real.export.c_memory import header_words, memory_values, source_words
from sim2real.export.c_text import comment, literal, string
from sim2real.export.exportable import ExportError, array, checkpoint_hash
from sim2real.export.rounding import golden_tolerance
from sim2real.policy.metadata import (
    GoldenPairs,
    action_type,
    bounds_within,
    producer_version,
)
from sim2real.policy.trained_on import TrainedOn, airframe_in_words, options_in_words

TANH_ERROR = 3e-7
"""Largest |error| of the approximated tanh in single precision, including rounding and -ffast-math."""

_TANH = """/* tanh(x) = 2 t / (1 + t^2) with t = tanh(x / 2) by the seventh convergent of Lambert's continued fraction.
 * The absolute error is at most 3e-7 for all floats, including rounding and -ffast-math. The value is 1 for x >= 9. */
static float @NAME@_tanh(float x) {
    const float y = 0.5f * @NAME@_clip(x, -9.0f, 9.0f);
    const float s = y * y;
    const float above = y * (135135.0f + s * (17325.0f + s * (378.0f + s)));
    const float below = 135135.0f + s * (62370.0f + s * (3150.0f + s * 28.0f));
    const float t = above / below;
    return 2.0f * t / (1.0f + t * t);
}

"""
_EXPM1 = """/* exp(x) - 1 = 2 t / (1 - t) with t = tanh(x / 2), for x <= 0. */
static float @NAME@_expm1(float x) {
    const float t = @NAME@_tanh(0.5f * x);
    return 2.0f * t / (1.0f - t);
}

"""
_ACTIVATE = """static void @NAME@_activate(float *x, int size) {
    for (int i = 0; i < size; ++i) {
        x[i] = @EXPRESSION@;
    }
}

"""
_EXPRESSIONS = {
    ("tanh", "libm"): "tanhf(x[i])",
    ("tanh", "approximate"): "@NAME@_tanh(x[i])",
    ("relu", "libm"): "x[i] > 0.0f ? x[i] : 0.0f",
    ("relu", "approximate"): "x[i] > 0.0f ? x[i] : 0.0f",
    ("elu", "libm"): "x[i] > 0.0f ? x[i] : expm1f(x[i])",
    ("elu", "approximate"): "x[i] > 0.0f ? x[i] : @NAME@_expm1(x[i])",
}


def header(policy: ActorCritic, name: str, golden: GoldenPairs, trained: TrainedOn | None = None) -> str:
    """NAME.h: sizes, rate, a table of all entries, and the functions.

    Args:
        policy: The policy.
        name: NAME.
        golden: Pairs for the self-test.
        trained: Task options and airframe of the training; None if they are unknown.
    """
    spec = policy.spec
    names = _names(name, policy, golden)
    words = _filled(header_words(spec), names | memory_values(policy, _golden_steps(golden), ""))
    return fill("policy.h.in", names | words | _texts(policy) | _origin(trained))


def source(policy: ActorCritic, name: str, golden: GoldenPairs, tanh: str) -> str:
    """NAME.c: weights and functions; NAME is the prefix of everything that it defines.

    Args:
        policy: The policy.
        name: NAME.
        golden: Pairs for the self-test.
        tanh: `libm` or `approximate`.
    """
    spec = policy.spec
    names = _names(name, policy, golden)
    library, declarations, functions = _arithmetic(spec, tanh)
    calls, last = _layers(policy, name)
    expression = _substitute(_EXPRESSIONS[spec.activation, tanh], names)
    values = {
        "LIBRARY": library,
        "INCLUDE": declarations,
        "TANH": _substitute(functions, names),
        "WIDTH": str(max(policy.actor_inputs, *spec.hidden_sizes, spec.memory_width, spec.action_size)),
        "ARRAYS": _arrays(policy, golden, name),
        "ACTIVATE": _substitute(_ACTIVATE, names | {"EXPRESSION": expression}) if spec.hidden_sizes else "",
        "LAYERS": "".join(f"    {call};\n" for call in calls),
        "LAST": last,
        "CLIP": literal(CLIP),
        "SAFE_ACTION": _numbers(np.array(spec.safe_action)),
        "TOLERANCE": literal(2.0 * golden_tolerance(policy, golden.observation)),  # of half the range
    }
    tanh_name = "tanhf" if tanh == "libm" else f"{name}_tanh"
    of_memory = memory_values(policy, _golden_steps(golden), tanh_name)
    words = _filled(source_words(spec), names | values | of_memory)
    return fill("policy.c.in", names | values | words)


def fill(template: str, values: Mapping[str, str]) -> str:
    """A template of this package with every @WORD@ replaced by its value.

    Raises KeyError for a word without one.
    """
    text = files("sim2real").joinpath("templates", *template.split("/")).read_text(encoding="utf-8")
    return _substitute(text, {"MARK": MARK} | dict(values))


def _substitute(text: str, values: Mapping[str, str]) -> str:
    return re.sub(r"@([A-Z0-9_]+)@", lambda found: values[found[1]], text)


def _filled(words: Mapping[str, str], values: Mapping[str, str]) -> dict[str, str]:
    return {word: _substitute(text, values) for word, text in words.items()}


def _golden_steps(golden: GoldenPairs) -> int:
    return golden.observation.shape[1]


def _names(name: str, policy: ActorCritic, golden: GoldenPairs) -> dict[str, str]:
    spec, count = policy.spec, golden.observation.size // golden.observation.shape[-1]
    return {
        "NAME": name,
        "MACRO": name.upper(),
        "O": str(spec.observation_size),
        "A": str(spec.action_size),
        "GOLDEN": str(count),
        "GOLDEN_PLUS_1": str(count + 1),
    }


def _texts(policy: ActorCritic) -> dict[str, str]:
    spec = policy.spec
    bounds = list(zip(spec.action_low, spec.action_high, spec.safe_action, strict=True))
    actions = [f"{low:g} to {high:g}, safe {safe:g}" for low, high, safe in bounds]
    return {
        "DESCRIPTION": comment(f"Policy of task {spec.task} for {spec.robot or 'a robot without a name'}."),
        "OBSERVATION_TABLE": _table(spec.observation),
        "ACTION_TABLE": _table(spec.action, actions),
        "SHA256": checkpoint_hash(policy),
        "VERSION": producer_version(),
        "HISTORY": str(spec.action_history),
        "CONTROL_HZ": literal(spec.control_hz),
        "TASK": string(spec.task),
        "ROBOT": string(spec.robot),
        "ACTION_TYPE": string(action_type(spec)),
    }


def _origin(trained: TrainedOn | None) -> dict[str, str]:
    options = options_in_words(trained)
    return {
        "TASK_OPTIONS_TEXT": comment(options),
        "TASK_OPTIONS": string(options),
        "AIRFRAME": comment(airframe_in_words(trained)),
    }


def _table(entries: tuple[Channel, ...], remarks: Iterable[str] | None = None) -> str:
    """Table of entries as lines of a C comment: index, name, unit, frame and remark."""
    notes = [""] * len(entries) if remarks is None else list(remarks)
    rows = [
        (str(index), entry.name, f"[{entry.unit}]", f"in {entry.frame}" if entry.frame else "", note)
        for index, (entry, note) in enumerate(zip(entries, notes, strict=True))
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(f" *   {comment(line)}".rstrip() for line in lines)


def _arithmetic(spec: PolicySpec, tanh: str) -> tuple[str, str, str]:
    """What the activation needs of libm: a remark, the includes, and the functions."""
    needed = {"tanh": ["tanhf"], "elu": ["expm1f"], "relu": []}[spec.activation] if spec.hidden_sizes else []
    if spec.memory == "gru" and "tanhf" not in needed:
        needed.append("tanhf")
    if not needed:
        return "needs no libm", "", ""
    if tanh == "libm":
        return f"needs {' and '.join(needed)} of libm", "#include <math.h>\n", ""
    return "needs no libm", "", _TANH + (_EXPM1 if "expm1f" in needed else "")


def _layers(policy: ActorCritic, name: str) -> tuple[list[str], str]:
    """Calls that compute the mean from buffer `a`, and the buffer of the result."""
    calls, here, there = [], "a", "b"
    for index, layer in enumerate(policy.actor):
        if isinstance(layer, nn.Linear):
            sizes = (layer.in_features, layer.out_features)
            parameters = f"&{name}_weight_{index}[0][0], {name}_bias_{index}"
            calls.append(f"{name}_linear({parameters}, {here}, {sizes[0]}, {there}, {sizes[1]})")
            here, there = there, here
        elif isinstance(layer, nn.GRUCell):
            calls.append(f"{name}_gru({here}, memory->values, {there})")
            calls.append(f"memcpy(memory->values, {there}, sizeof memory->values)")
            here, there = there, here
        elif isinstance(layer, nn.Tanh | nn.ReLU | nn.ELU):
            calls.append(f"{name}_activate({here}, {sizes[1]})")
        else:
            kinds = "Linear, Tanh, ReLU, ELU, GRUCell"
            raise ExportError(f"layer actor.{index} is {type(layer).__name__}; allowed: {kinds}")
    return calls, here


def _arrays(policy: ActorCritic, golden: GoldenPairs, name: str) -> str:
    shift, scale = policy.normalizer.shift_and_scale()
    lowest, highest = bounds_within(policy.spec)
    arrays: dict[str, NDArray[Any]] = {
        "observation_mean": array(shift),
        "observation_scale": array(scale),
        "action_low": array(policy.action_low),
        "action_half_range": array(0.5 * (policy.action_high - policy.action_low)),
        "action_lowest": lowest,
        "action_highest": highest,
        "golden_observation": golden.observation.reshape(-1, policy.spec.observation_size),
        "golden_action": golden.action.reshape(-1, policy.spec.action_size),
    }
    for index, layer in enumerate(policy.actor):
        if isinstance(layer, nn.Linear | nn.GRUCell):
            arrays |= {f"{kind}_{index}": array(values) for kind, values in layer.named_parameters()}
    return "".join(_definition(f"{name}_{what}", value) for what, value in arrays.items())


def _definition(name: str, value: NDArray[np.floating]) -> str:
    shape = "".join(f"[{size}]" for size in value.shape)
    if value.ndim == 1:
        return f"static const float {name}{shape} = {{{_numbers(value)}}};\n\n"
    rows = "".join(f"    {{{_numbers(row)}}},\n" for row in value)
    return f"static const float {name}{shape} = {{\n{rows}}};\n\n"


def _numbers(values: NDArray[np.floating]) -> str:
    return ", ".join(map(literal, values))
