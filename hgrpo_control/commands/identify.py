"""`hgrpo identify`: numbers of a drone from the log of a flight."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from hgrpo_control.command_line.parsing import UsageError, parse
from hgrpo_control.config.argument import Argument
from hgrpo_control.config.named_values import named_values
from hgrpo_fields import Range

_NARROWEST = 100  # of the tables
COLUMNS = named_values("column", "NAME=COLUMN[:UNIT], such as motor_1=m1:pwm", "NAME=COLUMN[:UNIT]")


@dataclass(frozen=True)
class IdentifyOptions:
    """Fit the numbers of a drone to the log of a flight, and print estimates with 95 % intervals.

    The log needs motor commands and body rates, and for drag and wind also velocity and attitude. Mass, rotor places,
    torque per thrust and idle speed are those of the start.
    """

    log: Annotated[Path, Argument("LOG", positional=True)]
    """Record of `hgrpo fly`, folder of `hgrpo evaluate --record`, .ulg of PX4, .csv of Betaflight or any other."""
    vehicle: Annotated[str, Argument("DRONE")]
    """Drone that the fit begins with: vehicle file or preset."""
    columns: Annotated[dict[str, str], COLUMNS] = field(default_factory=dict)
    """Columns of a .csv. NAME is time, motor_1 to motor_4, rate_x, velocity_x, quaternion_w or force_x, and so on for
    the other axes. UNIT is 1, s, ms, us, rad/s, deg/s, m/s, m/s^2, g, acc, percent, pwm, dshot or action.
    """
    rate: Annotated[float, Range(least=20, most=1000, unit="Hz")] = 100.0
    """Samples per second into which .csv and .ulg logs are resampled."""
    write: Path | None = None
    """New vehicle file NAME.toml with the fitted numbers."""
    plot: Path | None = None
    """PNG of measured and predicted motion."""


def run(args: list[str]) -> None:
    """`hgrpo identify LOG --vehicle DRONE [options]`."""
    options = parse(IdentifyOptions, args, "hgrpo identify")
    if options.plot is not None and options.plot.suffix != ".png":
        raise UsageError(f"--plot is a name that ends in .png; given {options.plot}")
    from rich.console import Console

    from hgrpo_control.command_line.interruption import listing_what_is_kept
    from hgrpo_control.identify.fit import WINDOW, fit
    from hgrpo_control.identify.model import point_of, vehicle_of
    from hgrpo_control.identify.prediction import prediction_errors
    from hgrpo_control.identify.randomization import randomization
    from hgrpo_control.identify.read import read_logs
    from hgrpo_control.identify.report import estimates, predictions
    from robots.quadrotor.body.vehicle_file.foreign import find_vehicle
    from robots.quadrotor.body.vehicle_file.limits import problem_of
    from robots.quadrotor.body.vehicle_file.write import require_writable, write_vehicle

    start = find_vehicle(options.vehicle).parameters
    if options.write is not None:
        require_writable(options.write)
    log = read_logs([options.log], options.columns, options.rate)
    flight = log.flown(0.5 * _hover_command(start.hover_rotor_speed, start.rotor_speed_min), 2.0 * WINDOW)
    print(f"{log.seconds:.1f} s read, {flight.seconds:.1f} s in flight, {1.0 / log.step:g} Hz")
    found = fit(flight, start)
    console = Console(highlight=False)
    console.width = max(console.width, _NARROWEST)
    console.print(estimates(found))
    errors = [prediction_errors(flight, start, point) for point in (point_of(start), found.point)]
    console.print(predictions(*errors))
    drawn = " ".join(f"{name}={value}" for name, value in randomization(found, flight).items())
    file = "FILE.toml" if options.write is None else options.write
    print(f"task options: quadrotor={file} {drawn}")
    with listing_what_is_kept() as kept:
        if options.plot is not None:
            from hgrpo_control.identify.plot import plot

            plot(flight, found, options.plot)
            kept.append(options.plot)
            print(f"plot: {options.plot}")
        if options.write is not None:
            source = f"hgrpo identify {options.log}, from {start.name}"
            fitted = vehicle_of(found.point, start, options.write.stem, source)
            problem = problem_of(fitted)
            if problem:
                raise UsageError(f"the fitted drone cannot be written: {problem}")
            write_vehicle(options.write, fitted)
            kept.append(options.write)
            print(f"vehicle file: {options.write}")


def _hover_command(speed: float, idle: float) -> float:
    return (speed - idle) / (1.0 - idle)
