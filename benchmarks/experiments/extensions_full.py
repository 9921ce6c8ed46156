"""Slow extensions, and presets that no other suite trains to their end.

The extensions need more than the first third of a preset's steps, so they are trained for all of them.
"""

from __future__ import annotations

from benchmarks.experiments.extensions import LARGE_GROUPS, former_with
from benchmarks.experiments.hidden_luck import hybrid as on_hidden_luck
from benchmarks.suite.definition import Suite, Variant

HOVER = ("quadrotor-hover",)
STEPS = ("--total-steps", str(64 * 65_536))
HIDDEN_LUCK = ("quadrotor-hover-randomized", "quadrotor-hover-gusty")
SHORT = ("--branch-steps", "8", "--gae-lambda", "0.95")


def hybrid(name: str, *words: str, group: str = "Hybrid GRPO") -> Variant:
    """The former preset of Hybrid GRPO on hover with a few words more."""
    return Variant(name, "hybrid-grpo", (*STEPS, *former_with(words)), group, HOVER)


def grpo(name: str, *words: str) -> Variant:
    """The preset of GRPO with a few words more."""
    return Variant(name, "grpo", (*STEPS, *LARGE_GROUPS, *words), "GRPO", HOVER)


# What was the preset of hidden luck before slopes.
FORMER_PRESET = Variant(
    "hidden-luck-preset",
    "hybrid-grpo",
    (*on_hidden_luck("preset", 4, 1.0, estimator="group_shrunk").options, "--total-steps", str(128 * 32_768)),
    "presets",
    HIDDEN_LUCK,
)

SUITE = Suite(
    name="extensions-full",
    title="Extensions and presets at full length",
    tasks=(*HOVER, *HIDDEN_LUCK),
    variants=(
        FORMER_PRESET,
        hybrid("rolling", "--reward-transform", "rolling", group="rewards"),
        hybrid("rolling-std", "--reward-transform", "rolling-std", group="rewards"),
        hybrid("branches-of-8", *SHORT),
        hybrid("guided-branches-of-8", *SHORT, "--guided-candidates", "16", "--guidance-temperature", "0.05"),
        hybrid("branches-of-1", "--branch-steps", "1", "--gae-lambda", "0.95"),
        hybrid("branches-of-1-faster", "--branch-steps", "1", "--gae-lambda", "0.95", "--learning-rate", "4e-3"),
        grpo("grpo"),
        grpo("grpo-leave-one-out", "--baseline", "leave_one_out"),
        grpo("grpo-batch-scale", "--scale", "batch"),
        grpo("grpo-no-scale", "--scale", "none"),
        grpo("grpo-reward-to-go", "--credit", "reward_to_go"),
        grpo("grpo-initial-states", "--groups", "initial_states"),
        grpo("grpo-drop-zero-variance", "--drop-zero-variance"),
    ),
    seeds=(0,),
)
