"""Simulators and tasks: `robots.make(name)` builds one, `robots.names()` lists them."""

from robots import catalogue  # noqa: F401  (fills the registry)
from robots.registry import UnknownTaskError, make, names, register
from robots.simulator import (
    Quantity,
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
    "Quantity",
    "Simulator",
    "SimulatorSpec",
    "Step",
    "UnknownTaskError",
    "make",
    "map_state",
    "names",
    "num_rows",
    "register",
    "repeat",
    "replace",
    "select",
    "where",
]
