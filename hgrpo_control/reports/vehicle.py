"""Table of the figures of a drone."""

from __future__ import annotations

from rich.table import Table

from hgrpo_control.reports.tasks import table
from robots.quadrotor.body.parameters import QuadrotorParameters
from robots.quadrotor.body.vehicle_file.figures import figures_of, usual


def vehicle_table(parameters: QuadrotorParameters) -> Table:
    """Figures of a drone, their usual ranges, and marks of odd ones."""
    rows = [("mass", f"{parameters.mass:.4g}", "kg", "", "")]
    for figure in figures_of(parameters):
        mark = "odd" if figure.is_odd else ""
        rows.append((figure.name, f"{figure.value:.4g}", figure.unit, usual(figure), mark))
    return table(("figure", "value", "unit", "usual", ""), rows)
