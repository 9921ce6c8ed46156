"""`hgrpo tasks`: what can be trained on."""

from __future__ import annotations

from hgrpo_control.command_line import UsageError


def run(words: list[str]) -> None:
    """`hgrpo tasks`."""
    if words in (["-h"], ["--help"]):
        print("usage: hgrpo tasks\n\nList every task, its spaces and its simulator.")
        return
    if words:
        raise UsageError(f"hgrpo tasks takes no arguments; given {' '.join(words)}")
    from rich.console import Console

    import robots
    from hgrpo_control.task_table import task_table

    console = Console()
    console.print(task_table(console.width))
    for prefix, line in robots.families().items():
        print(f"{prefix}/...: {line}")
