"""Simulators and tasks: `robots.make(name)` builds one, `robots.names()` lists them."""

import os

# Torch's threads spin for milliseconds after each parallel operation unless told otherwise, on the cores that MuJoCo's
# threads need next. OpenMP reads this once, when torch is imported; what the user has set stays.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from robots import catalogue  # noqa: F401  (fills the registry)
from robots.registry import UnknownTaskError, families, make, names, register, register_family
from robots.simulator import (
    Channel,
    Simulator,
    SimulatorSpec,
    Step,
    map_state,
    num_rows,
    repeat,
    replace,
    select,
    where,
)

__all__ = [
    "Channel",
    "Simulator",
    "SimulatorSpec",
    "Step",
    "UnknownTaskError",
    "families",
    "make",
    "map_state",
    "names",
    "num_rows",
    "register",
    "register_family",
    "repeat",
    "replace",
    "select",
    "where",
]
