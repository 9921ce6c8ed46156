"""The table behind `hgrpo tasks`."""

from __future__ import annotations

from rich.table import Table

import robots


def task_table() -> Table:
    """Every registered task with its spaces, rates and simulator, and what counts as success where anything does."""
    table = Table()
    for column in ("task", "simulator", "observation", "action", "control", "episode", "goal"):
        table.add_column(column, no_wrap=column == "task")
    for name in robots.names():
        simulator = robots.make(name)
        spec = simulator.spec
        bounds = f"[{min(spec.action_low):g}, {max(spec.action_high):g}]"
        table.add_row(
            name,
            f"{type(simulator).__name__} ({spec.robot})" if spec.robot else type(simulator).__name__,
            str(spec.observation_size),
            f"{spec.action_size} in {bounds}",
            f"{spec.control_hz:g} Hz",
            f"{spec.max_episode_steps} steps",
            spec.goal or "-",
        )
    return table
