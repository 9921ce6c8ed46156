"""Gaussian actor and critic: two separate MLPs behind one observation normaliser.

An observation has O entries. In training a privileged critic reads P more, appended as (..., O + P). The actor does not
read them, so a policy flies without them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from hgrpo_errors import HgrpoError
from policies import gaussian
from policies.normalizer import ObservationNormalizer
from policies.spec import PolicySpec

_ACTIVATIONS: dict[str, type[nn.Module]] = {"tanh": nn.Tanh, "relu": nn.ReLU, "elu": nn.ELU}


class ActorCritic(nn.Module):
    """pi(a|s) = N(mean(s), sigma^2) with state-independent sigma, and V(s).

    Actions are in normalised units: their bounds are -1 and +1. A sample may lie outside the bounds. Its density is
    that of the unclipped sample and only `to_environment` clips, so the gradient stays correct at the bounds. `forward`
    is the policy that is exported: the clipped mean in the environment's units.

    Args:
        spec: Interface of the policy and shape of its networks.
        init_sigma: Standard deviation at the start, in normalised units.
        generator: Source of the initial weights; also their device. None takes torch's default generator.

    Raises HgrpoError for an `init_sigma` that is not above `spec.min_sigma`.
    """

    action_low: Tensor
    action_high: Tensor

    def __init__(self, spec: PolicySpec, init_sigma: float = 0.5, generator: torch.Generator | None = None) -> None:
        super().__init__()
        if not init_sigma > spec.min_sigma > 0.0:
            raise HgrpoError(
                f"init_sigma is {init_sigma}; allowed: above min_sigma ({spec.min_sigma}), which is above 0"
            )
        self.spec = spec
        self.normalizer = ObservationNormalizer(spec.observation_size)
        self.privileged_normalizer = ObservationNormalizer(spec.privileged_size) if spec.privileged else None
        seen, all_seen = spec.observation_size, spec.observation_size + spec.privileged_size
        self.actor = mlp(spec, seen, spec.action_size, output_gain=0.01, generator=generator)
        self.critic = mlp(spec, all_seen, 1, output_gain=1.0, generator=generator) if spec.critic else None
        self.register_buffer("action_low", torch.tensor(spec.action_low, dtype=torch.float32), persistent=False)
        self.register_buffer("action_high", torch.tensor(spec.action_high, dtype=torch.float32), persistent=False)
        with torch.no_grad():
            self._output_bias.copy_(self.from_environment(torch.tensor(spec.safe_action, dtype=torch.float32)))
        self.raw_sigma = nn.Parameter(
            torch.full((spec.action_size,), math.log(init_sigma - spec.min_sigma), dtype=torch.float32)
        )

    @property
    def sigma(self) -> Tensor:
        """(A,) standard deviation, min_sigma + exp(raw_sigma): the gradient does not vanish at the minimum."""
        return self.spec.min_sigma + self.raw_sigma.exp()

    @property
    def device(self) -> torch.device:
        """Device of the parameters and normalisers; observations have to be on it."""
        return self.raw_sigma.device

    def forward(self, observation: Tensor) -> Tensor:
        """Deterministic action (..., A) in the environment's units and bounds, for observations (..., O)."""
        return self.to_environment(self.actor(self.normalizer(observation)))

    def predict(self, observation: ArrayLike) -> NDArray[np.float32]:
        """Deterministic action as a numpy array, without gradients.

        Args:
            observation: (O,) or (B, O) in the units of `spec`.

        Returns:
            (A,) or (B, A) in the environment's units and bounds.

        Raises:
            HgrpoError: For another shape.
        """
        given = torch.tensor(np.asarray(observation), dtype=torch.float32, device=self.device)
        if given.ndim not in (1, 2) or given.shape[-1] != self.spec.observation_size:
            raise HgrpoError(
                f"observation has shape {tuple(given.shape)}; allowed: ({self.spec.observation_size},) or "
                f"(B, {self.spec.observation_size})"
            )
        with torch.inference_mode():
            action: NDArray[np.float32] = self(given).cpu().numpy()
        return action

    def mean(self, observation: Tensor) -> Tensor:
        """Mean action (..., A), normalised, of observations (..., O) or (..., O + P)."""
        return self.actor(self.normalizer(self._seen(observation)))

    def acting(self) -> Callable[[Tensor], Tensor]:
        """`mean` with the present statistics of observations, computed once for many calls."""
        normalize = self.normalizer.fixed()
        return lambda observation: self.actor(normalize(self._seen(observation)))

    def value(self, observation: Tensor) -> Tensor:
        """V(s) (...) of observations (..., O), or (..., O + P) for a privileged critic.

        Raises HgrpoError for a policy without critic and for observations of another width.
        """
        return self._value(self.normalizer(self._seen(observation)), observation)

    def critic_features(self, observation: Tensor) -> Tensor:
        """Normalised input of the critic, (..., O) or (..., O + P) if privileged."""
        return self._critic_features(self.normalizer(self._seen(observation)), observation)

    def update_normalizers(self, observation: Tensor) -> None:
        """Add observations, (..., O) or (..., O + P) if privileged, to the statistics."""
        if self.privileged_normalizer is not None:
            self.privileged_normalizer.update(self._hidden(observation))
        self.normalizer.update(self._seen(observation))

    def log_prob(self, observation: Tensor, action: Tensor) -> Tensor:
        """log pi(a|s) (...) of unclipped actions (..., A) in normalised units."""
        return gaussian.log_density(action, self.mean(observation), self.sigma)

    def entropy(self) -> Tensor:
        """() entropy of pi, the same in every state."""
        return gaussian.entropy(self.sigma)

    def to_environment(self, action: Tensor) -> Tensor:
        """Clip normalised actions (..., A) to [-1, 1] and scale them to the environment's bounds."""
        half_range = 0.5 * (self.action_high - self.action_low)
        scaled = self.action_low + (action.clamp(-1.0, 1.0) + 1.0) * half_range
        return scaled.clamp(
            self.action_low, self.action_high
        )  # rounding may exceed a bound by one unit in the last place

    def from_environment(self, action: Tensor) -> Tensor:
        """Normalised action (..., A) for an action within the bounds; the inverse of `to_environment`."""
        return 2.0 * (action - self.action_low) / (self.action_high - self.action_low) - 1.0

    @property
    def _output_bias(self) -> Tensor:
        return self.actor[-1].bias  # type: ignore[return-value]

    def _seen(self, observation: Tensor) -> Tensor:
        """The entries (..., O) that the actor reads."""
        size = self.spec.observation_size
        return observation[..., :size] if observation.shape[-1] == size + self.spec.privileged_size else observation

    def _hidden(self, observation: Tensor) -> Tensor:
        """The entries (..., P) that only a privileged critic reads, of (..., O + P)."""
        size, hidden = self.spec.observation_size, self.spec.privileged_size
        if observation.shape[-1] != size + hidden:
            raise HgrpoError(
                f"a privileged critic needs {size} + {hidden} entries, observed and privileged; given "
                f"{observation.shape[-1]}"
            )
        return observation[..., size:]

    def _value(self, normalized: Tensor, observation: Tensor) -> Tensor:
        """V (...) of normalised entries (..., O) and the privileged entries of `observation`."""
        if self.critic is None:
            raise HgrpoError("this policy has no critic; its algorithm trains none")
        return self.critic(self._critic_features(normalized, observation)).squeeze(-1)

    def _critic_features(self, normalized: Tensor, observation: Tensor) -> Tensor:
        """A normalised observation (..., O), followed by the normalised privileged entries if there are any."""
        if self.privileged_normalizer is None:
            return normalized
        return torch.cat((normalized, self.privileged_normalizer(self._hidden(observation))), dim=-1)


def mlp(
    spec: PolicySpec, inputs: int, outputs: int, output_gain: float, generator: torch.Generator | None
) -> nn.Sequential:
    """Hidden layers of the spec and a linear output layer.

    Args:
        spec: Sizes and activation of the hidden layers.
        inputs: Number of inputs.
        outputs: Number of outputs.
        output_gain: Gain of the orthogonal weights of the output layer; it is sqrt(2) in the hidden layers.
        generator: Source of the weights; also their device. Biases are zero.
    """
    sizes = (inputs, *spec.hidden_sizes)
    layers: list[nn.Module] = []
    for inputs, units in pairwise(sizes):
        layers += [_linear(inputs, units, math.sqrt(2.0), generator), _ACTIVATIONS[spec.activation]()]
    layers.append(_linear(sizes[-1], outputs, output_gain, generator))
    return nn.Sequential(*layers)


def _linear(inputs: int, outputs: int, gain: float, generator: torch.Generator | None) -> nn.Linear:
    layer = nn.Linear(inputs, outputs, device="cpu" if generator is None else generator.device, dtype=torch.float32)
    nn.init.orthogonal_(layer.weight, gain, generator=generator)
    nn.init.zeros_(layer.bias)
    return layer
