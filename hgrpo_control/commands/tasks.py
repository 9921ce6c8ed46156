"""`hgrpo tasks`: what can be trained on."""

from __future__ import annotations

from hgrpo_control.command_line.parsing import UsageError
from hgrpo_imports import take_imports


def run(words: list[str]) -> None:
    """`hgrpo tasks [--import MODULE ...]`."""
    if words in (["-h"], ["--help"]):
        print("usage: hgrpo tasks [--import MODULE ...]\n\nList every task, its spaces and its simulator.")
        print("--import also lists what a module of yours registers.")
        return
    imports, words = take_imports(words)
    if words:
        raise UsageError(f"hgrpo tasks takes no arguments but --import MODULE; given {' '.join(words)}")
    from rich.console import Console

    import robots
    from hgrpo_control.reports.tasks import task_table
    from hgrpo_imports import load_all

    load_all(imports)
    console = Console()
    console.print(task_table(console.width))
    for prefix, line in robots.families().items():
        print(f"{prefix}/...: {line}")
