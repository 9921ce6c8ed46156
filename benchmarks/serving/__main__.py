"""Cost of `hgrpo serve` compared with a plain aiohttp loop, over both protocols.

The plain loop has the same policy and checks.

    python -m benchmarks.serving [--policy POLICY.onnx] [--clients 1 4 16] [--runs 3] [--seconds 5] [--out docs/results]
    python -m benchmarks.serving --soak 600 [--policy POLICY.onnx]
    python -m benchmarks.serving --memory [--clients 1 4] [--seconds 5]

Both servers run all the time, each in a process of its own; so does every client, which asks again as soon as it is
answered. Clients turn to them in rounds of a tenth of a second, in the reverse order every other round, so that both
see the same moods of the machine; a ratio is taken within a round. Our median is to be at most 1.3 times the loop's.
Writes serving.md and serving/ into the folder `out`. Without --policy one with two hidden layers of 64 units is made.
--soak measures something else instead: four clients that ask at 100 Hz. --memory races two of our servers instead, one
of a policy without memory and one with a GRU of 16 units; their clients have streams.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.serving.clients import Kind, Process, make_policy, measure
from benchmarks.serving.soak import soak

PLAIN, OURS = "plain loop", "hgrpo serve"
BAR = 1.3
ROUND = 0.1  # s
THREADS = "OMP_NUM_THREADS"
PACKAGES = ("aiohttp", "msgpack", "onnxruntime", "websockets")
COLUMNS = (
    "protocol",
    "clients",
    "loop p50 [us]",
    "p99",
    "ours p50 [us]",
    "p99",
    "ours / loop, by run",
    f"at most {BAR}",
)
ENTRY = "from hgrpo_control.cli import entry_point; entry_point()"


class Row(NamedTuple):
    """Results of one server's clients in one round: percentiles in microseconds, and requests per second."""

    run: int
    round: int
    clients: int
    protocol: str
    server: str
    p50: float
    p99: float
    rate: float


def main(words: Sequence[str] | None = None) -> int:
    """Measure, write the results and print where they lie."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--policy", type=Path, help="exported policy")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--runs", type=int, default=3, help="with servers of their own")
    parser.add_argument("--seconds", type=float, default=5.0, help="per figure and run")
    parser.add_argument("--out", type=Path, default=Path("docs/results"), help="folder of the results")
    parser.add_argument("--soak", type=float, help="instead: seconds of control at 100 Hz by four clients")
    parser.add_argument("--memory", action="store_true", help="instead: a policy with memory beside one without")
    given = parser.parse_args(words)
    if min(given.runs, *given.clients) < 1 or given.seconds <= 0.0:
        parser.error("--runs, --clients and --seconds must be positive")
    with tempfile.TemporaryDirectory() as folder:
        policy = given.policy or make_policy(Path(folder) / "policy.onnx")
        if given.soak:
            with ours(policy) as server:
                for name, value in soak(server.port, server.pid, observation_for(policy), given.soak).items():
                    print(f"{name:>24}  {value:.6g}")
            return 0
        if given.memory:
            print("\n".join(race_memory(Path(folder), given.clients, given.seconds)))
            return 0
        rows = []
        for run in range(given.runs):
            rows += race(policy, run, given.clients, given.seconds)
            print(f"run {run + 1} done", file=sys.stderr)
    words = sys.argv[1:] if words is None else words
    for path in write(rows, " ".join(["python", "benchmarks/serving/__main__.py", *words]), given.out):
        print(path)
    return 0


def ours(policy: Path) -> Process:
    """`hgrpo serve` with its default options."""
    return Process("-c", ENTRY, "serve", f"policy={policy}", "--port", "0")


def race(policy: Path, run: int, clients: Sequence[int], seconds: float) -> list[Row]:
    """Measure both servers with each number of clients.

    Every action is compared with that of the policy.
    """
    from sim2real.policy.onnx_policy import OnnxPolicy

    observation, rows = observation_for(policy), []
    expected, rounds = OnnxPolicy(policy)(observation), max(1, round(seconds / ROUND))
    with Process(str(Path(__file__).with_name("plain.py")), str(policy)) as plain, ours(policy) as server:
        ports = {PLAIN: plain.port, OURS: server.port}
        for count in clients:
            durations, actions = measure(ports, count, rounds, seconds / rounds, observation)
            for action in actions.values():
                np.testing.assert_array_equal(action, expected)
            for kind, seen in durations.items():
                rows += [Row(run, i, count, kind.protocol, kind.server, *figures(s, count)) for i, s in enumerate(seen)]
    return rows


def race_memory(folder: Path, clients: Sequence[int], seconds: float) -> list[str]:
    """Lines with the median latency without and with memory, and the median over the rounds of their ratio."""
    plain, gru = make_policy(folder / "plain.onnx"), make_policy(folder / "gru.onnx", "gru", 16)
    observation, rounds, lines = observation_for(plain), max(1, round(seconds / ROUND)), []
    with ours(plain) as without, ours(gru) as remembering:
        ports = {"without": without.port, "gru": remembering.port}
        for count in clients:
            durations, _ = measure(ports, count, rounds, seconds / rounds, observation, streams=True)
            for protocol in ("WebSocket", "HTTP"):
                p50 = {name: [np.median(s) for s in durations[Kind(name, protocol)]] for name in ports}
                ratio = np.median(np.divide(p50["gru"], p50["without"]))
                medians = " ".join(f"{name} p50 {1e6 * np.median(seen):,.0f} us" for name, seen in p50.items())
                lines.append(f"{protocol} {count} client(s): {medians}, ratio {ratio:.3f}")
    return lines


def observation_for(policy: Path) -> NDArray[np.float32]:
    """An observation (O,) of the policy's own golden pairs."""
    from sim2real.policy.metadata import read_golden_pairs
    from sim2real.policy.onnx_policy import OnnxPolicy

    loaded = OnnxPolicy(policy)
    observation: NDArray[np.float32] = read_golden_pairs(loaded.metadata, loaded.spec)[0].observation[-1]
    return observation.astype(np.float32)


