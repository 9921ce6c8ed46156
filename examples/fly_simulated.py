"""Fly an exported policy at its rate in a real-time simulator, under a watchdog.

    python examples/fly_simulated.py                              # first trains a policy to hover, some seconds
    python examples/fly_simulated.py --policy runs/hover/policy.onnx --seconds 20

The same loop flies vehicles. In every period it reads the target, calls the policy and sends the action that the
watchdog allows. A late action is a miss, and too many misses end the flight. --fast does not wait for the clock.
"""

import argparse
import dataclasses
from pathlib import Path
from tempfile import TemporaryDirectory

import hgrpo_control
from sim2real import OnnxPolicy
from sim2real.export.onnx import export_onnx
from sim2real.flight.clock import MonotonicClock, SteppedClock
from sim2real.flight.loop import LoopOptions, fly
from sim2real.targets.simulated import SimulatedTarget


def trained(steps: int) -> OnnxPolicy:
    """Train a policy to hover, export it and load the file."""
    config = dataclasses.replace(hgrpo_control.preset("hybrid-grpo", "quadrotor-hover"), total_steps=steps)
    with TemporaryDirectory() as folder:
        export_onnx(hgrpo_control.train(config).policy, Path(folder) / "policy.onnx")
        return OnnxPolicy(Path(folder) / "policy.onnx")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--policy", type=Path, help="an exported file")
    parser.add_argument("--steps", type=int, default=131_072, help="simulator steps of training, at least 4,096")
    parser.add_argument("--seconds", type=float, default=20.0, help="of flight")
    parser.add_argument("--fast", action="store_true", help="as fast as it goes instead of in real time")
    given = parser.parse_args()

    policy = OnnxPolicy(given.policy) if given.policy else trained(given.steps)
    clock = SteppedClock() if given.fast else MonotonicClock()
    target = SimulatedTarget(policy.spec, clock, trained=policy.trained_on)
    flight = fly(policy, target, LoopOptions(seconds=given.seconds), clock)

    print(f"ended: {flight.reason}")
    print(target.summary())
    print(flight.statistics.table())
