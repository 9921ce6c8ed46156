"""Rows per second of the learner, as a share of bare matrix products of the same shapes.

    python -m benchmarks.speed.learner [--minibatches 256 1024] [--rounds 9] [--threads 1] [--json FILE]

The networks are those of hover's preset. In each round an update of the learner, shuffling and bookkeeping included,
and bare matrix products are timed one after the other, on as many rows. Forward and backward pass of a linear layer are
three products of equal cost, x W^T, d W and d^T x, and the bare products are these three of every layer of actor and
critic. A share is the median of the shares within a round, so that other load on the machine hits both sides.
"""

from __future__ import annotations

import hgrpo_control  # noqa: F401  (before torch: it says how torch's threads wait, as it does in training)

# isort: split
import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

import robots
from benchmarks.suite.origin import describe_origin
from hgrpo_control.algorithms.batch import Batch
from hgrpo_control.config.learning import Learning
from hgrpo_control.learning.learner import Learner
from hgrpo_control.presets.quadrotor import preset
from hgrpo_control.reports.compare import markdown_table
from hgrpo_control.training.simulation import policy_spec
from policies.actor_critic import ActorCritic

EPOCHS = 2
LEAST_ROWS = 8192  # of a batch, so that a timing takes long enough
MINIBATCHES = (256, 1024, 8192, 32_768)
COLUMNS = ("minibatch", "learner [rows/s]", "matrix products [rows/s]", "share")


class Rates(NamedTuple):
    """Rows per second, one per round."""

    learner: list[float]
    products: list[float]


def begin_update(policy: ActorCritic, rows: int, minibatch: int) -> Callable[[], object]:
    """An update of a learner on a batch of `rows` that the policy might have drawn, cut into minibatches."""
    generator = torch.Generator().manual_seed(1)
    observation = torch.randn(rows, policy.spec.observation_size, generator=generator)
    noise = torch.randn(rows, policy.spec.action_size, generator=generator)
    advantage, target = torch.randn(2, rows, generator=generator)
    with torch.no_grad():
        action = policy.mean(observation) + policy.sigma * noise
        log_prob, value = policy.log_prob(observation, action).unsqueeze(1), policy.value(observation)
    batch = Batch(
        observation, action.unsqueeze(1), log_prob, advantage.unsqueeze(1), torch.ones(rows, 1), value, target
    )
    learning = Learning(update_epochs=EPOCHS, num_minibatches=rows // minibatch, learning_rate=1e-4)
    learner = Learner(policy, learning, seed=0)
    return lambda: learner.update(batch)


def begin_products(policy: ActorCritic, rows: int, minibatch: int) -> Callable[[], None]:
    """Matrix products of the forward and backward passes of as many minibatches."""
    linear = [module for module in policy.modules() if isinstance(module, nn.Linear)]
    operands = []
    for module in linear:
        weight = module.weight.detach().clone()
        x, d = torch.randn(minibatch, weight.shape[1]), torch.randn(minibatch, weight.shape[0])
        operands.append((weight, x, d, torch.empty_like(d), torch.empty_like(x), torch.empty_like(weight)))

    def multiply() -> None:
        for _ in range(EPOCHS * rows // minibatch):
            for weight, x, d, output, by_input, by_weight in operands:
                torch.mm(x, weight.t(), out=output)
                torch.mm(d, weight, out=by_input)
                torch.mm(d.t(), x, out=by_weight)

    return multiply


def measure(minibatch: int, rounds: int) -> Rates:
    """Time the learner and the products in turns, for minibatches of so many rows."""
    rows = minibatch * max(1, -(-LEAST_ROWS // minibatch))
    config = preset("ppo", "quadrotor-hover")
    spec = policy_spec(robots.make(config.task).spec, config.network, critic=True)
    policy = ActorCritic(spec, config.network.init_sigma, torch.Generator().manual_seed(0))
    contestants = [begin_update(policy, rows, minibatch), begin_products(policy, rows, minibatch)]
    for contestant in contestants:
        contestant()  # warms up
    rates = Rates([], [])
    for _ in range(rounds):
        for column, contestant in zip(rates, contestants, strict=True):
            began = time.perf_counter()
            contestant()
            column.append(EPOCHS * rows / (time.perf_counter() - began))
    return rates


def describe(minibatch: int, rates: Rates) -> dict[str, Any]:
    """The figures of a size of minibatches."""
    return {
        "minibatch": minibatch,
        "learner_rows_per_second": statistics.median(rates.learner),
        "products_rows_per_second": statistics.median(rates.products),
        "share": statistics.median(a / b for a, b in zip(rates.learner, rates.products, strict=True)),
    }


def table(lines: Sequence[dict[str, Any]]) -> str:
    """Markdown table of the figures of several sizes."""
    rows = [
        [
            f"{line['minibatch']:,}",
            f"{line['learner_rows_per_second']:,.0f}",
            f"{line['products_rows_per_second']:,.0f}",
            f"{line['share']:.0%}",
        ]
        for line in lines
    ]
    return markdown_table(COLUMNS, rows)


def main(words: Sequence[str] | None = None) -> int:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minibatches", nargs="+", type=int, default=MINIBATCHES, help="rows of a minibatch")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1, help="threads of torch")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here, too")
    given = parser.parse_args(words)
    if min(*given.minibatches, given.rounds, given.threads) <= 0:
        parser.error(
            "--minibatches, --rounds and --threads must be positive; "
            f"given {given.minibatches}, {given.rounds} and {given.threads}"
        )
    torch.set_num_threads(given.threads)
    lines = [describe(minibatch, measure(minibatch, given.rounds)) for minibatch in given.minibatches]
    print(table(lines), end="")
    if given.json is not None:
        given.json.write_text(json.dumps({"origin": describe_origin(), "lines": lines}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
