"""The tasks that come with the package, registered by name."""

from __future__ import annotations

from functools import partial

from robots.quadrotor.tasks.hover import HoverOptions, make_hover
from robots.registry import register

_AIRFRAMES = HoverOptions(mass=0.3, rotor_thrust=0.09, inertia=0.3, rotor_lag=0.3, wind=1.0)
_GUSTY = HoverOptions(mass=0.3, rotor_thrust=0.09, inertia=0.3, rotor_lag=0.3, wind=1.0, gust=4.0)

register("quadrotor-hover", partial(make_hover, "quadrotor-hover", HoverOptions()))
register("quadrotor-hover-randomized", partial(make_hover, "quadrotor-hover-randomized", _AIRFRAMES))
register("quadrotor-hover-gusty", partial(make_hover, "quadrotor-hover-gusty", _GUSTY))
