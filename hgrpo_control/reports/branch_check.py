"""The table and the verdict of `hgrpo check`."""

from __future__ import annotations

import math

from rich.table import Table

from robots.branch_check.check import BranchReport


def difference_table(report: BranchReport) -> Table:
    """Differences after a restore: place, quantity, number of states, first step and largest size."""
    table = Table()
    for column in ("restored into", "what differs", "states", "first at step", "by at most"):
        table.add_column(column, justify="left" if column in ("restored into", "what differs") else "right")
    for entry in report.differences:
        largest = "not a number" if math.isnan(entry.largest) else f"{entry.largest:.3g}"
        states = f"{entry.states} of {report.states}"
        table.add_row(entry.where, entry.what.replace("[", r"\["), states, str(entry.first_step), largest)
    return table


def verdict(name: str, report: BranchReport) -> str:
    """One line: whether an environment can be branched exactly, or what prevents it."""
    if report.exact:
        return (
            f"{name} is exact: {report.states} states restored into the same and into another instance, "
            f"{report.steps} steps replayed to the bit"
        )
    if report.differences:
        what = ", ".join(dict.fromkeys(entry.what for entry in report.differences))
        return f"{name} is NOT exact: {what} differ after a restore; something outlives what a snapshot holds"
    return f"{name} is NOT exact: {'; '.join(report.problems)}"
