"""Peak memory of one training iteration against the size of the rollout's tensors.

    python -m benchmarks.speed.memory [--algorithm ppo] [--task quadrotor-hover] [--envs 65536] [--threads 2]

`--envs` is the number of roots E; rows are E x N with the preset's N.
The iteration runs in a process of its own, after one of 16 roots that loads and compiles everything. The memory of the
large iteration is the rise of the process's largest resident set (ru_maxrss) above that of the small one. The update
makes one pass over the batch, since further passes need no more memory. Bar: at most twice the rollout's tensors.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from hgrpo_control.presets.quadrotor import preset
from hgrpo_errors import HgrpoError

BAR = 2.0  # times the rollout's tensors
SMALL_ENVS = 16
_CHILD = "import sys; from benchmarks.speed.memory import child; child(*sys.argv[1:])"


def main(words: Sequence[str] | None = None) -> int:
    """Measure and print; 2 for a user's mistake."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--algorithm", default="ppo")
    parser.add_argument("--task", default="quadrotor-hover")
    parser.add_argument("--envs", type=int, default=65536, help="roots E of the iteration")
    parser.add_argument("--threads", type=int, default=2, help="threads of torch")
    given = parser.parse_args(words)
    if given.envs < SMALL_ENVS or given.threads < 1:
        parser.error(f"--envs must be at least {SMALL_ENVS}, --threads 1; given {given.envs} and {given.threads}")
    try:
        preset(given.algorithm, given.task)
    except HgrpoError as error:
        parser.error(str(error))
    print(describe(measure(given.algorithm, given.task, given.envs, given.threads)))
    return 0


def measure(algorithm: str, task: str, envs: int, threads: int) -> dict[str, Any]:
    """Figures of one iteration in a process of its own: `rows`, `steps`, and `small`, `large`, `rollout` [bytes]."""
    # A child begins with the largest resident set of its parent, so this module imports neither torch nor MuJoCo.
    words = [sys.executable, "-c", _CHILD, algorithm, task, str(envs), str(threads)]
    figures: dict[str, Any] = json.loads(subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout)
    return figures


def describe(figures: dict[str, Any]) -> str:
    """The figures in three lines."""
    small, large, rollout = (figures[name] / 1e6 for name in ("small", "large", "rollout"))
    return (
        f"{figures['rows']:,} rows x {figures['steps']} steps: tensors of the rollout {rollout:,.0f} MB\n"
        f"peak of the process {large:,.0f} MB, of a small iteration {small:,.0f} MB\n"
        f"the iteration takes {large - small:,.0f} MB = {(large - small) / rollout:.2f} times the rollout's tensors; "
        f"bar: {BAR:g}"
    )


def child(algorithm: str, task: str, envs: str, threads: str) -> None:
    """Run a small and a large iteration; print the figures as JSON."""
    import dataclasses

    import torch

    from hgrpo_control.training.trainer import Trainer

    torch.set_num_threads(int(threads))
    config = preset(algorithm, task)
    learning = dataclasses.replace(config.learning, update_epochs=1)

    def iterate(num_envs: int) -> Trainer:
        trainer = Trainer.from_config(
            dataclasses.replace(config, num_envs=num_envs, learning=learning, total_steps=10**12)
        )
        trainer.step()
        return trainer

    iterate(SMALL_ENVS).close()
    small = _peak()
    trainer = iterate(int(envs))
    large = _peak()
    rollout, _ = trainer.sampler.collect()
    tensors = [x for x in rollout if isinstance(x, torch.Tensor)]
    storages = {x.untyped_storage().data_ptr(): x.untyped_storage().nbytes() for x in tensors}
    rows = rollout.done.shape[1] * rollout.done.shape[2]
    figures = {"rows": rows, "steps": len(rollout.done), "small": small, "large": large}
    print(json.dumps({**figures, "rollout": sum(storages.values())}))


def _peak() -> int:
    """Largest resident set of this process so far [bytes]."""
    import resource

    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest if sys.platform == "darwin" else 1024 * largest


if __name__ == "__main__":
    sys.exit(main())
