"""`hgrpo zoo`: the policies that are trained already, and the page of one."""

from __future__ import annotations

from hgrpo_control.command_line.parsing import UsageError
from policies.zoo import PREFIX, entries, find

USAGE = "hgrpo zoo [NAME]"


def run(args: list[str]) -> None:
    """`hgrpo zoo [NAME]`."""
    if args in (["-h"], ["--help"]):
        print(f"usage: {USAGE}\n\nList the trained policies of the package, or describe one.")
        print(f"Where a command takes a policy, {PREFIX}NAME is one of them: hgrpo fly {PREFIX}NAME simulated")
        return
    if len(args) > 1 or "".join(args).startswith("-"):
        raise UsageError(f"hgrpo zoo takes at most one name; given {' '.join(args)}; usage: {USAGE}")
    if args:
        print(_page(args[0].removeprefix(PREFIX)))
        return
    width = max(map(len, entries()))
    for name, entry in entries().items():
        print(f"{name:{width}}  {find(name).stat().st_size / 1e3:3.0f} kB  {entry.figures()}")
    print(f"hgrpo zoo NAME prints how it was trained; hgrpo fly {PREFIX}NAME simulated --fast flies it.")


def _page(name: str) -> str:
    path, entry = find(name), entries()[name]
    lines = {
        "file": str(path),
        "task": entry.task,
        f"over {entry.episodes} episodes": entry.figures(),
        "trained by": entry.command,
        "simulator steps": f"{entry.simulator_steps:,}",
        "fly it": f"hgrpo fly {PREFIX}{name} simulated --fast",
        "train on": f"hgrpo train hybrid-grpo {entry.task} --init {PREFIX}{name}",
        "describe it": f"hgrpo inspect {PREFIX}{name}",
    }
    width = max(map(len, lines)) + 2
    return "\n".join(f"{key:{width}}{value}" for key, value in lines.items())
