"""Domain randomisation of MuJoCo models: masses, friction, actuator gains and damping of each simulation's own."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch

from robots.options import OptionError
from robots.simulator import Quantity


@dataclass(frozen=True)
class Randomization:
    """Half widths of factors drawn for every episode, each uniform in 1 +- this; 0 leaves the model's value.

    Raises OptionError for a share outside [0, 1).
    """

    mass: float = 0.0
    """Mass and inertia of each body, drawn apart."""
    friction: float = 0.0
    """All friction coefficients of all geoms together, as of another floor."""
    gain: float = 0.0
    """Gain of each actuator, drawn apart."""
    damping: float = 0.0
    """Damping of each degree of freedom, drawn apart."""

    def __post_init__(self) -> None:
        for field in fields(Randomization):
            share = getattr(self, field.name)
            if not 0.0 <= share < 1.0:
                raise OptionError(f"{field.name} is a share of the model's value and must lie in [0, 1); given {share}")

    @property
    def draws_anything(self) -> bool:
        """Whether any two episodes have different models."""
        return any(getattr(self, field.name) > 0.0 for field in fields(Randomization))


class ModelFields:
    """The factors of a model that are randomised, in the order of the columns of (B, P)."""

    def __init__(self, model: Any, randomization: Randomization) -> None:
        self.model = model
        groups = {
            "mass": (randomization.mass, model.nbody - 1),
            "friction": (randomization.friction, 1),
            "gain": (randomization.gain, model.nu),
            "damping": (randomization.damping, model.nv),
        }
        self.share = np.concatenate([np.full(size, share) for share, size in groups.values() if share > 0.0])
        self.columns: dict[str, slice] = {}
        start = 0
        for name, (share, size) in groups.items():
            if share > 0.0:
                self.columns[name] = slice(start, start + size)
                start += size

    def draw(self, num: int, generator: torch.Generator) -> np.ndarray:
        """(num, P) factors, uniform within their ranges."""
        unit = torch.rand(num, len(self.share), generator=generator, dtype=torch.float64).numpy()
        return np.asarray(1.0 + self.share * (2.0 * unit - 1.0))

    def quantities(self) -> tuple[Quantity, ...]:
        """Names of the columns."""
        model = self.model
        names = {
            "mass": [f"{model.body(i).name or f'body_{i}'}_mass_factor" for i in range(1, model.nbody)],
            "friction": ["friction_factor"],
            "gain": [f"{model.actuator(i).name or f'actuator_{i}'}_gain_factor" for i in range(model.nu)],
            "damping": [f"dof_{i}_damping_factor" for i in range(model.nv)],
        }
        return tuple(Quantity(name) for group in self.columns for name in names[group])

    def body_mass(self, factors: np.ndarray | None, num: int) -> np.ndarray:
        """(num, nbody) masses [kg] under `factors` (num, P)."""
        mass = np.broadcast_to(self.model.body_mass, (num, self.model.nbody))
        if factors is None or "mass" not in self.columns:
            return mass
        return np.concatenate((mass[:, :1], mass[:, 1:] * factors[:, self.columns["mass"]]), axis=1)

    def bind(self, batch: Any) -> BoundFields:
        """The same factors as per-simulation fields of a batch."""
        return BoundFields(self, batch)


class BoundFields:
    """Model fields of a batch's rows, rewritten only where a row's factors changed since the last call."""

    def __init__(self, source: ModelFields, batch: Any) -> None:
        self.source, self.batch = source, batch
        expanded = {
            "mass": ("body_mass", "body_inertia"),
            "friction": ("geom_friction",),
            "gain": ("actuator_gainprm",),
            "damping": ("dof_damping",),
        }
        self.arrays = {name: batch.expand(name) for group in source.columns for name in expanded[group]}
        self.written = np.full((batch.nsim, len(source.share)), np.nan)

    def write(self, factors: np.ndarray) -> None:
        """Give the first B rows the models of `factors` (B, P)."""
        changed = np.flatnonzero((self.written[: len(factors)] != factors).any(axis=1))
        if not len(changed):
            return
        model, columns, new = self.source.model, self.source.columns, factors[changed]
        if "mass" in columns:
            self.arrays["body_mass"][changed, 1:] = model.body_mass[1:] * new[:, columns["mass"]]
            self.arrays["body_inertia"][changed, 1:] = model.body_inertia[1:] * new[:, columns["mass"], None]
        if "friction" in columns:
            self.arrays["geom_friction"][changed] = model.geom_friction * new[:, columns["friction"], None]
        if "gain" in columns:
            gain = model.actuator_gainprm[:, 0] * new[:, columns["gain"]]
            self.arrays["actuator_gainprm"][changed, :, 0] = gain
        if "damping" in columns:
            self.arrays["dof_damping"][changed] = model.dof_damping * new[:, columns["damping"]]
        if "mass" in columns:
            self.batch.set_const(changed.astype(np.int32))  # inverse weights and subtree masses follow from the masses
        self.written[changed] = factors[changed]
