"""Train the policies of the zoo, measure them, and put them into the package.

    python -m benchmarks.experiments.zoo [NAME ...] [--runs DIR]

Each policy is trained by `hgrpo train` with the options of RECIPES into DIR/NAME, unless a finished run of these
settings lies there, flies EPISODES fresh episodes, and is exported into policies/zoo. zoo.json gets its figures.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

from hgrpo_control.commands.train_options import parse_train_options
from hgrpo_control.config.run import Config
from hgrpo_control.evaluation.array_policy import ArrayPolicy
from hgrpo_control.evaluation.evaluate import evaluate
from hgrpo_control.export.files import trained_on
from hgrpo_control.runs.run_folder import RunFolder
from hgrpo_control.training.simulation import make_simulator
from hgrpo_errors import HgrpoError, unknown
from policies.checkpoint import restore
from policies.zoo import FOLDER, INDEX, Entry, entries
from robots.simulator import closing
from sim2real.export.onnx import export_onnx
from sim2real.policy.onnx_policy import OnnxPolicy

EPISODES, SEED = 200, 1
PROGRAM = (sys.executable, "-m", "hgrpo_control")


class Recipe(NamedTuple):
    """How a policy is trained."""

    algorithm: str
    options: tuple[str, ...] = ()
    """Options of `hgrpo train` beside the preset of algorithm and task."""


RECIPES: dict[str, Recipe] = {
    "Ant-v5": Recipe("ppo"),
    "HalfCheetah-v5": Recipe("ppo"),
    "Hopper-v5": Recipe("ppo"),
    "Humanoid-v5": Recipe("ppo"),
    "HumanoidStandup-v5": Recipe("ppo"),
    "InvertedDoublePendulum-v5": Recipe("ppo"),
    "InvertedPendulum-v5": Recipe("ppo"),
    "Pusher-v5": Recipe("ppo"),
    "Reacher-v5": Recipe("ppo"),
    "Swimmer-v5": Recipe("ppo"),
    "Walker2d-v5": Recipe("ppo"),
    "quadrotor-any": Recipe("hybrid-grpo"),
    "quadrotor-any-track": Recipe("hybrid-grpo"),
    "quadrotor-gates": Recipe("hybrid-grpo"),
    "quadrotor-hover": Recipe("hybrid-grpo"),
    "quadrotor-hover-gusty": Recipe("hybrid-grpo"),
    "quadrotor-hover-randomized": Recipe("hybrid-grpo"),
    "quadrotor-obstacles": Recipe("hybrid-grpo"),
    "quadrotor-pursuit": Recipe("hybrid-grpo"),
    "quadrotor-track": Recipe("hybrid-grpo"),
    "quadrotor-waypoints": Recipe("hybrid-grpo"),
}
"""Recipes by name of the task, which is that of the policy."""


def make(name: str, runs: Path) -> Entry:
    """Train, measure and export one policy; raises HgrpoError for an unknown name or a run of other settings."""
    if name not in RECIPES:
        raise HgrpoError(unknown("policy", name, tuple(RECIPES)))
    recipe = RECIPES[name]
    words = [recipe.algorithm, name, *recipe.options]
    config = parse_train_options(words).config
    path = runs / name
    if not path.exists():
        subprocess.run([*PROGRAM, "train", *words, "--out", str(path)], check=True)
    folder = RunFolder.open(path)
    if folder.read_config() != config:
        raise HgrpoError(f"{path} was trained with other settings than {shlex.join(words)}; choose another --runs")
    policy, training = restore(path)
    if training["simulator_steps"] < config.num_iterations * config.steps_per_iteration:
        raise HgrpoError(f"{path} is not finished; go on with: hgrpo resume {path}")
    file = FOLDER / f"{name}.onnx"
    export_onnx(policy, file, trained=trained_on(config, policy.spec.robot))
    entry = measured(file, config, Entry(
        task=config.task,
        command=shlex.join(["hgrpo", "train", *words]),
        simulator_steps=training["simulator_steps"],
        observations=int(policy.normalizer.count),
        episodes=EPISODES, seed=SEED, success_rate=None, return_mean=0.0, return_std=0.0,
    ))  # fmt: skip
    index = {**entries(), name: entry}
    INDEX.write_text(json.dumps({key: asdict(index[key]) for key in sorted(index)}, indent=2) + "\n")
    entries.cache_clear()
    return entry


def measured(file: Path, config: Config, entry: Entry) -> Entry:
    """The entry with the figures of an exported file over its episodes."""
    with closing(make_simulator(config)) as simulator:
        flown, _ = evaluate(ArrayPolicy(OnnxPolicy(file)), simulator, entry.episodes, entry.seed)
        goal = bool(simulator.spec.goal)
    return Entry(**{
        **vars(entry),
        "success_rate": round(flown.success_rate, 4) if goal else None,
        "return_mean": round(flown.return_mean, 2),
        "return_std": round(flown.return_std, 2),
    })  # fmt: skip


def main() -> int:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="policies; without any, all of them")
    parser.add_argument("--runs", type=Path, default=Path("runs/zoo"), help="folder of the runs (default: %(default)s)")
    options = parser.parse_args()
    for name in options.names or RECIPES:
        try:
            print(f"{name}: {make(name, options.runs).figures()}", flush=True)
        except HgrpoError as error:
            print(f"{name}: {error}", file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
