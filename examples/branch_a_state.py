"""Branch a state into eight futures, then repeat the best one bit for bit.

    python examples/branch_a_state.py

A simulator is a set of pure functions of an explicit state. To save it, keep the state. To restore it, step that state
again. To branch it, repeat its row. Hybrid GRPO and GRPO branch in every iteration.
"""

from __future__ import annotations

import argparse

import torch

import robots


def main() -> None:
    """Fly to an instant, branch there, and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--branches", type=int, default=8)
    parser.add_argument("--steps", type=int, default=30, help="control steps of a branch, 100 to a second")
    given = parser.parse_args()

    simulator = robots.make("quadrotor-hover-gusty")
    hover = torch.tensor([simulator.spec.neutral_action])
    state = simulator.reset(1, seed=0)
    for _ in range(20):
        state = simulator.step(state, hover).state  # `step` changes nothing: it returns a new state

    # Each branch gets its own motor commands; the first branch gets the commands of hovering.
    spread = 0.1 * torch.randn(given.branches, 4, generator=torch.Generator().manual_seed(0))
    spread[0] = 0.0
    branches, earned = robots.repeat(state, given.branches), torch.zeros(given.branches)
    for _ in range(given.steps):
        step = simulator.step(branches, hover + spread)
        branches, earned = step.state, earned + step.reward
    for row, value in enumerate(earned.tolist()):
        x, y, z = simulator.position(branches)[row].tolist()
        print(f"branch {row}: earned {value:6.3f}, ends at x {x:.3f} m, y {y:.3f} m, z {z:.3f} m")

    best = int(earned.argmax())
    again, sum_again = state, torch.zeros(1)
    for _ in range(given.steps):
        step = simulator.step(again, hover + spread[best : best + 1])
        again, sum_again = step.state, sum_again + step.reward
    same = torch.equal(simulator.observe(again)[0], simulator.observe(branches)[best])
    print(f"branch {best} earned most; flown again, alone: same bits {same and bool(sum_again == earned[best])}")

    # Siblings have the same gusts, because the state holds the key of all later noise. `split_noise` changes the key.
    pair = robots.repeat(state, 2)
    for name, twins in (("shared", pair), ("split", simulator.split_noise(pair, torch.arange(2)))):
        for _ in range(given.steps):
            twins = simulator.step(twins, hover.expand(2, 4)).state
        apart = (simulator.position(twins)[0] - simulator.position(twins)[1]).norm().item()
        print(f"two branches with equal commands and {name} gusts end {apart:.4f} m apart")


if __name__ == "__main__":
    main()
