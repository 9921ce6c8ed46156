"""Domain randomisation of MuJoCo models: masses, friction, actuator gains and damping per row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Annotated, Any

import numpy as np
import torch

from hgrpo_fields import Range, check
from robots.options import OptionError
from robots.simulator import Channel

Share = Annotated[float, Range(least=0, below=1)]


@dataclass(frozen=True)
class Randomization:
    """Half widths w of factors; each episode draws a factor uniformly in [1 - w, 1 + w).

    Raises:
        OptionError: A half width is outside [0, 1).
    """

    mass: Share = 0.0
    """Half width of the factor of mass and inertia, one factor per body."""
    friction: Share = 0.0
    """Half width of the factor of friction, one factor for all geoms."""
    gain: Share = 0.0
    """Half width of the factor of the gain, one factor per actuator."""
    damping: Share = 0.0
    """Half width of the factor of damping, one factor per degree of freedom."""

    def __post_init__(self) -> None:
        check(self, OptionError)

    @property
    def draws_anything(self) -> bool:
        """Whether episodes have different models."""
        return any(getattr(self, field.name) > 0.0 for field in fields(Randomization))


class ModelFields:
    """Randomised factors of a model, in the order of the columns of (B, P).

    Raises:
        OptionError: A randomised value is zero in the whole model.
    """

    def __init__(self, model: Any, randomization: Randomization) -> None:
        self.model = model
        entries = {
            "mass": np.flatnonzero(model.body_mass),
            "friction": np.arange(min(model.ngeom, 1)),  # one factor for all geoms
            "gain": np.flatnonzero(model.actuator_gainprm[:, 0]),
            "damping": np.flatnonzero(model.dof_damping),
        }
        shares = {name: getattr(randomization, name) for name in entries if getattr(randomization, name) > 0.0}
        for name in shares:
            if not len(entries[name]):
                raise OptionError(f"{name} cannot vary: it is zero everywhere in this robot's model")
        self.entries = {name: entries[name] for name in shares}
        self.share = np.concatenate([np.full(len(self.entries[name]), share) for name, share in shares.items()])
        self.columns: dict[str, slice] = {}
        start = 0
        for name, indices in self.entries.items():
            self.columns[name] = slice(start, start + len(indices))
            start += len(indices)

    def draw(self, num: int, generator: torch.Generator) -> np.ndarray:
        """Draw factors (num, P), uniform in their ranges."""
        unit = torch.rand(num, len(self.share), generator=generator, dtype=torch.float64).numpy()
        return np.asarray(1.0 + self.share * (2.0 * unit - 1.0))

    def channels(self) -> tuple[Channel, ...]:
        """Names of the columns."""
        model = self.model
        names: dict[str, Callable[[int], str]] = {
            "mass": lambda i: f"{model.body(i).name or f'body_{i}'}_mass_factor",
            "friction": lambda i: "friction_factor",
            "gain": lambda i: f"{model.actuator(i).name or f'actuator_{i}'}_gain_factor",
            "damping": lambda i: f"dof_{i}_{model.joint(model.dof_jntid[i]).name}_damping_factor",
        }
        return tuple(Channel(names[group](int(i))) for group, indices in self.entries.items() for i in indices)

    def body_mass(self, factors: np.ndarray | None, num: int) -> np.ndarray:
        """Masses (num, nbody) [kg] with `factors` (num, P)."""
        mass = np.broadcast_to(self.model.body_mass, (num, self.model.nbody))
        if factors is None or "mass" not in self.columns:
            return mass
        varied = mass.copy()
        varied[:, self.entries["mass"]] *= factors[:, self.columns["mass"]]
        return varied

    def bind(self, batch: Any) -> BoundFields:
        """Bind the factors to the rows of a batch."""
        return BoundFields(self, batch)


class BoundFields:
    """Model fields of the rows of a batch; only rows whose factors have changed are written."""

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
        """Set the models of the first B rows from `factors` (B, P)."""
        changed = np.flatnonzero((self.written[: len(factors)] != factors).any(axis=1))
        if not len(changed):
            return
        model, columns, entries, new = self.source.model, self.source.columns, self.source.entries, factors[changed]
        rows = changed[:, None]
        if "mass" in columns:
            bodies, factor = entries["mass"], new[:, columns["mass"]]
            self.arrays["body_mass"][rows, bodies] = model.body_mass[bodies] * factor
            self.arrays["body_inertia"][rows, bodies] = model.body_inertia[bodies] * factor[..., None]
        if "friction" in columns:
            self.arrays["geom_friction"][changed] = model.geom_friction * new[:, columns["friction"], None]
        if "gain" in columns:
            gains = entries["gain"]
            self.arrays["actuator_gainprm"][rows, gains, 0] = model.actuator_gainprm[gains, 0] * new[:, columns["gain"]]
        if "damping" in columns:
            dofs = entries["damping"]
            self.arrays["dof_damping"][rows, dofs] = model.dof_damping[dofs] * new[:, columns["damping"]]
        if "mass" in columns:
            self.batch.set_const(changed.astype(np.int32))  # updates inverse weights and subtree masses
        self.written[changed] = factors[changed]
