"""Simulators and tasks: `robots.make(name)` builds one, `robots.names()` lists them.

`import robots` loads neither torch nor Gymnasium nor MuJoCo. They are loaded when a task is made or when a name that
needs them is used.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

# Torch's threads spin for milliseconds after each parallel operation by default, on the cores that MuJoCo's threads
# need next. OpenMP reads this variable once, when torch is imported. A value set by the user stays.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from hgrpo_imports import lazy_names
from robots import catalogue  # noqa: F401  (fills the registry)
from robots.registry import UnknownTaskError, families, make, names, register, register_family

if TYPE_CHECKING:
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

_LAZY = {
    "Channel": "robots.simulator",
    "Simulator": "robots.simulator",
    "SimulatorSpec": "robots.simulator",
    "Step": "robots.simulator",
    "map_state": "robots.simulator",
    "num_rows": "robots.simulator",
    "repeat": "robots.simulator",
    "replace": "robots.simulator",
    "select": "robots.simulator",
    "where": "robots.simulator",
}
__getattr__, __dir__ = lazy_names(__name__, _LAZY)

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
