"""Compare PPO, GRPO and Hybrid GRPO on one task at equal simulator steps.

    python examples/compare_algorithms.py
    python examples/compare_algorithms.py --steps 4194304 --out runs/comparison     # keep runs, curves and a table

Each algorithm uses its preset for the task. A branching algorithm also spends simulator steps on siblings: only its
`executed` steps are on a path that a real robot would have flown. One seed proves little; docs/results has more.
"""

import argparse
import dataclasses
from pathlib import Path
from tempfile import TemporaryDirectory

import hgrpo_control
import robots

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="quadrotor-hover")
    parser.add_argument("--steps", type=int, default=2_097_152, help="of each, at least 65,536 on quadrotor-hover")
    parser.add_argument("--episodes", type=int, default=100, help="of each evaluation")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="where runs, learning curves and the table go")
    given = parser.parse_args()

    simulator, figures, folders = robots.make(given.task), [], []
    with TemporaryDirectory() as scratch:
        out = given.out or Path(scratch)
        for algorithm in ("ppo", "grpo", "hybrid-grpo"):
            config = hgrpo_control.preset(algorithm, given.task)
            config = dataclasses.replace(config, seed=given.seed, total_steps=given.steps)
            folders.append(out / algorithm)
            policy = hgrpo_control.train(config, folders[-1]).policy
            evaluation, _ = hgrpo_control.evaluate(policy, simulator, given.episodes, seed=1)
            evaluation.write(folders[-1] / "evaluation.json")  # where `compare` looks for it
            executed = config.num_iterations * config.num_envs * config.rollout_steps
            figures.append((algorithm, executed, evaluation))
            print(f"{algorithm} is trained", flush=True)
        picture, table = hgrpo_control.compare(folders, out)

    print(f"{'algorithm':12}{'executed':>12}{'success':>10}{'return':>10}")
    for algorithm, executed, evaluation in figures:
        print(f"{algorithm:12}{executed:12,}{evaluation.success_rate:10.3f}{evaluation.return_mean:10.1f}")
    if given.out:
        print(f"learning curves: {picture}\ntable: {table}")
