"""Plots of signals over the last seconds."""

from __future__ import annotations

from typing import Any

import numpy as np
import viser
from numpy.typing import NDArray
from viser import uplot

from hgrpo_control.watch.session import Session
from hgrpo_control.watch.world import COLOURS

Floats = NDArray[np.float64]

MOST = 4
"""Number of plots."""
_TILT = "tilt [deg]"


class Plots:
    """One plot for each of the main signals: errors of the task, tilt, commands.

    With one policy a plot has a line for each entry of the signal; with several, a line for the length of each
    policy's.
    """

    def __init__(self, gui: viser.GuiApi, session: Session) -> None:
        self._session = session
        self._plots: dict[str, Any] = {}
        signals = session.flights[0].simulator.signals(session.flights[0].state)
        sizes = {name: values.shape[1] for name, values in signals.items()}
        several = len(session.flights) > 1
        with gui.add_folder("Plots"):
            for name in chosen(list(sizes)):
                lines = (
                    [flight.pilot.name for flight in session.flights]
                    if several
                    else [_line(name, i, sizes[name]) for i in range(sizes[name])]
                )
                self._plots[name] = gui.add_uplot(
                    (np.zeros(1), *(np.zeros(1) for _ in lines)),
                    (uplot.Series(label="s"), *(_series(label, i) for i, label in enumerate(lines))),
                    title=f"|{name}|".replace(" [", "| [").rstrip("|") if several and sizes[name] > 1 else name,
                    scales={"x": uplot.Scale(time=False, auto=True), "y": uplot.Scale(auto=True)},
                    legend=uplot.Legend(show=False),
                    height=130,
                )

    def draw(self) -> None:
        """Show the samples of the session."""
        histories = [list(flight.history) for flight in self._session.flights]
        if len(histories[0]) < 2:
            return
        time = np.array([sample.time for sample in histories[0]])
        for name, plot in self._plots.items():
            values = [np.array([sample.signals[name] for sample in history]) for history in histories]
            lines = list(values[0].T) if len(values) == 1 else [_lengths(each) for each in values]
            plot.data = (time, *(np.ascontiguousarray(line, dtype=np.float64) for line in lines))


def chosen(names: list[str]) -> list[str]:
    """The first signal of the task, tilt, and the last ones, which are the commands; at most MOST."""
    first = names[:1] + [name for name in names[1:] if name == _TILT]
    last = [name for name in names[::-1] if name not in first][: MOST - len(first)]
    return [name for name in names if name in {*first, *last}]


def _lengths(values: Floats) -> Floats:
    """Values (k,) of a signal (k, 1), lengths of any other."""
    return values[:, 0] if values.shape[1] == 1 else np.linalg.norm(values, axis=1)


def _line(name: str, index: int, size: int) -> str:
    if size == 1:
        return name
    return "xyz"[index] if size == 3 else str(index + 1)


def _series(label: str, index: int) -> uplot.Series:
    red, green, blue = COLOURS[index % len(COLOURS)]
    return uplot.Series(label=label, stroke=f"rgb({red},{green},{blue})", width=1.5)
