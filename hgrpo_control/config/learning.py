"""Settings of the networks and of their updates; importable without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from hgrpo_control.config.entropy import EntropySettings
from hgrpo_fields import Range, field_problem, inert_problem


@dataclass(frozen=True)
class Network:
    """Architecture of actor and critic, and the initial policy."""

    hidden_sizes: Annotated[tuple[int, ...], Range(least=1)] = (64, 64)
    """Units of the hidden layers of actor and critic."""
    activation: Literal["tanh", "relu", "elu"] = "tanh"
    """Activation function of the hidden layers."""
    init_sigma: Annotated[float, Range(above=0)] = 0.5
    """Standard deviation of the initial policy, in normalised action units."""
    init: str | None = None
    """Run folder, checkpoint or zoo:NAME whose actor training begins with; also its critic for the same task."""
    min_sigma: Annotated[float, Range(above=0)] = 0.01
    """Smallest standard deviation of the policy, in normalised action units."""
    privileged_critic: bool = False
    """Give the critic the hidden quantities of the task, such as mass and wind; it has no GRU then."""
    memory: Literal["none", "gru", "history"] = "none"
    """Memory of the policy: a GRU before the output layers, or the last observations and actions."""
    memory_size: Annotated[int, Range(least=1)] = 16
    """Units of each GRU, or steps of the history."""

    def problem(self) -> str | None:
        """One error line for values that are not allowed; None otherwise."""
        problem = field_problem(self)
        if problem is None and not self.min_sigma < self.init_sigma:
            problem = f"init_sigma must be above min_sigma {self.min_sigma}; given {self.init_sigma}"
        if problem is None and self.memory == "none":
            problem = inert_problem(self, ("memory_size",), "with memory none; allowed: memory gru or history")
        return problem


@dataclass(frozen=True)
class Learning(EntropySettings):
    """Optimiser and loss of an update."""

    learning_rate: Annotated[float, Range(above=0)] = 1e-3
    """Initial learning rate of Adam."""
    lr_schedule: Literal["constant", "linear"] = "linear"
    """Schedule of the learning rate: constant, or linear to zero at the end of the run."""
    update_epochs: Annotated[int, Range(least=1)] = 10
    """Passes over each batch."""
    num_minibatches: Annotated[int, Range(least=1)] = 8
    """Minibatches per pass, a divisor of the rows of a batch."""
    clip_coef: Annotated[float, Range(above=0, infinite=True)] = 0.2
    """Clipping range epsilon of the probability ratio (eq. 3, 9 and 14)."""
    clip_high: Annotated[float | None, Range(above=0, infinite=True)] = None
    """Clipping range above a ratio of 1; None is clip_coef."""
    vf_coef: Annotated[float, Range(least=0)] = 0.5
    """Weight of the value loss."""
    kl_coef: Annotated[float, Range(least=0)] = 0.0
    """Weight of the KL divergence to the reference policy."""
    reference: str | None = None
    """Run folder or checkpoint of the reference policy."""
    max_grad_norm: Annotated[float, Range(above=0, infinite=True)] = 1.0
    """Maximum gradient norm; actor and critic are clipped separately."""
    target_kl: Annotated[float | None, Range(above=0, infinite=True)] = None
    """Mean KL divergence of a pass at which the update stops; None never stops."""
    normalize_advantage: bool = True
    """Scale the advantages of a batch to mean 0 and variance 1."""
    leash: Annotated[float, Range(least=0)] = 5.0
    """With slopes: weight of KL(old || new) per unit of mean wish."""
    sequence_steps: Annotated[int | None, Range(least=1)] = None
    """With memory gru: steps of the sequences that are trained on; None is whole branches, or the whole rollout."""
    burn_in: Annotated[int, Range(least=0)] = 0
    """With sequence_steps: steps before a sequence from which later epochs refresh its memory."""

    def problem(self, min_sigma: float) -> str | None:
        """One error line for values that are not allowed with a floor under sigma; None otherwise."""
        return field_problem(self) or self._reference_problem() or self.entropy_problem(min_sigma)

    def _reference_problem(self) -> str | None:
        if self.kl_coef > 0.0 and self.reference is None:
            return f"kl_coef {self.kl_coef} needs a reference policy: name its run folder with --reference"
        if self.kl_coef == 0.0 and self.reference is not None:
            return f"the reference {self.reference} does nothing with kl_coef 0; allowed: a kl_coef above 0"
        return None
