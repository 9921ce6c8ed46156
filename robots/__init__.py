"""Simulators and tasks: `robots.make(name)` builds one, `robots.names()` lists them."""

from robots import catalogue  # noqa: F401  (fills the registry)
from robots.registry import UnknownTaskError, families, make, names, register, register_family
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
