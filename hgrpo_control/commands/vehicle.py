"""`hgrpo vehicle`: figures of a drone, what is odd about them, and a vehicle file to start from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from hgrpo_control.command_line.parsing import parse
from hgrpo_control.config.argument import Argument


@dataclass(frozen=True)
class VehicleOptions:
    """Print the figures of a drone beside the usual ones, and what is odd.

    A line `odd: ...` is a remark, not a refusal. Numbers that no drone can have are refused.
    """

    drone: Annotated[str, Argument("DRONE", positional=True)]
    """Preset, vehicle file NAME.toml, URDF of gym-pybullet-drones, or JSON file of rl-tools or RAPTOR."""
    write: Path | None = None
    """New vehicle file NAME.toml with the drone's numbers and a comment at every key; NAME names the drone."""


def run(args: list[str]) -> None:
    """`hgrpo vehicle DRONE [--write NAME.toml]`."""
    options = parse(VehicleOptions, args, "hgrpo vehicle")
    from rich.console import Console

    from hgrpo_control.reports.vehicle import vehicle_table
    from robots.quadrotor.body.vehicle_file.figures import odd_lines
    from robots.quadrotor.body.vehicle_file.foreign import find_vehicle
    from robots.quadrotor.body.vehicle_file.write import write_vehicle

    found = find_vehicle(options.drone)
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"{found.parameters.name}: {found.parameters.source}", markup=False)
    console.print(vehicle_table(found.parameters))
    for line in odd_lines(found.parameters):
        print(f"odd: {line}")
    for key, remark in found.unknown.items():
        print(f"not in {options.drone}: {key}; {remark}")
    if options.write is not None:
        write_vehicle(options.write, found.parameters, found.unknown)
        print(f"vehicle file: {options.write}; train with: --task-options quadrotor={options.write}")
