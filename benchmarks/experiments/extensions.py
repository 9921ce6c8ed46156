"""Effect of each extension by itself on quadrotor-hover, from the same settings with updates of 65,536 steps."""

from __future__ import annotations

from benchmarks.experiments.hover_update_size import WITHOUT_SLOPES
from benchmarks.suite.definition import Suite, Variant

STEPS = ("--total-steps", str(24 * 65_536))
LARGE_GROUPS = ("--num-envs", "64")  # 65,536 steps per update, as those of FORMER
FORMER = (
    *(WITHOUT_SLOPES, ("--num-samples", "4"), ("--estimator", "group_shrunk"), ("--num-envs", "256")),
    *(("--rollout-steps", "64"), ("--learning-rate", "1.5e-3"), ("--update-epochs", "5"), ("--num-minibatches", "8")),
)
"""What was the preset of Hybrid GRPO when these experiments were made."""


def hybrid(name: str, *words: str, group: str = "Hybrid GRPO") -> Variant:
    """The former preset of Hybrid GRPO with a few words more."""
    return Variant(name, "hybrid-grpo", (*STEPS, *former_with(words)), group)


def former_with(words: tuple[str, ...]) -> tuple[str, ...]:
    """Words of the former preset that `words` do not set, then these."""
    return (*(word for option in FORMER if option[0] not in words for word in option), *words)


def grpo(name: str, *words: str) -> Variant:
    """The preset of GRPO with a few words more."""
    return Variant(name, "grpo", (*STEPS, *LARGE_GROUPS, *words), "GRPO")


SUITE = Suite(
    name="extensions",
    title="What each extension changes",
    tasks=("quadrotor-hover",),
    variants=(
        hybrid("preset"),
        hybrid("tanh", "--reward-transform", "tanh", group="rewards"),
        hybrid("clip", "--reward-transform", "clip", group="rewards"),
        hybrid("scale", "--reward-transform", "scale", group="rewards"),
        hybrid("rolling", "--reward-transform", "rolling", group="rewards"),
        hybrid("rolling-std", "--reward-transform", "rolling-std", group="rewards"),
        hybrid("callable", "--reward-transform", "torch:erf", group="rewards"),
        hybrid("target-sigma", "--ent-coef", "0.01", "--target-sigma", "0.3"),
        hybrid("entropy", "--ent-coef", "0.001"),
        hybrid("clip-high", "--clip-high", "0.28"),
        hybrid("branches-of-8", "--branch-steps", "8", "--gae-lambda", "0.95"),
        hybrid(
            "guided-branches-of-8",
            *("--branch-steps", "8", "--gae-lambda", "0.95"),
            *("--guided-candidates", "16", "--guidance-temperature", "0.05"),
        ),
        hybrid("branches-of-1", "--branch-steps", "1", "--gae-lambda", "0.95"),
        hybrid("paper", "--estimator", "paper"),
        grpo("grpo"),
        grpo("grpo-leave-one-out", "--baseline", "leave_one_out"),
        grpo("grpo-batch-scale", "--scale", "batch"),
        grpo("grpo-no-scale", "--scale", "none"),
        grpo("grpo-reward-to-go", "--credit", "reward_to_go"),
        grpo("grpo-initial-states", "--groups", "initial_states"),
        grpo("grpo-drop-zero-variance", "--drop-zero-variance"),
        Variant(
            "reference", "hybrid-grpo", (*STEPS, *former_with(("--kl-coef", "0.01"))), "Hybrid GRPO", reference="preset"
        ),
    ),
    seeds=(0,),
)
