"""The targets of `hgrpo fly`: their options, and how they are made."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from hgrpo_control.config.argument import IMPORTS
from hgrpo_control.config.named_values import TASK_OPTIONS
from hgrpo_errors import HgrpoError
from hgrpo_fields import Range
from hgrpo_imports import load_all
from sim2real.flight.watchdog import WatchdogOptions
from sim2real.targets.goals import GoalOptions

if TYPE_CHECKING:
    from sim2real.client.reconnecting import Reconnecting
    from sim2real.flight.clock import Clock
    from sim2real.flight.target import Target
    from sim2real.policy.onnx_policy import OnnxPolicy


@dataclass(frozen=True)
class FlightOptions:
    """Options of every target."""

    seconds: Annotated[float, Range(above=0, infinite=True)] = math.inf
    """When to stop [s]; without it, Ctrl-C stops the flight."""
    record: Path | None = None
    """Write time, observation, action and state of the watchdog of every tick into a new .npz file."""
    max_age: Annotated[float, Range(above=0, infinite=True)] = 0.1
    """Age at which an observation is no longer valid [s]; also the limit for taking over or arming a vehicle."""
    safe_action: tuple[float, ...] | None = None
    """Action that is sent when the last one has been held too long; without it, the policy's own."""
    spin_seconds: Annotated[float, Range(least=0)] = 0.0
    """Time before every slot in which the clock is polled instead of sleeping [s]."""
    token_file: Path | None = None
    """File with the token of the server."""
    certificate: Path | None = None
    """Certificate of a wss:// server to trust besides those of the system."""
    watchdog: WatchdogOptions = field(default_factory=WatchdogOptions)


@dataclass(frozen=True)
class TargetOptions(ABC):
    """Options of one target, and how it is made."""

    extra: ClassVar[str]
    """The extra to install for it."""
    flight: FlightOptions = field(default_factory=FlightOptions)

    def clock(self) -> Clock:
        """The clock of the loop."""
        from sim2real.flight.clock import MonotonicClock

        return MonotonicClock(self.flight.spin_seconds)

    @abstractmethod
    def make(self, policy: OnnxPolicy | Reconnecting, clock: Clock) -> Target:
        """The target; raises ModuleNotFoundError without its extra."""


@dataclass(frozen=True)
class SimulatedOptions(TargetOptions):
    """Fly a policy in the simulator of a task."""

    extra: ClassVar[str] = "train"
    task: str = ""
    """Task to fly; without it, the one that the policy was trained for."""
    task_options: Annotated[dict[str, str], TASK_OPTIONS] = field(default_factory=dict)
    """Options of the task; they replace those of the training."""
    seed: int = 0
    """Seed of the episodes."""
    episodes: Annotated[int | None, Range(least=1)] = None
    """Stop after this number of episodes."""
    fast: bool = False
    """Fly as fast as the computer can instead of in real time."""
    imports: IMPORTS = ()
    """Module of yours to import first, such as the one that registers the task."""

    def __post_init__(self) -> None:
        if self.fast and self.flight.spin_seconds:
            raise HgrpoError(
                f"spin_seconds {self.flight.spin_seconds:g} does nothing with --fast, which never waits; leave one out"
            )

    def clock(self) -> Clock:
        """A clock that the loop moves with --fast, else the computer's."""
        from sim2real.flight.clock import SteppedClock

        return SteppedClock() if self.fast else super().clock()

    def make(self, policy: OnnxPolicy | Reconnecting, clock: Clock) -> Target:
        """The simulator of the task."""
        from sim2real.targets.simulated import SimulatedTarget

        load_all(self.imports)
        return SimulatedTarget(
            policy.spec,
            clock,
            self.task,
            self.task_options,
            self.seed,
            self.episodes,
            policy.trained_on,
            self.imports,
        )


@dataclass(frozen=True)
class MavlinkOptions(TargetOptions):
    """Fly a PX4 or ArduPilot multicopter over MAVLink."""

    extra: ClassVar[str] = "mavlink"
    connection: str = "udpin:0.0.0.0:14540"
    """Address of the vehicle: udpin:HOST:PORT, udpout:HOST:PORT or serial:DEVICE:BAUD."""
    vehicle: str = ""
    """SYSID[:ADDRESS] of the vehicle, such as 1:192.0.2.7; without it, the only one that sends heartbeats."""
    arm: bool = False
    """Arm the vehicle if it is disarmed; without it, a disarmed vehicle is refused."""
    hover_thrust: Annotated[float, Range(above=0, below=1)] = 0.5
    """Share of full thrust at which the vehicle hovers (PX4: MPC_THR_HOVER), for interface=ctbr."""
    on_stop: Literal["land", "hold"] = "land"
    """Mode at the end of the flight."""
    goals: GoalOptions = field(default_factory=GoalOptions)

    def make(self, policy: OnnxPolicy | Reconnecting, clock: Clock) -> Target:
        """The vehicle behind the connection."""
        from sim2real.targets.mavlink import MavlinkTarget

        return MavlinkTarget(
            policy.spec,
            clock,
            self.connection,
            self.goals,
            self.hover_thrust,
            self.arm,
            self.on_stop,
            self.vehicle,
            self.flight.max_age,
        )


@dataclass(frozen=True)
class CrazyflieOptions(TargetOptions):
    """Fly a Crazyflie by radio."""

    extra: ClassVar[str] = "crazyflie"
    connection: str = "radio://0/80/2M/E7E7E7E7E7"
    """URI of the Crazyflie."""
    arm: bool = False
    """Send the arming request that brushless Crazyflies need."""
    hover_thrust: Annotated[float, Range(above=0, below=1)] = 0.5
    """Share of full thrust at which the Crazyflie hovers, its weight over 4 THRUST_MAX, for interface=ctbr."""
    goals: GoalOptions = field(default_factory=GoalOptions)

    def make(self, policy: OnnxPolicy | Reconnecting, clock: Clock) -> Target:
        """The Crazyflie behind the URI."""
        from sim2real.targets.crazyflie import CrazyflieTarget

        return CrazyflieTarget(
            policy.spec, clock, self.connection, self.goals, self.hover_thrust, self.arm, self.flight.max_age
        )


TARGETS: dict[str, type[TargetOptions]] = {
    "simulated": SimulatedOptions,
    "mavlink": MavlinkOptions,
    "crazyflie": CrazyflieOptions,
}
