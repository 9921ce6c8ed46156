"""State of a quadrotor on a mission."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor

from robots.quadrotor.body.dynamics import QuadrotorState
from robots.quadrotor.body.randomization import HiddenParameters
from robots.quadrotor.sensing.latency import Sent
from robots.quadrotor.sensing.sensors import Measurements


class FlightState(NamedTuple):
    """State of B quadrotors: all that the next step reads."""

    body: QuadrotorState
    last_action: Tensor
    """(B, A) clipped action of the previous step."""
    mission: Any
    """State of the mission."""
    steps: Tensor
    """(B,) int64 control steps since the start of the episode."""
    noise_key: Tensor
    """(B,) int64 key of the row's random numbers."""
    hidden: HiddenParameters | tuple[()] = ()
    """Hidden parameters of the episode; empty without randomisation."""
    controller: Any = ()
    """Memory of the inner loop."""
    senses: Measurements | tuple[()] = ()
    """Measurements; empty for perfect sensors."""
    sent: Sent | tuple[()] = ()
    """Queue of past actions; empty if only the last one is needed."""
