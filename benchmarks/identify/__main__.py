"""Identify drones from simulated flights, and count how often the true value lies in its 95 % interval.

    python -m benchmarks.identify [--flights 100] [--jobs 1] [--out docs/results/identify.md]

Each flight has another drone like one of the presets, with noise, latency, wind and unequal rotors; see flights.py.
"""

from __future__ import annotations

import argparse
import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from pathlib import Path

import numpy as np

from benchmarks.identify.flights import NOISE
from benchmarks.identify.measurement import AIRFRAMES, Found, identify
from hgrpo_control.identify.model import PARAMETERS
from hgrpo_control.identify.prediction import UNITS
from hgrpo_files import write_text


def report(flights: Sequence[Found], seconds: float) -> str:
    """The tables in Markdown."""
    covered = np.array([each.covered for each in flights])
    reach = np.array([0.5 * (each.intervals[:, 1] - each.intervals[:, 0]) for each in flights])
    error = np.array([np.abs(each.values - each.true) for each in flights])
    lines = [
        "# Identification",
        "",
        f"{len(flights)} simulated flights of {seconds:g} s at 100 Hz, seeds 0 to {len(flights) - 1}, of drones like "
        f"{', '.join(AIRFRAMES)}.",
        "Thrust, moments of inertia, lags and drag differ from those of the start by up to 20 to 30 %. The latency is",
        "0 to 30 ms, the wind has 0.7 m/s² per axis, and the thrust of the rotors differs by up to 9 %. The",
        f"measurements have noise: {NOISE['velocity']:g} m/s, {NOISE['attitude']:g} rad, {NOISE['rate']:g} rad/s.",
        "",
        "    python -m benchmarks.identify",
        "",
        "| parameter | unit | true value in its 95 % interval | median half width | median error |",
        "|---|---|---:|---:|---:|",
    ]
    for column, parameter in enumerate(PARAMETERS):
        lines.append(
            f"| {parameter.name} | {parameter.unit} | {int(covered[:, column].sum())} of {len(flights)} | "
            f"{np.median(reach[:, column]):.2g} | {np.median(error[:, column]):.2g} |"
        )
    lines += [
        "",
        "Prediction errors, root mean square over all flights, from measured states:",
        "",
        "| | start, one step | fit | true model | start, 0.5 s | fit | true model |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for channel in flights[0].errors["fit"]:
        cells = [
            f"{np.sqrt(np.mean([each.errors[name][channel][ahead] ** 2 for each in flights])):.4g}"
            for ahead in (0, 1)
            for name in ("start", "fit", "true")
        ]
        lines.append(f"| {channel} [{UNITS[channel]}] | {' | '.join(cells)} |")
    lines += ["", f"A fit took {np.median([each.seconds for each in flights]):.0f} s (median) on one busy core.", ""]
    return "\n".join(lines)


def main() -> None:
    """Fly, fit and write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.identify", description=__doc__.split("\n\n")[0])
    parser.add_argument("--flights", type=int, default=100)
    parser.add_argument("--jobs", type=int, default=1, help="flights at a time, one process each")
    parser.add_argument("--seconds", type=float, default=30.0, help="duration of a flight")
    parser.add_argument("--out", type=Path, default=Path("docs/results/identify.md"))
    given = parser.parse_args()
    flights: list[Found] = []
    with ProcessPoolExecutor(given.jobs, multiprocessing.get_context("spawn")) as pool:
        for seed, found in enumerate(pool.map(identify, range(given.flights), repeat(given.seconds))):
            flights.append(found)
            missed = [PARAMETERS[i].name for i in np.flatnonzero(~found.covered)]
            print(f"seed {seed}: {found.seconds:.1f} s; outside: {', '.join(missed) or 'none'}", flush=True)
    write_text(given.out, report(flights, given.seconds))
    print(f"table: {given.out}")


if __name__ == "__main__":
    main()
