"""Physics engines by name; each is imported when it is made. robots/catalogue.py adds those of other packages."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from hgrpo_errors import nearest
from robots.options import OptionError

if TYPE_CHECKING:
    from robots.quadrotor.body.parameters import QuadrotorParameters
    from robots.quadrotor.physics.physics import Physics

BUILT_IN = "built-in"
"""Name of the dynamics in robots/quadrotor/body/kernels.py, which need no engine."""


def _mujoco(parameters: QuadrotorParameters, duration: float) -> Physics:
    from robots.quadrotor.physics.free_body import FreeBody

    return FreeBody(parameters, duration)


FOREIGN: dict[str, Callable[[QuadrotorParameters, float], Physics]] = {
    "mujoco": _mujoco,
}

AIRFRAMES: dict[str, str] = {}
"""Preset of the airframe of each engine that has only one."""


def engines() -> tuple[str, ...]:
    """Every name of an engine."""
    return (BUILT_IN, *FOREIGN)


def make_physics(name: str, parameters: QuadrotorParameters, duration: float) -> Physics | None:
    """Make a physics engine.

    Args:
        name: Name of the engine.
        parameters: The airframe.
        duration: Length of a period [s].

    Returns:
        The engine, or None for the built-in dynamics.

    Raises:
        OptionError: The name is unknown, or the engine does not have the airframe.
    """
    if name == BUILT_IN:
        return None
    if name not in FOREIGN:
        raise OptionError(f"unknown physics {name!r}; {nearest(name, engines())}")
    only = AIRFRAMES.get(name, parameters.name)
    if parameters.name != only:
        raise OptionError(f"physics={name} flies quadrotor={only} only; given quadrotor={parameters.name}")
    return FOREIGN[name](parameters, duration)
