"""Results of a transfer to another physics: table, JSON, picture and film."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from hgrpo_control.config.film import Film
from hgrpo_control.evaluation.former_files import holds, set_aside
from hgrpo_control.runs.run_folder import RunFolder
from hgrpo_control.transfer.measurement import Flight, Transfer
from hgrpo_control.transfer.plot import picture
from hgrpo_files import write_text


def write(transfer: Transfer, folder: RunFolder, video: Film | None = None) -> Iterator[tuple[str, Path]]:
    """Write transfer-NAME.json, .png and, with `video`, .mp4 into a run folder.

    Yields name and path of each.
    """
    paths = {kind: folder.transfer(transfer.target, kind) for kind in ("json", "png")}
    text = json.dumps(_fields(transfer), indent=2, allow_nan=False) + "\n"
    same = holds(paths["json"], text)
    write_text(paths["json"], text)
    yield "figures", paths["json"]
    picture(transfer, paths["png"])
    yield "trajectories", paths["png"]
    path = folder.transfer(transfer.target, "mp4")
    with set_aside(() if same and video is None else (path,)):
        if video is not None:
            from hgrpo_control.evaluation.video import film

            name = f"{folder.path.resolve().name} in {transfer.target}"
            film(transfer.there.simulator, transfer.there.recording, path, name, video)
            yield "video", path


def table(transfer: Transfer) -> Table:
    """Figures of all flights side by side.

    The second row is the success rate there over that of the column.
    """
    result = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    result.add_column("mean over episodes")
    for flight in transfer.flights:
        result.add_column(flight.place, justify="right")
    for name, values in _rows(transfer).items():
        result.add_row(escape(name), *map(_number, values))
    return result


def notes(transfer: Transfer) -> list[str]:
    """Lines that explain the table."""
    evaluation = transfer.there.evaluation
    lines = [
        f"{evaluation.episodes} episodes of {evaluation.task} in each place, the same starts (seed {evaluation.seed})"
    ]
    if transfer.judged is not None:
        lines += transfer.judged.lines
    if transfer.dropped:
        drawn = ", ".join(f"{name}={width:g}" for name, width in transfer.dropped.items())
        lines.append(f"not drawn in {transfer.target}, which has an airframe and air of its own: {drawn}")
    home, there = (flight.simulator.parameters.name for flight in (transfer.flights[0], transfer.there))
    if home != there:
        lines.append(f"{transfer.target} flies {there}; the policy was trained on {home}")
    return lines


def _rows(transfer: Transfer) -> dict[str, list[float]]:
    """Figures by name, one per flight; figures that no flight has are left out."""
    evaluations = [flight.evaluation for flight in transfer.flights]
    rows = {
        "success rate": [evaluation.success_rate for evaluation in evaluations],
        f"{transfer.target} over this": [transfer.share_of(flight) for flight in transfer.flights],
        "return": [evaluation.return_mean for evaluation in evaluations],
        "length [steps]": [evaluation.length_mean for evaluation in evaluations],
        "ended early": [evaluation.terminated_rate for evaluation in evaluations],
    }
    for name in evaluations[0].metrics:
        rows[name] = [evaluation.metrics.get(name, math.nan) for evaluation in evaluations]
    for name in evaluations[0].final_second:
        rows[f"{name}, last second"] = [evaluation.final_second.get(name, math.nan) for evaluation in evaluations]
    return {name: values for name, values in rows.items() if not all(math.isnan(value) for value in values)}


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}" if abs(value) < 10.0 else f"{value:.1f}"


def _fields(transfer: Transfer) -> dict[str, object]:
    """The transfer as JSON fields."""
    return {
        "target": transfer.target,
        "dropped": transfer.dropped,
        "flights": [_flight(transfer, flight) for flight in transfer.flights],
    }


def _flight(transfer: Transfer, flight: Flight) -> dict[str, object]:
    options, share = flight.simulator.options, transfer.share_of(flight)
    return {
        "place": flight.place,
        "physics": options.physics,
        "quadrotor": flight.simulator.parameters.name,
        "success_there_over_here": None if math.isnan(share) else share,
        **flight.evaluation.for_json(),
    }
