"""Seconds of training until quadrotor-hover succeeds: this project beside other learners, seed by seed.

    python -m benchmarks.suite.seconds_to_success [--seeds 0 1 2] [--trials 0] [--learning-to-fly PATH] [--json FILE]

Learners: `hgrpo`, this project's preset of Hybrid GRPO, which follows slopes; `hgrpo-ppo`, its preset of PPO; and
`stable-baselines3`, its PPO on this project's vector environment. After every `--every` simulator steps the policy is
evaluated in 200 fresh episodes, and the clock stands meanwhile. A run ends at the first evaluation with a success rate
of at least 0.95, or after `--total-steps`. Every learner trains with one seed before any begins the next, so that other
load on the machine hits all of them.

With `--trials K` each learner is tuned first, in K trials with another seed: one with its own settings, the others with
random ones of one grid, the same for both. The settings that succeed soonest are raced.

`--learning-to-fly PATH` runs `training_benchmark` of Learning to Fly in Seconds, a C++ program that its repository
(github.com/arplaboratory/learning-to-fly) builds. It trains TD3 for 300,000 steps of its own hover task and prints the
time. It is not evaluated here, so its line has no success rate.
"""

from __future__ import annotations

import hgrpo_control  # noqa: F401  (before torch: it says how torch's threads wait, as it does in training)

# isort: split
import argparse
import dataclasses
import importlib.util
import json
import math
import statistics
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from benchmarks.suite.learners.candidates import Candidate, draw_candidates, ours_with, stable_baselines3_with
from benchmarks.suite.learners.stable_baselines3_settings import ZooSettings
from benchmarks.suite.learners.timed import (
    TASK,
    Arrival,
    Goal,
    run_learning_to_fly,
    train_ours,
    train_stable_baselines3,
)
from benchmarks.suite.origin import describe_origin
from hgrpo_control.presets.quadrotor import preset
from hgrpo_control.reports.compare import markdown_table
from hgrpo_errors import HgrpoError

OURS, OUR_PPO, SB3, LEARNING_TO_FLY = "hgrpo", "hgrpo-ppo", "stable-baselines3", "learning-to-fly"
TUNING_SEED = 1000


class Learner(NamedTuple):
    """A learner that can be tuned."""

    settings: Any
    """Its settings without tuning."""
    adapt: Callable[[Any, Candidate], Any]
    """Settings with those of a candidate."""
    train: Callable[[Any, int, Goal], Arrival]
    """Run of (settings, seed, goal)."""


LEARNERS = {
    OURS: Learner(preset("hybrid-grpo", TASK), ours_with, train_ours),
    OUR_PPO: Learner(preset("ppo", TASK), ours_with, train_ours),
    SB3: Learner(
        ZooSettings(n_envs=64, n_steps=64, batch_size=1024, n_epochs=5, learning_rate=1.5e-3, normalize=False),
        stable_baselines3_with,
        train_stable_baselines3,
    ),
}


class Result(NamedTuple):
    """One run."""

    learner: str
    seed: int
    arrival: Arrival


def tune(names: Sequence[str], trials: int, goal: Goal) -> dict[str, Any]:
    """Settings of each learner that succeed soonest in `trials` trials; its own ones without trials."""
    best = {name: LEARNERS[name].settings for name in names}
    soonest: dict[str, tuple[float, float]] = {}
    for number, candidate in enumerate([None, *draw_candidates(trials - 1)][:trials]):
        for name in names:
            learner = LEARNERS[name]
            settings = learner.settings if candidate is None else learner.adapt(learner.settings, candidate)
            arrival = learner.train(settings, TUNING_SEED, goal)
            report(f"trial {number + 1} of {trials}, {name}, {candidate or 'its own settings'}", arrival)
            order = (math.inf if arrival.late else arrival.seconds, -(arrival.success or 0.0))
            if name not in soonest or order < soonest[name]:
                soonest[name], best[name] = order, settings
    return best


