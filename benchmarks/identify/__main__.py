"""Identify drones from simulated flights, and count how often the true value lies in its 95 % interval.

    python -m benchmarks.identify [--flights 100] [--out docs/results/identify.md]

Each flight has another drone like one of the presets, with noise, latency, wind and unequal rotors; see flights.py.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.identify.flights import NOISE, fly_one
from hgrpo_control.identify.fit import fit
from hgrpo_control.identify.log import Array, Mask
from hgrpo_control.identify.model import PARAMETERS, point_at, point_of
from hgrpo_control.identify.prediction import UNITS, prediction_errors
from hgrpo_files import write_text
from robots.quadrotor.body.parameters import preset

AIRFRAMES = ("cf21B_500", "race", "mrs", "x500", "fs")
"""Presets that the drones are like; each has a lag and can fly the excitation."""


class Found(NamedTuple):
    """One flight."""

    true: Array
    values: Array
    intervals: Array
    """(17, 2)."""
    errors: dict[str, dict[str, tuple[float, float]]]
    """Prediction errors of the start, the fit and the truth, by channel."""
    seconds: float
    """Duration of the fit."""

    @property
    def covered(self) -> Mask:
        """(17,) whether the true value lies in its interval."""
        return (self.intervals[:, 0] <= self.true) & (self.true <= self.intervals[:, 1])


def identify(seed: int, seconds: float) -> Found:
    """Fly and identify one drone."""
    log, start, true = fly_one(preset(AIRFRAMES[seed % len(AIRFRAMES)]), seed, seconds)
    began = time.perf_counter()
    found = fit(log, start)
    took = time.perf_counter() - began
    points = {"start": point_of(start), "fit": found.point, "true": point_at(true)}
    errors = {name: prediction_errors(log, start, point) for name, point in points.items()}
    return Found(true, found.values, found.intervals, errors, took)


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
    parser.add_argument("--seconds", type=float, default=30.0, help="duration of a flight")
    parser.add_argument("--out", type=Path, default=Path("docs/results/identify.md"))
    given = parser.parse_args()
    flights = []
    for seed in range(given.flights):
        flights.append(identify(seed, given.seconds))
        missed = [PARAMETERS[i].name for i in np.flatnonzero(~flights[-1].covered)]
        print(f"seed {seed}: {flights[-1].seconds:.1f} s; outside: {', '.join(missed) or 'none'}", flush=True)
    write_text(given.out, report(flights, given.seconds))
    print(f"table: {given.out}")


if __name__ == "__main__":
    main()
