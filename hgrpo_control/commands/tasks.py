"""`hgrpo tasks`: the list of tasks, and the page of one."""

from __future__ import annotations

from hgrpo_control.command_line.parsing import UsageError
from hgrpo_imports import take_imports

USAGE = "hgrpo tasks [TASK] [--import MODULE ...]"
NARROWEST = 80


def run(args: list[str]) -> None:
    """`hgrpo tasks [TASK] [--import MODULE ...]`."""
    if args in (["-h"], ["--help"]):
        print(f"usage: {USAGE}\n\nList every task, or print the spaces, reward, options and presets of one.")
        print("--import MODULE imports a module of yours first, which may register tasks.")
        return
    imports, args = take_imports(args)
    if len(args) > 1 or "".join(args).startswith("-"):
        raise UsageError(f"hgrpo tasks takes at most one task; given {' '.join(args)}; usage: {USAGE}")
    from rich.console import Console

    import robots
    from hgrpo_imports import load_all

    load_all(imports)
    console = Console(highlight=False)
    console.width = max(console.width, NARROWEST)
    if args:
        from hgrpo_control.reports.task_page import task_page

        console.print(*task_page(args[0]), sep="\n")
        return
    from hgrpo_control.reports.tasks import task_table

    console.print(task_table(console.width))
    for prefix, line in robots.families().items():
        console.print(f"{prefix}/...: {line}", markup=False)
    console.print("hgrpo tasks TASK prints the options of a task, its spaces and its reward.")
