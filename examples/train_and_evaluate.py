"""Train a quadrotor to hover with Hybrid GRPO, then evaluate it on new episodes.

    python examples/train_and_evaluate.py

The settings are the preset of algorithm and task, which `hgrpo train hybrid-grpo quadrotor-hover` also uses: a few
seconds on two cores. --out writes a run folder for `hgrpo evaluate`, `export`, `fly` and `resume`.
"""

from __future__ import annotations

import argparse
import dataclasses
import math

import hgrpo_control
import robots


class Printed:
    """One line of progress every four iterations."""

    def report(self, metrics) -> None:
        """Print a line; called after every iteration with its row of metrics.csv."""
        if metrics["iteration"] % 4 == 1:
            print(
                f"{metrics['simulator_steps']:>9,} steps in {metrics['wall_seconds']:4.0f} s: "
                f"return {metrics['episode_return']:6.1f}, success rate {metrics['success_rate']:.2f}",
                flush=True,
            )


def main() -> None:
    """Train and evaluate."""
    config = hgrpo_control.preset("hybrid-grpo", "quadrotor-hover")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=config.total_steps, help="simulator steps, at least 4,096")
    parser.add_argument("--episodes", type=int, default=200, help="of the evaluation")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", help="folder of the run; must not exist yet")
    given = parser.parse_args()

    config = dataclasses.replace(config, total_steps=given.steps, seed=given.seed)
    policy = hgrpo_control.train(config, given.out, (Printed(),)).policy

    # Deterministic actions from starts that training never saw. The return is the sum of an episode's rewards.
    evaluation, _ = hgrpo_control.evaluate(policy, robots.make("quadrotor-hover"), given.episodes, seed=1)
    print(evaluation.summary())
    for name, length in evaluation.final_second.items():
        if not math.isnan(length):  # NaN if no episode reached its time limit
            print(f"over the last second: {name} {length:.3g}")


if __name__ == "__main__":
    main()
