"""One run in one process and in two: speed, exchange, learning curves, and what they give for more processes.

    python -m benchmarks.ranks [--rounds 3] [--seeds 2] [--curve-steps 500000] [--redraw] [--out docs/results/ranks]

Measures on this machine, writes measured.json and curves.json into the folder, draws curves.png, and writes the tables
into the page beside the folder. `--redraw` draws and writes from the stored files.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.ranks.cases import CASES, ITERATIONS, config_of
from hgrpo_control.cli import main as hgrpo
from hgrpo_control.command_line.children import usable_cores
from hgrpo_control.command_line.processes import start_ranks, wait_for
from hgrpo_control.reports.compare import markdown_table
from hgrpo_control.runs.run_folder import RunFolder
from hgrpo_files import make_folder, read_bytes, write_text

PROCESSES = (1, 2)
WARM_UP = 2
"""First iterations, which are not measured."""
MORE = (2, 8, 64, 512)
_MARK = "<!-- measured: everything below is written by python -m benchmarks.ranks -->\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and draw."""
    options = read(arguments)
    make_folder(options.out)
    measured, curves = options.out / "measured.json", options.out / "curves.json"
    if not options.redraw:
        write_text(measured, json.dumps(_measure(options.rounds), indent=1) + "\n")
        write_text(curves, json.dumps(_curves(options.seeds, options.curve_steps)) + "\n")
    figures = json.loads(read_bytes(measured))
    _draw(json.loads(read_bytes(curves)), options.out / "curves.png")
    page = options.out.with_suffix(".md")
    text = page.read_text(encoding="utf-8").partition(_MARK)[0] if page.exists() else "# Several processes\n\n"
    write_text(page, text + _MARK + "\n" + "\n".join(_report(figures)))


def read(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ranks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="of one process and two, in turn")
    parser.add_argument("--seeds", type=int, default=2, help="of the learning curves")
    parser.add_argument("--curve-steps", type=int, default=500_000, help="simulator steps of a learning curve")
    parser.add_argument("--redraw", action="store_true", help="draw and write from the stored files")
    parser.add_argument("--out", type=Path, default=Path("docs/results/ranks"))
    return parser.parse_args(arguments)


