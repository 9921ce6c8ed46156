"""Suites of tiny runs."""

from __future__ import annotations

import json

from benchmarks.suite.definition import Suite, Variant
from benchmarks.suite.plan import Run

# Stands in for `hgrpo` where a test is about the runner: what it does depends on the variant that it is asked for.
STAND_IN = """
import json, os, pathlib, shutil, signal, sys
words = sys.argv[2:]
if words[0] == "evaluate":
    given = dict(zip(words[2::2], words[3::2]))
    figures = {"task": "quadrotor-hover", "episodes": int(given["--episodes"]), "seed": int(given["--seed"])}
    pathlib.Path(words[1], "evaluation.json").write_text(json.dumps(figures))
    sys.exit()
out = pathlib.Path(words[-1])
variant = out.parent.name
if variant == "fails":
    sys.exit("this is why")
if variant == "is-killed":
    os.kill(os.getpid(), signal.SIGKILL)
if variant == "waits":
    print("waiting", flush=True)
    sys.stdin.read()
    sys.exit("asked to stop")
shutil.copytree(pathlib.Path(sys.argv[1], out.name), out)
"""
OPTIONS = "--num-envs 4 --rollout-steps 4 --num-minibatches 1 --update-epochs 1 --hidden-sizes 8 --total-steps"


def a_suite(*names: str, seeds: tuple[int, ...] = (0,)) -> Suite:
    variants = tuple(Variant(name, "ppo", (*OPTIONS.split(), "32")) for name in names)
    return Suite("trial", "Trial", ("quadrotor-hover",), variants, seeds, episodes=5)


def processes(run: Run) -> list[str]:
    """First words of the commands that were started for a run."""
    return [json.loads(line)["command"][1] for line in run.origin.read_text(encoding="utf-8").splitlines()]
