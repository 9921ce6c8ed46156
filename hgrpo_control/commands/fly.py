"""`hgrpo fly`: an exported policy in the loop, on a simulator or a vehicle."""

from __future__ import annotations

import math
import ssl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from hgrpo_control.command_line import UsageError, parse
from hgrpo_control.import_settings import IMPORTS
from hgrpo_control.task_options import TASK_OPTIONS
from hgrpo_errors import install
from hgrpo_files import FileError
from hgrpo_imports import import_words, load_all
from sim2real.watchdog import WatchdogOptions

if TYPE_CHECKING:
    from policies.spec import PolicySpec
    from sim2real.clock import Clock
    from sim2real.flight_record import FlightRecord
    from sim2real.onnx_policy import OnnxPolicy
    from sim2real.reconnecting import Reconnecting
    from sim2real.target import Target

EXTRAS = {"simulated": "train", "mavlink": "mavlink", "crazyflie": "crazyflie"}


@dataclass(frozen=True)
class FlyOptions:
    """Fly an exported policy at its rate, on a schedule, under a watchdog; docs/flying.md has every target."""

    policy: tyro.conf.Positional[str]
    """ONNX file that `hgrpo export` wrote, or ws://HOST:PORT/ or wss://... of a server: `hgrpo serve`."""
    target: Literal["simulated", "mavlink", "crazyflie"]
    """What flies."""
    seconds: float = math.inf
    """When to stop [s]; without it, Ctrl-C does."""
    token_file: Path | None = None
    """File with the token that the server asks for."""
    certificate: Path | None = None
    """wss: certificate to trust besides the system's, such as the server's own."""
    record: Path | None = None
    """Write time, observation, action and state of the watchdog of every tick into a new .npz file."""
    watchdog: WatchdogOptions = field(default_factory=WatchdogOptions)
    safe_action: tuple[float, ...] | None = None
    """Sent when the last action has been held too long; without it, the policy's own."""
    max_age: float = 0.1
    """Age at which an observation is no longer valid [s]; a vehicle is neither taken over nor armed by an older one."""
    spin_seconds: float = 0.0
    """How long to look at the clock instead of sleeping before every slot [s]."""
    connection: str = ""
    """mavlink: udpin:HOST:PORT, udpout:HOST:PORT or serial:DEVICE:BAUD; without it, udpin:0.0.0.0:14540.
    crazyflie: URI; without it, radio://0/80/2M/E7E7E7E7E7."""
    goal: tuple[float, ...] = (0.0, 0.0, 1.0)
    """Point x y z to fly to [m], z up; several points are flown to in order. For mavlink x is north and y west."""
    goal_from: Literal["takeoff", "origin"] = "takeoff"
    """Whether goals count from where the vehicle is when the flight starts, or from the origin of its estimate."""
    goal_radius: float = 0.2
    """How near a point counts as reached where there are several [m]."""
    arm: bool = False
    """Arm the vehicle if it is disarmed; without it, a disarmed vehicle is refused."""
    hover_thrust: float = 0.5
    """interface=ctbr: share of full thrust at which the vehicle hovers (PX4: MPC_THR_HOVER)."""
    on_stop: Literal["land", "hold"] = "land"
    """mavlink: the mode that is asked for in the end."""
    vehicle: str = ""
    """mavlink: SYSID[:ADDRESS] of the vehicle, such as 1:192.0.2.7; without it, the only one that is heard."""
    task: str = ""
    """simulated: the task; without it, the one that the policy was trained for."""
    task_options: Annotated[dict[str, str], TASK_OPTIONS] = field(default_factory=dict)
    """simulated: options of the task."""
    seed: int = 0
    """simulated: of the episodes."""
    episodes: int | None = None
    """simulated: stop after so many."""
    fast: bool = False
    """simulated: as fast as it goes instead of in real time."""
    imports: IMPORTS = ()
    """simulated: module of yours to import first, such as the one that registers the task."""

    @property
    def served(self) -> bool:
        """Whether the policy is a server's."""
        return self.policy.startswith(("ws://", "wss://"))


def run(words: list[str]) -> int:
    """`hgrpo fly POLICY.onnx --target TARGET [options]`.

    Returns 0, and 1 if the watchdog ended the flight or the record could not be written.
    """
    options = parse(FlyOptions, words, "hgrpo fly")
    if options.record is not None and options.record.is_dir():
        raise UsageError(f"{options.record} is a folder; --record is a new .npz file")
    if options.record is not None and options.record.exists():
        raise UsageError(f"{options.record} exists already; choose another file")
    if options.record is not None and not options.record.parent.is_dir():
        raise UsageError(f"there is no folder {options.record.parent} to write {options.record.name} into")
    if options.fast and options.target != "simulated":
        raise UsageError(f"--fast is for --target simulated; a vehicle flies in real time; given {options.target}")
    if options.vehicle and options.target != "mavlink":
        raise UsageError(f"--vehicle is for --target mavlink; given {options.target}")
    if options.imports and options.target != "simulated":
        given = import_words(options.imports)
        raise UsageError(f"--import is for --target simulated, whose tasks may be yours; given {given}")
    from hgrpo_control.interruption import listing_what_is_kept
    from sim2real.clock import MonotonicClock, SteppedClock
    from sim2real.flight_record import FlightRecord
    from sim2real.loop_statistics import LoopStatistics
    from sim2real.runtime import LoopOptions, fly
    from sim2real.trained_on import airframe_in_words, options_in_words

    with _opened(options) as policy:
        clock: Clock = SteppedClock() if options.fast else MonotonicClock(options.spin_seconds)
        loop = LoopOptions(
            seconds=options.seconds,
            max_age=options.max_age,
            safe_action=options.safe_action,
            worker=options.served and not options.fast,  # a stepped clock stands still while the server is asked
            watchdog=options.watchdog,
        )
        target = _make_target(options, policy, clock)
        print(f"trained for {policy.spec.task}; task options: {options_in_words(policy.trained_on)}")
        print(f"airframe {policy.spec.robot or 'without a name'}: {airframe_in_words(policy.trained_on)}")
        if difference := getattr(target, "differences", ""):
            print(f"flown otherwise than trained: {difference}")
        record = None if options.record is None else FlightRecord(policy.spec)
        statistics, flight = LoopStatistics(), None
        with listing_what_is_kept() as kept:
            try:
                flight = fly(policy, target, loop, clock, record, statistics)
            finally:
                if flight is None and statistics.ticks:  # it flew, whatever failed in the end
                    print(statistics.table())
                written = record is None or options.record is None or _write(record, options.record, kept)
    print(f"ended: {flight.reason}")
    summary = getattr(target, "summary", None)
    if summary is not None:
        print(summary())
    print(statistics.table())
    return 1 if flight.stopped_by_watchdog or not written else 0