def _measure(rounds: int) -> dict[str, Any]:
    """Speeds by case, number of processes and round, and the exchanges."""
    cases: dict[str, dict[str, list[dict[str, float]]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds):
            for name in CASES:
                for processes in PROCESSES:
                    run = Path(folder) / f"{name}-{processes}-{number}"
                    rows = _train(name, run, processes, ITERATIONS[name] * config_of(name).steps_per_iteration)
                    cases.setdefault(name, {}).setdefault(str(processes), []).append(_speed(rows))
        exchange = Path(folder) / "exchange.json"
        command = [sys.executable, "-m", "benchmarks.ranks.exchange", str(exchange)]
        assert wait_for(start_ranks(command, 2)) == 0, "the exchange could not be measured"
        machine = f"{platform.processor() or platform.machine()}, {usable_cores()} cores"
        return {"machine": machine, "speed": cases, "exchange": json.loads(exchange.read_bytes())}


def _train(name: str, run: Path, processes: int, steps: int, *more: str) -> list[dict[str, float]]:
    """Metrics of a run."""
    algorithm, task, changes = CASES[name]
    words = [word for key, value in changes.items() for word in (f"--{key.replace('_', '-')}", str(value))]
    words += ["--total-steps", str(steps), "--processes", str(processes), "--log", "none", "--out", str(run), *more]
    assert hgrpo(["train", algorithm, task, *words]) == 0, f"{run.name} failed"
    return RunFolder(run).read_metrics()


def _speed(rows: list[dict[str, float]]) -> dict[str, float]:
    first, last, number = rows[WARM_UP - 1], rows[-1], len(rows) - WARM_UP
    seconds = last["wall_seconds"] - first["wall_seconds"]
    waited = sum(row.get("exchange_seconds", 0.0) for row in rows[WARM_UP:])
    return {
        "steps_per_second": (last["simulator_steps"] - first["simulator_steps"]) / seconds,
        "iteration_seconds": seconds / number,
        "exchange_and_wait_seconds": waited / number,
    }


def _curves(seeds: int, steps: int) -> dict[str, list[list[list[float]]]]:
    """Simulator steps and success of hover runs, by number of processes."""
    curves: dict[str, list[list[list[float]]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(seeds):
            for processes in PROCESSES:
                run = Path(folder) / f"curve-{processes}-{seed}"
                rows = _train("hover", run, processes, steps, "--seed", str(seed))
                points = [[row["simulator_steps"], row["success_rate"]] for row in rows]
                curves.setdefault(str(processes), []).append([p for p in points if p[1] == p[1]])
    return curves


def _draw(curves: dict[str, list[list[list[float]]]], path: Path) -> None:
    """Draw the curves of all seeds in one picture."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
    for colour, (processes, runs) in zip(("tab:blue", "tab:orange"), curves.items(), strict=True):
        for number, points in enumerate(runs):
            label = f"{processes} process{'es' if processes != '1' else ''}" if number == 0 else None
            axes.plot(*zip(*points, strict=True), color=colour, label=label, linewidth=1.2, alpha=0.8)
    axes.set(xlabel="simulator steps", ylabel="success rate", title="hybrid-grpo quadrotor-hover, one line per seed")
    axes.legend()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _middle(figures: dict[str, Any], name: str, processes: int, key: str) -> float:
    return median(run[key] for run in figures["speed"][name][str(processes)])


def _report(figures: dict[str, Any]) -> list[str]:
    """Lines of the page behind the mark."""
    speeds, shares, computed = [], [], []
    latency, bandwidth = link(figures["exchange"]["seconds"])
    for name, case in figures["exchange"]["cases"].items():
        one, two = (_middle(figures, name, processes, "steps_per_second") for processes in PROCESSES)
        rounds = zip(*figures["speed"][name].values(), strict=True)
        ratios = [b["steps_per_second"] / a["steps_per_second"] for a, b in rounds]
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        speeds.append([name, f"{one:,.0f}", f"{two:,.0f}", f"{two / one:.2f}", spread])
        whole, waited = (_middle(figures, name, 2, key) for key in ("iteration_seconds", "exchange_and_wait_seconds"))
        share = f"{100.0 * case['exchange_seconds'] / whole:.1f} %"
        sizes = [f"{case['gradients']:.0f}", f"{case['gradient_bytes']:,.0f}", f"{case['exchanges']:.0f}"]
        times = [f"{1e3 * case['exchange_seconds']:.1f}", share, f"{100.0 * waited / whole:.1f} %"]
        shares.append([name, *sizes, *times])
        work = max(whole - waited, 1e-9)
        computed.append([name, *(_efficiency(case, work, ranks, latency, bandwidth) for ranks in MORE)])
    least, most = (1e6 * figures["exchange"]["seconds"][size] for size in ("8", "400000"))
    head = ("task", "gradients", "bytes", "exchanges", "ms", "share", "share with waiting")
    return [
        f"Machine: {figures['machine']}. Medians over {len(next(iter(figures['speed'].values()))['1'])} rounds.\n",
        "## Speed\n",
        markdown_table(("task", "1 process, steps/s", "2 processes, steps/s", "ratio", "ratios of rounds"), speeds),
        "## Exchange in one iteration\n",
        markdown_table(head, shares),
        f"An all-reduce between two processes takes {least:.0f} us for 8 bytes and {most:.0f} us for 400,000 bytes.\n",
        "## More processes, computed\n",
        f"Latency {1e6 * latency:.0f} us and bandwidth {bandwidth / 1e6:,.0f} MB/s, as measured between two processes.",
        "Seconds of exchange in an iteration, and share of the time that is left for work if every process has as many",
        "environments as in the run of two:\n",
        markdown_table(("task", *(f"{ranks} ranks" for ranks in MORE)), computed),
        "## Learning curves\n",
        "![Success of one process and of two](ranks/curves.png)\n",
    ]


def link(seconds: dict[str, float]) -> tuple[float, float]:
    """Latency in seconds and bandwidth in bytes/s from all-reduces between two ranks, T = 2 (latency + size / 2 B)."""
    smallest, largest = min(seconds, key=int), max(seconds, key=int)
    latency = 0.5 * seconds[smallest]
    return latency, (int(largest) - int(smallest)) / max(seconds[largest] - seconds[smallest], 1e-9)


def ring_seconds(size: float, ranks: int, latency: float, bandwidth: float) -> float:
    """Seconds of a ring all-reduce: 2 (R - 1) steps, each of a latency and of 1 / R of the message."""
    return 2.0 * (ranks - 1) * (latency + size / (ranks * bandwidth))


def _efficiency(case: dict[str, float], work: float, ranks: int, latency: float, bandwidth: float) -> str:
    small = case["exchanges"] - case["gradients"]
    seconds = case["gradients"] * ring_seconds(case["gradient_bytes"], ranks, latency, bandwidth)
    seconds += small * ring_seconds(8, ranks, latency, bandwidth)
    return f"{seconds:.3f} s, {100.0 * work / (work + seconds):.0f} %"


if __name__ == "__main__":
    main()
