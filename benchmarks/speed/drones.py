"""Cost of branching an aviary: resets and branches against its environment, which reloads its bodies at every reset
and is driven one step at a time.

python -m benchmarks.speed.drones [--aviary HoverAviary] [--action rpm] [--workers 1] [--rows 16] [--seconds 5]
"""

from __future__ import annotations

import argparse
import contextlib
import io
import time
import warnings
from collections.abc import Callable

import numpy as np
import torch

from robots.pybullet_drones.simulator import make_drones
from robots.pybullet_drones.worker_pool import require_drones
from robots.simulator import repeat

BRANCHES = 8


def rate(function: Callable[[], int], seconds: float) -> float:
    """Units per second of a function that returns how many it did; the first call is not counted."""
    function()
    start, done = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        done += function()
    return done / (time.perf_counter() - start)


def compare(what: str, environment: float, simulator: float) -> None:
    """Print two rates and how many times the environment's the simulator's is."""
    ratio = simulator / environment
    print(f"{what:28s} environment {environment:10.1f}   simulator {simulator:10.1f}   ratio {ratio:10.3f}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--aviary", default="HoverAviary")
    parser.add_argument("--action", default="rpm")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--rows", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=5.0)
    given = parser.parse_args()
    require_drones()
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        from gym_pybullet_drones import envs
        from gym_pybullet_drones.utils.enums import ActionType

        options = {} if given.aviary == "VelocityAviary" else {"act": ActionType(given.action)}
        env = getattr(envs, given.aviary)(**options)
        env.reset()
    still = np.zeros(env.action_space.shape, dtype=np.float32)

    def steps_alone() -> int:
        for _ in range(50):
            env.step(still)
        return 50

    def reset_alone() -> int:
        env.reset()
        return 1

    simulator = make_drones(given.aviary, workers=given.workers, action=given.action)
    state = simulator.reset(given.rows, 0)
    branched = repeat(state, BRANCHES)
    action = torch.zeros(len(branched.position), simulator.spec.action_size)

    def branches() -> int:
        simulator.step(branched, action)
        return len(action)

    def resets() -> int:
        simulator.reset(given.rows, 0)
        return given.rows

    def episode_begun() -> int:
        """The reset and the first step, which puts the world into the drawn state."""
        simulator.step(simulator.reset(given.rows, 0), action[: given.rows])
        return given.rows

    def episode_begun_alone() -> int:
        env.reset()
        env.step(still)
        return 1

    compare("resets/s", rate(reset_alone, given.seconds), rate(resets, given.seconds))
    compare("resets with a first step/s", rate(episode_begun_alone, given.seconds), rate(episode_begun, given.seconds))
    compare("steps/s, branches/s", rate(steps_alone, given.seconds), rate(branches, given.seconds))
    simulator.close()
    env.close()


if __name__ == "__main__":
    main()
