"""Everything that the next step of a quadrotor on a mission depends on."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor

from robots.quadrotor.body.dynamics import QuadrotorState
from robots.quadrotor.body.randomization import HiddenParameters
from robots.quadrotor.sensing.latency import Sent
from robots.quadrotor.sensing.sensors import Measurements


class FlightState(NamedTuple):
    """A quadrotor on a mission."""

    body: QuadrotorState
    last_action: Tensor
    """(B, A) action of the previous step, clipped."""
    mission: Any
    """What the mission remembers."""
    steps: Tensor
    """(B,) int64 control steps since the episode began."""
    noise_key: Tensor
    """(B,) int64 key of this row's randomness."""
    hidden: HiddenParameters | tuple[()] = ()
    """What was drawn for this episode; empty where nothing is randomised."""
    controller: Any = ()
    """What the interface's inner loop remembers."""
    senses: Measurements | tuple[()] = ()
    """What the sensors said; empty where they tell the truth at once."""
    sent: Sent | tuple[()] = ()
    """Actions on their way; empty where they act at once and only the last is shown."""
