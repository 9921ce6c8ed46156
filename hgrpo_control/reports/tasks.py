"""The table behind `hgrpo tasks`."""

from __future__ import annotations

from rich.table import Table

import robots

_WIDTH_WITH_GOALS = 120


def task_table(width: int) -> Table:
    """Every registered task with its spaces, rates and simulator; if the terminal is at least 120 characters
    wide, also what counts as success where anything does."""
    table = Table()
    columns: tuple[str, ...] = ("task", "simulator", "observation", "action", "control", "episode", "goal")
    columns = columns if width >= _WIDTH_WITH_GOALS else columns[:-1]
    for column in columns:
        table.add_column(column, no_wrap=column == "task")
    for name in robots.names():
        simulator = robots.make(name)
        spec = simulator.spec
        bounds = f"[{min(spec.action_low):g}, {max(spec.action_high):g}]"
        cells = (
            name,
            f"{type(simulator).__name__} ({spec.robot})" if spec.robot else type(simulator).__name__,
            str(spec.observation_size),
            f"{spec.action_size} in {bounds}",
            f"{spec.control_hz:g} Hz",
            f"{spec.max_episode_steps} steps",
            spec.goal or "-",
        )
        table.add_row(*cells[: len(columns)])
    return table
