"""Gaussian actor and critic: two separate MLPs behind one observation normaliser.

Observations have O entries. A privileged critic sees P more in training, appended to them (..., O + P); the actor never
does, so what flies needs none of them.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

from hgrpo_errors import HgrpoError
from policies import gaussian
from policies.normalizer import ObservationNormalizer
from policies.spec import PolicySpec

_ACTIVATIONS: dict[str, type[nn.Module]] = {"tanh": nn.Tanh, "relu": nn.ReLU, "elu": nn.ELU}


class ActorCritic(nn.Module):
    """pi(a|s) = N(mean(s), sigma^2) with state-independent sigma, and V(s).

    Actions live in normalised units, in which the bounds are -1 and +1. A sample may lie beyond them: its density is
    that of the unclipped sample, and only `to_environment` clips, so the gradient keeps its meaning at the bounds.
    `forward` is what flies: the clipped mean in the environment's units.
    """

    action_low: Tensor
    action_high: Tensor

    def __init__(self, spec: PolicySpec, init_sigma: float = 0.5, generator: torch.Generator | None = None) -> None:
        super().__init__()
        if not init_sigma > spec.min_sigma > 0.0:
            raise HgrpoError(f"init_sigma {init_sigma} must be above min_sigma {spec.min_sigma}, and that above 0")
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
        """(A,) standard deviation, min_sigma + exp(raw): the floor never cuts the gradient off."""
        return self.spec.min_sigma + self.raw_sigma.exp()

    @property
    def device(self) -> torch.device:
        """Where parameters and normalisers lie, and observations have to."""
        return self.raw_sigma.device

    def forward(self, observation: Tensor) -> Tensor:
        """Deterministic action (..., A) in the environment's units and bounds, for observations (..., O)."""
        return self.to_environment(self.actor(self.normalizer(observation)))

    def mean(self, observation: Tensor) -> Tensor:
        """Mean action (..., A) in normalised units, for observations (..., O) or (..., O + P)."""
        return self.actor(self.normalizer(self._seen(observation)))

    def value(self, observation: Tensor) -> Tensor:
        """V(s) (...), of observations (..., O + P) for a privileged critic and (..., O) otherwise.

        Raises ValueError for a policy without critic, and for a privileged critic that is given another width.
        """
        return self._value(self.normalizer(self._seen(observation)), observation)

    def critic_features(self, observation: Tensor) -> Tensor:
        """What a critic sees, normalised: (..., O + P) for a privileged critic and (..., O) otherwise."""
        return self._critic_features(self.normalizer(self._seen(observation)), observation)

    def mean_and_value_of(self, features: Tensor) -> tuple[Tensor, Tensor | None]:
        """Mean action (..., A) and V (...), None without critic, for what `critic_features` makes of observations."""
        size = self.spec.observation_size
        seen = features if features.shape[-1] == size else features[..., :size].contiguous()
        return self.actor(seen), None if self.critic is None else self.critic(features).squeeze(-1)

    def update_normalizers(self, observation: Tensor) -> None:
        """Take in what was seen, (..., O), or (..., O + P) where the critic is privileged; ValueError if not."""
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
        return scaled.clamp(self.action_low, self.action_high)  # rounding may have passed a bound by one unit

    def from_environment(self, action: Tensor) -> Tensor:
        """Normalised action (..., A) that `to_environment` maps to this one, for actions within bounds."""
        return 2.0 * (action - self.action_low) / (self.action_high - self.action_low) - 1.0

    @property
    def _output_bias(self) -> Tensor:
        return self.actor[-1].bias  # type: ignore[return-value]

    def _seen(self, observation: Tensor) -> Tensor:
        """(..., O) the part of (..., O + P) that the actor sees."""
        size = self.spec.observation_size
        return observation[..., :size] if observation.shape[-1] == size + self.spec.privileged_size else observation

    def _hidden(self, observation: Tensor) -> Tensor:
        """(..., P) the part of (..., O + P) that only a privileged critic sees; raises ValueError for another width."""
        size, hidden = self.spec.observation_size, self.spec.privileged_size
        if observation.shape[-1] != size + hidden:
            raise HgrpoError(
                f"a privileged critic needs {size} observed and {hidden} hidden entries; given {observation.shape[-1]}"
            )
        return observation[..., size:]

    def _value(self, normalized: Tensor, observation: Tensor) -> Tensor:
        """V (...) of a normalised observation (..., O), with what `observation` (..., O + P) has beyond it."""
        if self.critic is None:
            raise HgrpoError("this policy has no critic: it was trained by an algorithm without a value function")
        return self.critic(self._critic_features(normalized, observation)).squeeze(-1)

    def _critic_features(self, normalized: Tensor, observation: Tensor) -> Tensor:
        """A normalised observation (..., O), with the normalised rest of `observation` (..., O + P) if there is one."""
        if self.privileged_normalizer is None:
            return normalized
        return torch.cat((normalized, self.privileged_normalizer(self._hidden(observation))), dim=-1)


def mlp(
    spec: PolicySpec, inputs: int, outputs: int, output_gain: float, generator: torch.Generator | None
) -> nn.Sequential:
    """Hidden layers of the spec and a linear output, orthogonal weights with gain sqrt(2) and `output_gain`, zero
    biases; on the generator's device."""
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
