"""Logs of PX4: .ulg files, read by pyulog."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hgrpo_control.identify.log import Array, Log, LogError, Segment, continuous, resampled
from hgrpo_errors import install
from hgrpo_files import reading

_FLU = np.array([1.0, -1.0, -1.0])
"""From x forward, y right, z down, and from north, east, down, to this package's frames."""
_MOTORS = (0, 3, 1, 2)
"""PX4's numbers of the motors front right, back right, back left, front left in its quadrotor X."""
_MOST_GAP = 0.3  # s between two samples of a topic, beyond which the flight is cut


def read_ulg(path: Path, rate: float) -> Log:
    """The log of a PX4 quadrotor X; raises LogError for a log without its topics.

    Args:
        path: The .ulg file.
        rate: Samples per second of the log.
    """
    try:
        from pyulog import ULog
        from pyulog.exceptions import ULogException
    except ModuleNotFoundError as error:
        raise LogError(f"{path}: reading .ulg needs pyulog: {install('identify')}") from error
    try:
        with reading(path), path.open("rb") as file:
            log = ULog(file)
    except (ULogException, TypeError, ValueError, IndexError, KeyError) as error:
        raise LogError(f"{path} cannot be read as .ulg: {error}") from error
    motors = _motors(path, log)
    rates = _topic(path, log, {"vehicle_angular_velocity": "xyz[{}]", "sensor_combined": "gyro_rad[{}]"}, range(3))
    attitude = _topic(path, log, {"vehicle_attitude": "q[{}]"}, range(4))
    velocity = _topic(path, log, {"vehicle_local_position": "v{}"}, "xyz")
    force = _topic(path, log, {"sensor_combined": "accelerometer_m_s2[{}]"}, range(3))
    sources = (motors, rates, attitude, velocity, force)
    first, last = (f(each[0][end] for each in sources) for f, end in ((max, 0), (min, -1)))
    grid = np.arange(first, last, 1.0 / rate)
    if len(grid) < 2:
        raise LogError(f"{path}: its topics have no time in common")
    quaternion = resampled(attitude[0], continuous(attitude[1]) * np.array([1.0, 1.0, -1.0, -1.0]), grid)
    whole = Segment(
        resampled(rates[0], rates[1], grid) * _FLU,
        resampled(motors[0], motors[1], grid, hold=True).clip(0.0, 1.0),
        resampled(velocity[0], velocity[1], grid) * _FLU,
        continuous(quaternion),
        resampled(force[0], force[1], grid) * _FLU,
    )
    holes = [
        (np.searchsorted(grid, times[k]), np.searchsorted(grid, times[k + 1]))
        for times in (each[0] for each in sources)
        for k in np.flatnonzero(np.diff(times) > _MOST_GAP)
    ]
    return Log(str(path), 1.0 / rate, tuple(_without(whole, holes)))


def _without(segment: Segment, holes: list[tuple[Any, Any]]) -> list[Segment]:
    """The parts of a segment between holes."""
    parts, at = [], 0
    for first, last in sorted(holes):
        if first > at:
            parts.append(segment.cut(at, int(first)))
        at = max(at, int(last))
    return [*parts, segment.cut(at, len(segment))] if at < len(segment) else parts


def _motors(path: Path, log: Any) -> tuple[Array, Array]:
    """Times and commands (K, 4) from 0 to 1."""
    names = {data.name for data in log.data_list}
    if "actuator_motors" in names:
        return _topic(path, log, {"actuator_motors": "control[{}]"}, _MOTORS)
    times, pulses = _topic(path, log, {"actuator_outputs": "output[{}]"}, _MOTORS)
    low, high = (
        float(log.initial_parameters.get(name, usual)) for name, usual in (("PWM_MIN", 1000), ("PWM_MAX", 2000))
    )
    return times, (pulses - low) / (high - low)


def _topic(path: Path, log: Any, topics: dict[str, str], keys: Any) -> tuple[Array, Array]:
    """Times [s] and values (K, N) of the first of the topics that the log has."""
    for topic, field in topics.items():
        for data in log.data_list:
            names = [field.format(key) for key in keys]
            if data.name == topic and data.multi_id == 0 and all(name in data.data for name in names):
                times = data.data["timestamp"].astype(float) * 1e-6
                values = np.stack([data.data[name].astype(float) for name in names], axis=1)
                good = np.isfinite(values).all(axis=1) & (np.diff(times, prepend=-np.inf) > 0.0)
                if good.sum() > 1:
                    return times[good], values[good]
    raise LogError(f"{path}: it has no topic {' or '.join(topics)}; log a flight of a quadrotor with these topics")
