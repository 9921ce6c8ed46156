"""The interface of reporters, such as a progress bar."""

from __future__ import annotations

from typing import Protocol

from hgrpo_control.runs.run_folder import Metrics


class Reporter(Protocol):
    """An object that receives the metrics of every iteration while a run trains."""

    def report(self, metrics: Metrics) -> None:
        """Take the metrics of one iteration."""
        ...
