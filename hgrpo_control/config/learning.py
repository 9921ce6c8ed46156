"""Settings of the networks and of their updates; importable without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from hgrpo_control.config.entropy import EntropySettings
from hgrpo_fields import Range, field_problem


@dataclass(frozen=True)
class Network:
    """Shape and start of the policy."""

    hidden_sizes: Annotated[tuple[int, ...], Range(least=1)] = (64, 64)
    """Units of the hidden layers of actor and critic each."""
    activation: Literal["tanh", "relu", "elu"] = "tanh"
    init_sigma: Annotated[float, Range(above=0)] = 0.5
    """Standard deviation of a fresh policy, in normalised action units."""
    min_sigma: Annotated[float, Range(above=0)] = 0.01
    """Floor under it."""
    privileged_critic: bool = False
    """Let the critic see what the task hides from the policy, such as mass and wind; the policy needs none of it."""

    def problem(self) -> str | None:
        """One error line for values that are not allowed; None otherwise."""
        problem = field_problem(self)
        if problem is None and not self.min_sigma < self.init_sigma:
            problem = f"init_sigma must be above min_sigma {self.min_sigma}; given {self.init_sigma}"
        return problem


@dataclass(frozen=True)
class Learning(EntropySettings):
    """How a batch is turned into parameter updates."""

    learning_rate: Annotated[float, Range(above=0)] = 1e-3
    lr_schedule: Literal["constant", "linear"] = "linear"
    """Linear goes to zero at the end of the run."""
    update_epochs: Annotated[int, Range(least=1)] = 10
    """Passes over each batch."""
    num_minibatches: Annotated[int, Range(least=1)] = 8
    """Minibatches per pass; must divide the rows of a batch."""
    clip_coef: Annotated[float, Range(above=0, infinite=True)] = 0.2
    """epsilon of eq. 3, 9 and 14."""
    clip_high: Annotated[float | None, Range(above=0, infinite=True)] = None
    """epsilon above a ratio of 1 alone; None is clip_coef there too."""
    vf_coef: Annotated[float, Range(least=0)] = 0.5
    """Weight of the value loss."""
    kl_coef: Annotated[float, Range(least=0)] = 0.0
    """Weight of the KL divergence to the reference policy."""
    reference: str | None = None
    """Run folder or checkpoint of the reference policy."""
    max_grad_norm: Annotated[float, Range(above=0, infinite=True)] = 1.0
    """Gradients of actor and critic longer than this are shortened to it, each by itself."""
    target_kl: Annotated[float | None, Range(above=0, infinite=True)] = None
    """Stop an update early once the mean KL of a pass exceeds this."""
    normalize_advantage: bool = True
    """Scale advantages of a batch to mean 0 and variance 1."""

    def problem(self, min_sigma: float) -> str | None:
        """One error line for values that are not allowed with a floor under sigma; None otherwise."""
        return field_problem(self) or self._reference_problem() or self.entropy_problem(min_sigma)

    def _reference_problem(self) -> str | None:
        if self.kl_coef > 0.0 and self.reference is None:
            return f"kl_coef {self.kl_coef} needs a reference policy: name its run folder with --reference"
        if self.kl_coef == 0.0 and self.reference is not None:
            return f"the reference {self.reference} does nothing with kl_coef 0; allowed: a kl_coef above 0"
        return None