def _write(record: FlightRecord, path: Path, kept: list[Path]) -> bool:
    """Write what was flown; a disk that is full is told, and hides nothing else that there is to tell."""
    try:
        record.write(path)
    except FileError as error:
        print(f"the record is lost: {error}", file=sys.stderr)
        return False
    kept.append(path)
    print(f"record: {path}")
    return True


@contextmanager
def _opened(options: FlyOptions) -> Iterator[OnnxPolicy | Reconnecting]:
    """The policy of a file, or of a server for as long as the context lasts."""
    if not options.served:
        yield _load(options)
        return
    connection = _connect(options)
    try:
        yield connection
    finally:
        connection.close()


def _load(options: FlyOptions) -> OnnxPolicy:
    """The exported file; raises UsageError for what only a server needs."""
    from sim2real.onnx_policy import OnnxPolicy

    if options.token_file is not None or options.certificate is not None:
        raise UsageError(f"--token-file and --certificate are for a server, ws://HOST:PORT/; given {options.policy}")
    return OnnxPolicy(options.policy)


def _connect(options: FlyOptions) -> Reconnecting:
    """The policy of a server, connected to again whenever it has gone."""
    try:
        from sim2real.reconnecting import Reconnecting
        from sim2real.remote_policy import RemotePolicy
    except ModuleNotFoundError as error:
        raise UsageError(f"a server needs {error.name}: {install('serve')}") from error
    token = None if options.token_file is None else _token(options.token_file)
    if options.certificate is not None and not options.policy.startswith("wss://"):
        raise UsageError(f"--certificate is for a server behind TLS, wss://HOST:PORT/; given {options.policy}")
    context = None
    if options.certificate is not None:
        context = _trusting(options.certificate)
    try:
        return Reconnecting(lambda: RemotePolicy(options.policy, token, context=context))
    except (ConnectionError, TimeoutError) as error:  # at the start only: in flight it is connected to again
        raise UsageError(str(error)) from error


def _token(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--token-file {path} cannot be read: {getattr(error, 'strerror', error)}") from error


def _trusting(certificate: Path) -> ssl.SSLContext:
    context = ssl.create_default_context()
    try:
        context.load_verify_locations(certificate)
    except ssl.SSLError as error:
        raise UsageError(f"--certificate {certificate} holds no certificate in PEM: {error.reason}") from error
    except OSError as error:
        raise UsageError(f"--certificate {certificate} cannot be read: {error.strerror}") from error
    return context


def _make_target(options: FlyOptions, policy: OnnxPolicy | Reconnecting, clock: Clock) -> Target:
    """The target that was asked for; raises UsageError where its packages are not there."""
    spec, task_options = policy.spec, options.task_options
    try:
        if options.target == "simulated":
            from sim2real.targets.simulated import SimulatedTarget

            load_all(options.imports)
            return SimulatedTarget(
                spec,
                clock,
                options.task,
                task_options,
                options.seed,
                options.episodes,
                policy.trained_on,
                options.imports,
            )
        if options.target == "crazyflie":
            return _crazyflie(options, spec, clock)
        from sim2real.targets.mavlink import DEFAULT_CONNECTION, MavlinkTarget

        return MavlinkTarget(
            spec,
            clock,
            options.connection or DEFAULT_CONNECTION,
            options.goal,
            options.goal_from,
            options.goal_radius,
            options.hover_thrust,
            options.arm,
            options.on_stop,
            options.vehicle,
            options.max_age,
        )
    except ModuleNotFoundError as error:
        package, extra = str(error.name).partition(".")[0], EXTRAS[options.target]
        raise UsageError(f"{options.target} needs {package}: {install(extra)}") from error


def _crazyflie(options: FlyOptions, spec: PolicySpec, clock: Clock) -> Target:
    from sim2real.targets.crazyflie import DEFAULT_URI, CrazyflieTarget

    if options.on_stop != "land":
        raise UsageError("--on-stop hold is for --target mavlink; a Crazyflie lands")
    return CrazyflieTarget(
        spec,
        clock,
        options.connection or DEFAULT_URI,
        options.goal,
        options.goal_from,
        options.goal_radius,
        options.hover_thrust,
        options.arm,
        options.max_age,
    )
