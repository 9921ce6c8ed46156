"""The table and the verdict on gradients of `hgrpo check`."""

from __future__ import annotations

from rich.table import Table

from robots.gradient_check.check import GradientReport
from robots.gradient_check.slopes import BAR


def slope_table(report: GradientReport) -> Table:
    """Wrong slopes: entries, slopes by autograd and by differences, and errors."""
    table = Table()
    for column in ("slope of", "with respect to", "autograd", "differences", "relative error"):
        table.add_column(column, justify="left" if column in ("slope of", "with respect to") else "right")
    for slope in report.comparison.wrong:
        numbers = f"{slope.autograd:.7g}", f"{slope.difference:.7g}", f"{slope.error:.3g}"
        table.add_row(slope.output.replace("[", r"\["), slope.input.replace("[", r"\["), *numbers)
    return table


def gradient_verdict(name: str, report: GradientReport) -> str:
    """One line: whether the gradients are right, or what is wrong."""
    comparison, worst = report.comparison, report.comparison.worst
    where = f"{worst.output} with respect to {worst.input}" if worst else ""
    if report.right and worst:
        return (
            f"{name} has right gradients: {comparison.pairs - comparison.skipped} slopes at {report.states} states "
            f"compared, {comparison.skipped} left out at events; worst relative error {worst.error:.2g}, {where}"
        )
    if comparison.wrong and worst:
        return f"{name} has WRONG gradients: relative error {worst.error:.2g}, allowed: {BAR:g}; {where}"
    return f"{name} has WRONG gradients: {'; '.join(report.problems)}"
