"""`hgrpo identify`: known numbers from simulated flights, by every reader, and refusals in one line."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from benchmarks.identify.flights import fly_one
from benchmarks.identify.measurement import identify
from hgrpo_control.cli import main
from hgrpo_control.identify.fit import fit, quantile
from hgrpo_control.identify.log import Array, Log, LogError, into_world, quaternion_of
from hgrpo_control.identify.model import (
    LATENCY,
    PARAMETERS,
    WIND,
    coefficients,
    point_at,
    point_of,
    vehicle_of,
)
from hgrpo_control.identify.px4 import read_ulg
from hgrpo_control.identify.read import read_logs
from hgrpo_control.identify.windows import STATE, residuals, windows_of
from policies.spec import Channel, PolicySpec
from robots.quadrotor.body.parameters import QuadrotorParameters, preset
from robots.quadrotor.body.vehicle_file.read import read_vehicle
from sim2real.flight.record import FlightRecord
from sim2real.flight.target import Reading
from sim2real.flight.watchdog import State

SECONDS = 22.0


def into_body(quaternion: Array, vector: Array) -> Array:
    """World vectors (K, 3) in the body frame: by the conjugate quaternion."""
    return into_world(quaternion * np.array([1.0, -1.0, -1.0, -1.0]), vector)


@pytest.fixture(scope="module")
def flight() -> tuple[Log, QuadrotorParameters, Array]:
    return fly_one(preset("race"), 3, SECONDS)


def write_csv(path: Path, log: Log, names: tuple[str, ...], columns: list[Array]) -> None:
    table = np.column_stack([each if each.ndim > 1 else each[:, None] for each in columns])
    path.write_text("\n".join([",".join(names), *(",".join(f"{x!r}" for x in row) for row in table.tolist())]))


def refusal(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    assert main(["identify", *words]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return said


def test_identify_model_is_that_of_the_simulator() -> None:
    """At the true numbers and without noise, predictions of half a second are exact but for the warm-up of rotors."""
    quiet = dict.fromkeys(("velocity", "attitude", "rate"), 0.0)
    log, start, values = fly_one(preset("cf21B_500"), 5, 5.0, quiet)
    windows = windows_of(log, start, 0.5, 0.5)
    found = residuals(windows, point_at(values)[None], np.zeros((STATE, 1, len(windows.place))), start, [0])
    for name, errors in found.items():
        assert np.abs(errors).max() < 1e-4, name


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_identify_recovers_known_numbers(seed: int) -> None:
    found = identify(seed, SECONDS)
    missed = [PARAMETERS[k].name for k in np.flatnonzero(~found.covered)]
    assert len(missed) <= 1, missed  # 17 intervals of 95 % each
    for channel, (one, long) in found.errors["fit"].items():
        assert one < 1.02 * found.errors["true"][channel][0]
        assert long < 1.05 * found.errors["true"][channel][1]
        assert long < 0.5 * found.errors["start"][channel][1]


def test_identify_interval_is_wide_where_the_log_shows_nothing(
    flight: tuple[Log, QuadrotorParameters, Array],
) -> None:
    log, start, _ = flight
    blind = tuple(dataclasses.replace(segment, velocity=None) for segment in log.segments)
    found = fit(dataclasses.replace(log, segments=blind), start)
    assert not found.free[WIND]
    low, high = found.intervals[WIND]
    assert high - low > 10.0


def test_identify_vehicle_of_a_point_is_the_drone() -> None:
    start = preset("mrs")
    same = vehicle_of(point_of(start), start, start.name, start.source)
    for name in ("inertia", "thrust_curve", "rotor_time_up", "drag"):
        assert getattr(same, name) == pytest.approx(getattr(start, name)), name
    turned = dataclasses.replace(start, torque_per_thrust=-start.torque_per_thrust)
    one, other = (coefficients(point_of(each)[None], each).turn[2, 0, 0] for each in (start, turned))
    assert one == -other


@pytest.mark.slow
def test_identify_reads_a_flight_record_and_writes_a_vehicle(
    flight: tuple[Log, QuadrotorParameters, Array], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log, _, values = flight
    (segment,) = log.segments
    assert segment.quaternion is not None
    assert segment.velocity is not None
    up = into_body(segment.quaternion, np.tile([0.0, 0.0, 1.0], (len(segment), 1)))
    motion = np.concatenate((into_body(segment.quaternion, segment.velocity), up, segment.rate), axis=1)
    names = [f"{name}_{axis}" for name in ("velocity", "up", "angular_velocity") for axis in "xyz"]
    spec = PolicySpec(
        task="quadrotor-hover",
        robot="race",
        control_hz=100.0,
        observation=tuple(Channel(name, "1", "body") for name in names),
        action=tuple(Channel(f"motor_{i}", "1", "motor") for i in (1, 2, 3, 4)),
        action_low=(-1.0,) * 4,
        action_high=(1.0,) * 4,
        safe_action=(0.0,) * 4,
        hidden_sizes=(8,),
        activation="tanh",
        min_sigma=0.1,
    )
    record = FlightRecord(spec)
    for k in range(len(segment)):
        reading = Reading(motion[k].astype(np.float32), k * log.step, k == 900)
        record.add(k * log.step, k * log.step, reading, 2.0 * segment.command[k] - 1.0, State.FLYING, "")
    record.write(tmp_path / "flight.npz")
    assert len(read_logs([tmp_path / "flight.npz"], {}, 100.0).segments) == 2
    words = ["--vehicle", "race", "--write", str(tmp_path / "fitted.toml"), "--plot", str(tmp_path / "fit.png")]
    assert main(["identify", str(tmp_path / "flight.npz"), *words]) == 0
    said = capsys.readouterr().out
    assert "latency" in said
    assert f"quadrotor={tmp_path / 'fitted.toml'} mass=" in said
    assert (tmp_path / "fit.png").stat().st_size > 10_000
    fitted = read_vehicle(tmp_path / "fitted.toml")
    assert fitted.rotor_time_up == pytest.approx(values[3], rel=0.02)
    assert fitted.thrust_curve[1] / fitted.mass == pytest.approx(values[1], rel=0.05)
    assert "action_latency" in said or values[LATENCY] < 0.005
    assert "--rate 50" in refusal(capsys, str(tmp_path / "flight.npz"), "--vehicle", "race", "--rate", "50")
    assert "fitted.toml" in refusal(capsys, str(tmp_path / "flight.npz"), *words)


@pytest.mark.slow
def test_identify_reads_a_csv_with_a_mapping(
    flight: tuple[Log, QuadrotorParameters, Array], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log, _, _ = flight
    (segment,) = log.segments
    assert segment.quaternion is not None
    assert segment.velocity is not None
    names = (
        "t",
        *(f"m{i}" for i in "1234"),
        *(f"g{a}" for a in "xyz"),
        *(f"v{a}" for a in "xyz"),
        *(f"q{a}" for a in "wxyz"),
    )
    time = np.arange(len(segment)) * log.step * 1e3
    columns = [time, 1000.0 + 1000.0 * segment.command, np.degrees(segment.rate), segment.velocity, segment.quaternion]
    write_csv(tmp_path / "log.csv", log, names, columns)
    mapping = (
        {"time": "t:ms"} | {f"motor_{i}": f"m{i}:pwm" for i in "1234"} | {f"rate_{a}": f"g{a}:deg/s" for a in "xyz"}
    )
    mapping |= {f"velocity_{a}": f"v{a}" for a in "xyz"} | {f"quaternion_{a}": f"q{a}" for a in "wxyz"}
    (read,) = read_logs([tmp_path / "log.csv"], mapping, 100.0).segments
    for name, values in segment.cut(0, len(read)).channels.items():
        np.testing.assert_allclose(read.channels[name], values, atol=2e-2, err_msg=name)
    for changed, word in (
        ({"motor_1": "m1:volt"}, "'volt'"),
        ({"motor_1": "m9"}, "'m9'"),
        ({"motr_1": "m1"}, "'motor_1'"),
    ):
        given = [f"{name}={column}" for name, column in (mapping | changed).items()]
        assert word in refusal(capsys, str(tmp_path / "log.csv"), "--vehicle", "race", "--columns", *given)
    short = [f"{name}={column}" for name, column in mapping.items() if name != "rate_y"]
    assert "rate_y" in refusal(capsys, str(tmp_path / "log.csv"), "--vehicle", "race", "--columns", *short)
    assert "--columns" in refusal(capsys, str(tmp_path / "log.csv"), "--vehicle", "race")


def test_identify_reads_a_betaflight_log(flight: tuple[Log, QuadrotorParameters, Array], tmp_path: Path) -> None:
    (segment,) = flight[0].segments
    order = [1, 0, 2, 3]  # Betaflight's motor 1 is the back right one
    names = ("loopIteration", "time (us)", *(f"gyroADC[{k}]" for k in range(3)), *(f"accSmooth[{k}]" for k in range(3)))
    count = np.arange(len(segment), dtype=float)
    force = np.tile([0.0, 0.0, 2048.0], (len(segment), 1))
    motors = 48.0 + 1999.0 * segment.command[:, order]
    columns = [count, 1e4 * count, np.degrees(segment.rate), force, motors]
    write_csv(tmp_path / "log.csv", flight[0], (*names, *(f"motor[{k}]" for k in range(4))), columns)
    (read,) = read_logs([tmp_path / "log.csv"], {}, 100.0).segments
    np.testing.assert_allclose(read.command, segment.command[: len(read)], atol=1e-9)
    np.testing.assert_allclose(read.rate, segment.rate[: len(read)], atol=1e-6)
    assert read.force is not None
    np.testing.assert_allclose(read.force[:, 2], 9.81)
    assert read.velocity is None


def test_identify_heading_follows_from_rates() -> None:
    log, _, _ = fly_one(preset("cf21B_500"), 5, 5.0, dict.fromkeys(("velocity", "attitude", "rate"), 0.0))
    (segment,) = log.segments
    assert segment.quaternion is not None
    up = into_body(segment.quaternion, np.tile([0.0, 0.0, 1.0], (len(segment), 1)))
    found = quaternion_of(up, segment.rate, log.step)
    forward = np.tile([1.0, 0.0, 0.0], (len(segment), 1))
    np.testing.assert_allclose(into_world(found, forward), into_world(segment.quaternion, forward), atol=0.02)


def test_identify_quantile_is_that_of_student() -> None:
    assert quantile(40) == pytest.approx(2.0211, abs=1e-3)
    assert quantile(10_000) == pytest.approx(1.96, abs=1e-3)


@pytest.mark.parametrize(
    ("name", "content", "word"),
    [
        ("log.txt", "1", ".npz"),
        ("none.csv", None, "none.csv"),
        ("log.npz", "no zip", "log.npz"),
        ("log.csv", "a,b\n1,2\n", "--columns"),
        ("log.ulg", "no log", "log.ulg"),
    ],
)
def test_identify_log_that_cannot_be_read_is_refused(
    name: str, content: str | None, word: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    assert word in refusal(capsys, str(tmp_path / name), "--vehicle", "race")


def test_identify_log_without_flight_is_refused(flight: tuple[Log, QuadrotorParameters, Array]) -> None:
    with pytest.raises(LogError, match=r"0\.99"):
        flight[0].flown(0.99, 1.0)
    short = dataclasses.replace(flight[0], segments=(flight[0].segments[0].cut(0, 400),))
    with pytest.raises(LogError, match="windows"):
        fit(short, flight[1])


def test_identify_reads_the_topics_of_px4(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames, motor order, holes: a stand-in for pyulog gives the topics of a drone that hovers and turns."""
    pyulog = pytest.importorskip("pyulog", reason="the extra 'identify' is not installed")
    time = np.arange(0.0, 3.0, 0.01)
    stamp, zero = (1e6 * time).astype(np.int64), np.zeros_like(time)

    class Topic:
        multi_id = 0

        def __init__(self, name: str, **data: Array) -> None:
            self.name, self.data = name, {"timestamp": stamp, **{k.replace("__", ""): v for k, v in data.items()}}

    def indexed(name: str, *values: float | Array) -> dict[str, Array]:
        return {f"{name}[{k}]": zero + value for k, value in enumerate(values)}

    class Stand:
        initial_parameters: ClassVar[dict[str, float]] = {}

        def __init__(self, file: object) -> None:
            self.data_list = [
                Topic("actuator_motors", **indexed("control", 0.1, 0.2, 0.3, 0.4)),
                Topic("vehicle_angular_velocity", **indexed("xyz", 0.1, 0.2, 0.3)),
                Topic("vehicle_attitude", **indexed("q", np.cos(0.1), 0.0, 0.0, np.sin(0.1))),
                Topic("vehicle_local_position", vx=zero + 1.0, vy=zero + 2.0, vz=zero + 3.0),
                Topic("sensor_combined", **indexed("accelerometer_m_s2", 0.0, 0.0, -9.81)),
            ]

    monkeypatch.setattr(pyulog, "ULog", Stand)
    (tmp_path / "log.ulg").write_bytes(b"")
    (segment,) = read_ulg(tmp_path / "log.ulg", 100.0).segments
    np.testing.assert_allclose(segment.command[0], [0.1, 0.4, 0.2, 0.3])
    np.testing.assert_allclose(segment.rate[0], [0.1, -0.2, -0.3])
    assert segment.velocity is not None
    assert segment.force is not None
    assert segment.quaternion is not None
    np.testing.assert_allclose(segment.velocity[0], [1.0, -2.0, -3.0])
    np.testing.assert_allclose(segment.force[0], [0.0, 0.0, 9.81], atol=1e-9)
    turned = into_world(segment.quaternion[:1], np.array([[1.0, 0.0, 0.0]]))
    np.testing.assert_allclose(turned[0], [np.cos(0.2), -np.sin(0.2), 0.0], atol=1e-9)  # right is -y
