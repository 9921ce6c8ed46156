"""Grid behind the presets of the MuJoCo robots: ways to cut 300,000 simulator steps into batches."""

from __future__ import annotations

from benchmarks.suite.definition import Suite, Variant

TASKS = ("HalfCheetah-v5", "Hopper-v5", "Walker2d-v5")


def settings(
    envs: int, steps: int, minibatch: int, learning_rate: float, samples: int = 1, epochs: int = 10, rows: int = 0
) -> tuple[str, ...]:
    """Words for one point of the grid; `minibatch` is in rows of a batch, which has `rows` (E x T x N if 0)."""
    batch = rows or envs * steps * samples
    return (
        *("--total-steps", "300000", "--num-envs", str(envs), "--rollout-steps", str(steps)),
        *("--num-minibatches", str(batch // minibatch), "--learning-rate", str(learning_rate)),
        *("--update-epochs", str(epochs), "--reward-transform", "scale", "--init-sigma", "0.6"),
        *("--max-grad-norm", "0.5"),
    )


def ppo(envs: int, steps: int, minibatch: int, learning_rate: float, *words: str, name: str = "") -> Variant:
    """PPO with generalised advantages, lambda .95."""
    discount = () if "--gae-lambda" in words else ("--gae-lambda", "0.95")
    given = (*discount, *settings(envs, steps, minibatch, learning_rate), *words)
    label = f"ppo-E{envs}-T{steps}-mb{minibatch}-lr{learning_rate:g}{name}"
    return Variant(label, "ppo", given, "PPO")


def hybrid(
    envs: int,
    samples: int,
    steps: int,
    minibatch: int,
    learning_rate: float,
    gae_lambda: float,
    *words: str,
    n: int = 0,
) -> Variant:
    """Hybrid GRPO with whole-rollout branches, or of n steps."""
    rows = envs * steps if n == 1 else 0
    given = ("--num-samples", str(samples), "--gae-lambda", str(gae_lambda), *(("--branch-steps", str(n)) if n else ()))
    label = f"hybrid-E{envs}-N{samples}-T{steps}-n{n or steps}-lambda{gae_lambda:g}-lr{learning_rate:g}"
    return Variant(
        label,
        "hybrid-grpo",
        (*given, *settings(envs, steps, minibatch, learning_rate, samples, rows=rows), *words),
        "Hybrid GRPO",
    )


SHRUNK = ("--estimator", "group_shrunk")

SUITE = Suite(
    name="mujoco-tuning",
    title="Cutting 300,000 steps into batches",
    tasks=TASKS,
    variants=(
        ppo(8, 256, 256, 6e-4),
        ppo(8, 256, 256, 1e-3),
        ppo(8, 256, 64, 3e-4),
        ppo(8, 256, 256, 6e-4, "--init-sigma", "1.0", name="-sigma1"),
        ppo(8, 256, 64, 3e-4, "--init-sigma", "1.0", name="-sigma1"),
        ppo(8, 128, 128, 6e-4),
        ppo(32, 64, 256, 6e-4),
        ppo(8, 256, 256, 6e-4, "--gamma", "0.98", "--gae-lambda", "0.92", name="-gamma.98-lambda.92"),
        ppo(8, 256, 256, 1e-3, "--gamma", "0.98", "--gae-lambda", "0.92", name="-gamma.98-lambda.92"),
        ppo(8, 256, 64, 3e-4, "--gamma", "0.98", "--gae-lambda", "0.92", name="-gamma.98-lambda.92"),
        hybrid(4, 2, 256, 256, 6e-4, 0.95, *SHRUNK),
        hybrid(8, 2, 128, 256, 6e-4, 0.95, *SHRUNK),
        hybrid(8, 4, 64, 256, 6e-4, 0.95, *SHRUNK),
        hybrid(8, 4, 128, 128, 6e-4, 0.95, "--estimator", "per_sample", n=1),
        hybrid(8, 4, 256, 256, 6e-4, 0.95, "--estimator", "group", n=1),
    ),
    seeds=(10, 11, 12),
    episodes=20,
)