def figures(seconds: NDArray[np.float64], clients: int) -> tuple[float, float, float]:
    """Median and 99th percentile in microseconds, and requests per second of asking."""
    p50, p99 = np.percentile(seconds, (50.0, 99.0)) * 1e6
    return float(p50), float(p99), float(len(seconds) * clients / seconds.sum())


def ratio(rows: Sequence[Row], run: int, clients: int, protocol: str) -> float:
    """Median over a run's rounds of our median by the loop's in the same round."""
    medians = {(row.server, row.round): row.p50 for row in rows if row[0] == run and row[2:4] == (clients, protocol)}
    rounds = {i for _, i in medians}
    return float(np.median([medians[OURS, i] / medians[PLAIN, i] for i in rounds]))


def write(rows: Sequence[Row], command: str, out: Path) -> list[Path]:
    """Every round as CSV, and the page; the paths."""
    folder = out / "serving"
    folder.mkdir(parents=True, exist_ok=True)
    rounds, page = folder / "rounds.csv", out / "serving.md"
    with rounds.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*Row._fields[:5], "p50_us", "p99_us", "requests_per_second"])
        writer.writerows([*row[:5], *(f"{figure:.1f}" for figure in row[5:])] for row in rows)
    page.write_text(describe(rows, command), encoding="utf-8")
    return [page, rounds]


def describe(rows: Sequence[Row], command: str) -> str:
    """The page."""
    from benchmarks.suite.origin import describe_origin
    from hgrpo_control.reports.compare import markdown_table

    origin, today = describe_origin(PACKAGES), datetime.datetime.now(datetime.timezone.utc).date()
    where = f"{origin['cores']} cores ({origin['machine']}, {origin['system']})"
    versions = ", ".join(f"{name} {origin[name]}" for name in ("python", *PACKAGES))
    threads = f"{THREADS} {os.environ.get(THREADS, 'not set')}"
    return f"""# Serving

Made by `{command}` at commit {origin["commit"]} on {today}, on {where},
{versions}, one thread of onnxruntime in each server, {threads}.
Load of the machine over the last 15 minutes: {os.getloadavg()[2]:.1f}. `serving/rounds.csv` has every round.

The loop is `benchmarks/serving/plain.py`: aiohttp, the same policy, a check of shape and numbers, and nothing else.
Every client is a process that asks again as soon as it is answered: with N clients and one core that answers, each
waits for N answers. Percentiles are medians over the rounds of all runs; a ratio is the median over a run's rounds of
our p50 by the loop's in the same round.

{markdown_table(COLUMNS, [line(rows, *case) for case in cases(rows)])}"""


def cases(rows: Sequence[Row]) -> list[tuple[str, int]]:
    """Every protocol and count of clients that was measured."""
    return sorted({(row.protocol, row.clients) for row in rows}, key=lambda case: (case[0] != "WebSocket", case[1]))


def line(rows: Sequence[Row], protocol: str, clients: int) -> list[str]:
    """One line of the table."""
    cells = []
    for server in (PLAIN, OURS):
        seen = [row for row in rows if row[2:5] == (clients, *Kind(server, protocol)[::-1])]
        cells += [f"{np.median([row.p50 for row in seen]):,.0f}", f"{np.median([row.p99 for row in seen]):,.0f}"]
    ratios = [ratio(rows, run, clients, protocol) for run in sorted({row.run for row in rows})]
    met = "yes" if max(ratios) <= BAR else "no"
    return [protocol, str(clients), *cells, " / ".join(f"{value:.2f}" for value in ratios), met]


if __name__ == "__main__":
    sys.exit(main())
