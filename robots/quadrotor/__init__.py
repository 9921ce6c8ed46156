"""Quadrotor: equations, motors, sensors, randomisation and tasks. The names below define a task of your own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgrpo_imports import lazy_names

if TYPE_CHECKING:
    from robots.quadrotor.flight.mission import Mission, StepContext, TaskResult
    from robots.quadrotor.flight.options import FlightOptions
    from robots.quadrotor.flight.simulator import make_flight

_LAZY = {
    "FlightOptions": "robots.quadrotor.flight.options",
    "Mission": "robots.quadrotor.flight.mission",
    "StepContext": "robots.quadrotor.flight.mission",
    "TaskResult": "robots.quadrotor.flight.mission",
    "make_flight": "robots.quadrotor.flight.simulator",
}
__getattr__, __dir__ = lazy_names(__name__, _LAZY)

__all__ = ["FlightOptions", "Mission", "StepContext", "TaskResult", "make_flight"]
