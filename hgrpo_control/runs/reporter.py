"""What watches a run while it trains, such as a progress bar."""

from __future__ import annotations

from typing import Protocol

from hgrpo_control.runs.run_folder import Metrics


class Reporter(Protocol):
    """Whoever wants to see metrics as they are made."""

    def report(self, metrics: Metrics) -> None:
        """Take the metrics of one iteration."""
        ...
