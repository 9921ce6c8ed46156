"""Settings of the networks and of their updates; importable without torch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from hgrpo_control.config.checks import choice_problem, count_problem, positive_problem, weight_problem
from hgrpo_control.config.entropy import EntropySettings


@dataclass(frozen=True)
class Network:
    """Shape and start of the policy."""

    hidden_sizes: tuple[int, ...] = (64, 64)
    """Units of the hidden layers of actor and critic each."""
    activation: Literal["tanh", "relu", "elu"] = "tanh"
    init_sigma: float = 0.5
    """Standard deviation of a fresh policy, in normalised action units."""
    min_sigma: float = 0.01
    """Floor under it."""
    privileged_critic: bool = False
    """Let the critic see what the task hides from the policy, such as mass and wind; the policy needs none of it."""

    def problem(self) -> str | None:
        """One error line for values that are not allowed; None otherwise."""
        problem = choice_problem(self)
        problem = problem or count_problem({f"hidden_sizes[{i}]": size for i, size in enumerate(self.hidden_sizes)})
        problem = problem or positive_problem({"min_sigma": self.min_sigma})
        if problem is None and not self.min_sigma < self.init_sigma < math.inf:
            problem = f"init_sigma must be above min_sigma {self.min_sigma} and finite; given {self.init_sigma}"
        return problem


@dataclass(frozen=True)
class Learning(EntropySettings):
    """How a batch is turned into parameter updates."""

    learning_rate: float = 1e-3
    lr_schedule: Literal["constant", "linear"] = "linear"
    """Linear goes to zero at the end of the run."""
    update_epochs: int = 10
    """Passes over each batch."""
    num_minibatches: int = 8
    """Minibatches per pass; must divide the rows of a batch."""
    clip_coef: float = 0.2
    """epsilon of eq. 3, 9 and 14."""
    clip_high: float | None = None
    """epsilon above a ratio of 1 alone; None is clip_coef there too."""
    vf_coef: float = 0.5
    """Weight of the value loss."""
    kl_coef: float = 0.0
    """Weight of the KL divergence to the reference policy."""
    reference: str | None = None
    """Run folder or checkpoint of the reference policy."""
    max_grad_norm: float = 1.0
    """Gradients of actor and critic longer than this are shortened to it, each by itself."""
    target_kl: float | None = None
    """Stop an update early once the mean KL of a pass exceeds this."""
    normalize_advantage: bool = True
    """Scale advantages of a batch to mean 0 and variance 1."""

    def problem(self, min_sigma: float) -> str | None:
        """One error line for values that are not allowed with a floor under sigma; None otherwise."""
        problem = choice_problem(self)
        problem = problem or count_problem(
            {"update_epochs": self.update_epochs, "num_minibatches": self.num_minibatches}
        )
        clip_high = self.clip_coef if self.clip_high is None else self.clip_high
        positive = {"learning_rate": self.learning_rate, "clip_coef": self.clip_coef, "clip_high": clip_high}
        problem = problem or positive_problem(positive | {"max_grad_norm": self.max_grad_norm})
        if problem is None and self.target_kl is not None and not self.target_kl > 0.0:
            problem = f"target_kl must be above 0, or left out; given {self.target_kl}"
        problem = problem or weight_problem(
            {"vf_coef": self.vf_coef, "ent_coef": self.ent_coef, "kl_coef": self.kl_coef}
        )
        if problem is None and not self.learning_rate < math.inf:
            problem = f"learning_rate must be finite; given {self.learning_rate}"
        return problem or self._reference_problem() or self.entropy_problem(min_sigma)

    def _reference_problem(self) -> str | None:
        if self.kl_coef > 0.0 and self.reference is None:
            return f"kl_coef {self.kl_coef} needs a reference policy: name its run folder with --reference"
        if self.kl_coef == 0.0 and self.reference is not None:
            return f"the reference {self.reference} does nothing with kl_coef 0; allowed: a kl_coef above 0"
        return None
