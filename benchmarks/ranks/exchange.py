"""The exchanges of an update, counted and timed apart from the wait for the other process; started by __main__."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
import torch.distributed as dist

from benchmarks.ranks.cases import CASES, config_of
from hgrpo_control.ranks.group import Group
from hgrpo_control.ranks.join import joined
from hgrpo_control.training.trainer import Trainer

BYTES = (8, 4_000, 40_000, 400_000, 4_000_000)
_REPEATS = 100
_ITERATIONS = 3


def main(out: str) -> None:
    """Measure, and write one JSON file from rank 0."""
    with joined("cpu") as ranks:
        assert isinstance(ranks, Group), "start two processes"
        seconds = {size: _all_reduce(size) for size in BYTES}
        measured = {"seconds": seconds, "cases": {name: _update(name, ranks) for name in CASES}}
        if ranks.rank == 0:
            Path(out).write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")


def _all_reduce(size: int) -> float:
    """Median seconds of an all-reduce of so many bytes."""
    message, seconds = torch.zeros(size // 4), []
    for _ in range(_REPEATS):
        dist.barrier()
        began = time.perf_counter()
        dist.all_reduce(message)
        seconds.append(time.perf_counter() - began)
    return median(seconds)


def _update(name: str, ranks: Group) -> dict[str, float]:
    """Exchanges of one iteration, and their seconds without waiting."""
    trainer = Trainer.from_config(config_of(name), ranks)
    trainer.step()
    plain, spent = ranks._exchange, list[float]()

    def timed(call: Callable[[], Any]) -> None:
        dist.barrier()
        began = time.perf_counter()
        plain(call)
        spent.append(time.perf_counter() - began)

    ranks._exchange = timed  # type: ignore[method-assign]
    updates = sum(trainer.step()["epochs"] for _ in range(_ITERATIONS)) * trainer.config.learning.num_minibatches
    ranks._exchange = plain  # type: ignore[method-assign]
    trainer.close()
    return {
        "exchanges": len(spent) / _ITERATIONS,
        "gradients": updates / _ITERATIONS,
        "gradient_bytes": 4 * len(trainer.learner.optimizer.message),
        "exchange_seconds": sum(spent) / _ITERATIONS,
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
