"""Run, collect and report a suite of experiments: algorithms x tasks x seeds.

    python -m benchmarks.suite run NAME [--jobs 4] [--only PATTERN ...] [--seeds 0 1] [--shard 0/4] [--list]
    python -m benchmarks.suite collect NAME
    python -m benchmarks.suite report NAME

Each takes [--num-seeds N], [--total-steps N] and [--device cuda], for a suite of more seeds, of longer runs or on
another device than is written down.

NAME is a module in benchmarks/experiments/ that holds SUITE. Runs that are done are skipped and interrupted ones
resumed, so `run` may be stopped, or killed, and given again. Several machines that share the folder of the runs may
`run` one suite: each run is claimed by one worker, and the claim of a dead worker expires after five minutes.
`collect` puts the figures of finished runs into docs/results/NAME and keeps those of other machines that lie there;
`report` draws tables and pictures from these files alone.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.suite.definition import Suite, SuiteError, load_suite


def main(words: Sequence[str] | None = None) -> int:
    """Run one command; 0, 1 if a run failed, 2 for a user's mistake, 130 when interrupted."""
    given = _parser().parse_args(words)
    try:
        return int(given.command(given))
    except (ValueError, OSError) as error:
        print(f"suite: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; give the command again to go on", file=sys.stderr)
        return 130


def run(given: argparse.Namespace) -> int:
    """`python -m benchmarks.suite run NAME`."""
    from benchmarks.suite.listing import listing
    from benchmarks.suite.plan import planned_runs, require_agreement, shard
    from benchmarks.suite.runs import run_missing
    from hgrpo_control.command_line.children import usable_cores
    from hgrpo_control.config.device import find_device

    jobs = usable_cores() if given.jobs is None else given.jobs
    if jobs < 1:
        raise SuiteError(f"--jobs must be at least 1; given {jobs}")
    find_device(given.device)  # once and now, rather than in every run
    runs = planned_runs(_suite(given), given.runs, given.only, given.seeds)
    runs = runs if given.shard is None else shard(runs, given.shard)
    require_agreement(runs)
    if given.list:
        print(listing(runs, jobs))
        return 0
    failures = run_missing(runs, jobs)
    for failure in failures:
        print(f"FAILED {failure.run.label}: {failure.reason}", file=sys.stderr)
    return 1 if failures else 0


def collect(given: argparse.Namespace) -> int:
    """`python -m benchmarks.suite collect NAME`."""
    from benchmarks.suite.collect import collect as gather

    suite = _suite(given)
    results = gather(suite, given.runs, given.out / suite.name)
    print(f"{len(results.finals)} runs collected into {given.out / suite.name}; {len(results.missing)} are missing")
    return 0


def report(given: argparse.Namespace) -> int:
    """`python -m benchmarks.suite report NAME`."""
    from benchmarks.suite.report import report as draw

    for path in draw(given.out / _suite(given).name):
        print(path)
    return 0


def _suite(given: argparse.Namespace) -> Suite:
    """The suite that a command line names, as large as it asks for."""
    for option in ("num_seeds", "total_steps"):
        number = getattr(given, option)
        if number is not None and number < 1:
            raise SuiteError(f"--{option.replace('_', '-')} must be at least 1; given {number}")
    suite = load_suite(given.suite)
    suite = suite if given.num_seeds is None else suite.with_seeds(given.num_seeds)
    suite = suite if given.total_steps is None else suite.with_total_steps(given.total_steps)
    return suite.with_device(given.device)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.suite", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    running = commands.add_parser("run", help="train and evaluate what is missing")
    running.add_argument("--jobs", type=int, help="processes at once; all cores unless given")
    running.add_argument("--only", nargs="+", default=[], metavar="PATTERN", help="TASK/VARIANT, with * and ?")
    running.add_argument("--seeds", type=int, nargs="+", default=[])
    running.add_argument("--shard", metavar="I/N", help="every N-th run, from the I-th on (counted from 0)")
    running.add_argument("--list", action="store_true", help="say what is done and missing, and run nothing")
    collecting = commands.add_parser("collect", help="put the figures of finished runs into small files")
    reporting = commands.add_parser("report", help="draw tables and pictures from those files")
    for command, function in ((running, run), (collecting, collect), (reporting, report)):
        command.set_defaults(command=function)
        command.add_argument("suite", metavar="NAME", help="a module in benchmarks/experiments/")
        command.add_argument("--num-seeds", type=int, metavar="N", help="seeds 0 to N - 1 instead of the suite's")
        command.add_argument("--total-steps", type=int, metavar="N", help="per run; the suite is then named NAME-N")
        command.add_argument("--device", default="cpu", metavar="D", help="cuda or cuda:N; the suite is named NAME-D")
    for command in (running, collecting):
        command.add_argument("--runs", type=Path, default=Path("runs"), help="where run folders lie")
    for command in (collecting, reporting):
        command.add_argument("--out", type=Path, default=Path("docs/results"), help="where results lie")
    return parser


if __name__ == "__main__":
    sys.exit(main())