def race(settings: dict[str, Any], seeds: Sequence[int], goal: Goal, learning_to_fly: Path | None) -> list[Result]:
    """Train every learner with every seed, all learners with one seed before the next."""
    results = []
    for seed in seeds:
        for name, chosen in settings.items():
            results.append(Result(name, seed, LEARNERS[name].train(chosen, seed, goal)))
            report(f"{name}, seed {seed}", results[-1].arrival)
        if learning_to_fly is not None:
            results.append(Result(LEARNING_TO_FLY, seed, run_learning_to_fly(learning_to_fly)))
            report(f"{LEARNING_TO_FLY}, beside seed {seed}", results[-1].arrival)
    return results


def report(what: str, arrival: Arrival) -> None:
    """Print a run as soon as it has ended."""
    success = "" if arrival.success is None else f", success {arrival.success:.3f}"
    print(f"{what}: {arrival.seconds:.1f} s, {arrival.steps:,} steps{success}", file=sys.stderr)


def table(results: Sequence[Result]) -> str:
    """Markdown table of all runs, and the medians per learner."""
    rows = []
    for name, seed, arrival in results:
        success = "not evaluated" if arrival.success is None else f"{arrival.success:.3f}"
        seconds = f"over {arrival.seconds:.1f}" if arrival.late else f"{arrival.seconds:.1f}"
        rows.append([name, str(seed), seconds, f"{arrival.steps:,}", success])
    for name in dict.fromkeys(result.learner for result in results):
        arrivals = [result.arrival for result in results if result.learner == name]
        middle = statistics.median(math.inf if x.late else x.seconds for x in arrivals)
        steps = f"{statistics.median(x.steps for x in arrivals):,.0f}"
        rows.append([name, "median", f"{middle:.1f}" if math.isfinite(middle) else "not reached", steps, ""])
    return markdown_table(("learner", "seed", "seconds", "simulator steps", "success"), rows)


def read(words: Sequence[str] | None = None) -> argparse.Namespace:
    """The options; SystemExit for a user's mistake."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--learners", nargs="+", choices=list(LEARNERS), default=list(LEARNERS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--trials", type=int, default=0, help="tuning trials of each learner; 0 takes its own settings")
    parser.add_argument(
        "--total-steps", type=int, default=LEARNERS[OUR_PPO].settings.total_steps, help="of a run, at most"
    )
    parser.add_argument("--every", type=int, default=Goal.every, help="simulator steps between evaluations")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch")
    parser.add_argument("--learning-to-fly", type=Path, metavar="PATH", help="its built training_benchmark")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the runs here, too")
    given = parser.parse_args(words)
    if min(given.every, given.threads) < 1 or given.trials < 0:
        parser.error(
            "--every and --threads must be at least 1, --trials 0; "
            f"given {given.every}, {given.threads} and {given.trials}"
        )
    if given.learning_to_fly is not None and not given.learning_to_fly.is_file():
        parser.error(f"--learning-to-fly must be a program; there is no file {given.learning_to_fly}")
    if SB3 in given.learners and importlib.util.find_spec("stable_baselines3") is None:
        parser.error(f"{SB3} needs the extra bench: pip install -c constraints.txt '.[bench]'; or --learners {OURS}")
    return given


def main(words: Sequence[str] | None = None) -> int:
    """Tune, race and print; 2 for a user's mistake."""
    given = read(words)
    torch.set_num_threads(given.threads)
    goal = Goal(given.total_steps, given.every)
    try:
        settings = tune(given.learners, given.trials, goal)
        results = race(settings, given.seeds, goal, given.learning_to_fly)
    except HgrpoError as error:
        print(f"seconds_to_success: {error}", file=sys.stderr)
        return 2
    origin = {**describe_origin(["stable-baselines3", "warp-lang"]), "threads": given.threads}
    print(", ".join(f"{name} {value}" for name, value in origin.items()) + "\n")
    print(
        f"Seconds of training until {goal.episodes} fresh episodes of {TASK} succeed with a rate of {goal.success:g}; "
        f"evaluated every {goal.every:,} steps, {given.trials} tuning trials each.\n"
    )
    print(table(results))
    if given.json:
        runs = [{"learner": name, "seed": seed, **arrival._asdict()} for name, seed, arrival in results]
        chosen = {name: dataclasses.asdict(x) for name, x in settings.items()}
        text = json.dumps(
            {"origin": origin, "goal": dataclasses.asdict(goal), "settings": chosen, "runs": runs}, indent=2
        )
        given.json.write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
