"""Gaussian actor and critic: two separate networks behind one observation normaliser.

An observation has O entries. In training a privileged critic reads P more, appended as (..., O + P). The actor does not
read them, so a policy flies without them. Where the policy has memory, a row of training ends with its M entries:
(..., O + P + M).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from hgrpo_errors import HgrpoError
from policies import gaussian
from policies.memory import Recurrent, gru_step, remember
from policies.network import network
from policies.normalizer import Gathered, ObservationNormalizer
from policies.spec import PolicySpec


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
    memory_width: int
    """Number of entries M of the memory in training: those of the actor, then those of a recurrent critic."""

    def __init__(self, spec: PolicySpec, init_sigma: float = 0.5, generator: torch.Generator | None = None) -> None:
        super().__init__()
        if not init_sigma > spec.min_sigma > 0.0:
            raise HgrpoError(
                f"init_sigma is {init_sigma}; allowed: above min_sigma ({spec.min_sigma}), which is above 0"
            )
        self.spec = spec
        self.normalizer = ObservationNormalizer(spec.observation_size)
        self.privileged_normalizer = ObservationNormalizer(spec.privileged_size) if spec.privileged else None
        self.actor_inputs = spec.observation_size + (spec.memory_width if spec.memory == "history" else 0)
        recurrent = spec.memory == "gru"
        self.actor = network(spec, self.actor_inputs, spec.action_size, 0.01, recurrent, generator)
        # A privileged critic sees what a memory would have to find out.
        critic_recurs = recurrent and not spec.privileged
        all_seen = self.actor_inputs + spec.privileged_size
        self.critic = network(spec, all_seen, 1, 1.0, critic_recurs, generator) if spec.critic else None
        self.memory_width = spec.memory_width * (2 if isinstance(self.critic, Recurrent) else 1)
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

    @property
    def recurrent(self) -> bool:
        """Whether the memory is a GRU, which is trained over sequences."""
        return self.spec.memory == "gru"

    def forward(self, observation: Tensor, memory: Tensor | None = None) -> Tensor | tuple[Tensor, Tensor]:
        """Deterministic action (..., A) in the environment's units and bounds, for observations (..., O).

        A policy with memory also takes its memory (..., M) of `spec.memory_width` entries and returns the next one.
        """
        normalized = self.normalizer(observation)
        if self.spec.memory == "none":
            return self.to_environment(self.actor(normalized))
        if memory is None:
            raise HgrpoError(f"a policy with memory {self.spec.memory} needs its memory; given an observation alone")
        if isinstance(self.actor, Recurrent):
            mean, memory = self.actor(normalized, memory)
            return self.to_environment(mean), memory
        mean = self.actor(torch.cat((normalized, self._past(self.normalizer, memory)), dim=-1))
        return self.to_environment(mean), remember(memory, observation, mean)

    def predict(self, observation: ArrayLike) -> NDArray[np.float32]:
        """Deterministic action as a numpy array, without gradients.

        Args:
            observation: (O,) or (B, O) in the units of `spec`.

        Returns:
            (A,) or (B, A) in the environment's units and bounds.

        Raises:
            HgrpoError: For another shape.
        """
        given = self.tensor_of(observation)
        if self.spec.memory_width:
            raise HgrpoError(f"a policy with memory {self.spec.memory} acts on sequences; allowed: Carried(policy)")
        with torch.inference_mode():
            action: NDArray[np.float32] = self(given).cpu().numpy()
        return action

    def tensor_of(self, observation: ArrayLike) -> Tensor:
        """Observation (O,) or (B, O) as a tensor on the policy's device; raises HgrpoError for another shape."""
        given = torch.tensor(np.asarray(observation), dtype=torch.float32, device=self.device)
        if given.ndim not in (1, 2) or given.shape[-1] != self.spec.observation_size:
            raise HgrpoError(
                f"observation has shape {tuple(given.shape)}; allowed: ({self.spec.observation_size},) or "
                f"(B, {self.spec.observation_size})"
            )
        return given

    def mean(self, observation: Tensor) -> Tensor:
        """Mean action (..., A), normalised, of observations (..., O) or rows of training (..., O + P + M)."""
        return self.acting()(observation)[0]

    def acting(self) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
        """Function from rows (..., O + P + M) to the mean (..., A) and the states of all GRUs (..., M) after it.

        The present statistics of observations are computed once for many calls. The second result is empty without
        GRUs.
        """
        features = self.actor_features()
        layers = [module.forward for module in self.actor]  # a call of the module takes as long as its work

        def act(row: Tensor) -> tuple[Tensor, Tensor]:
            normalized = features(row)
            if not isinstance(self.actor, Recurrent):
                for layer in layers:
                    normalized = layer(normalized)
                return normalized, row[..., :0]
            own = self.spec.memory_width
            memory = self._memory(row)
            mean, hidden = self.actor(normalized, memory[..., :own])
            if isinstance(self.critic, Recurrent):
                critic_hidden = memory[..., own:]
                x = self.critic.before(normalized)
                hidden = torch.cat((hidden, gru_step(self.critic.cell, x, critic_hidden)), dim=-1)
            return mean, hidden

        return act

    def actor_features(self) -> Callable[[Tensor], Tensor]:
        """Function from rows (..., O + P + M) to normalised inputs of the actor, each of one entry of the row."""
        normalize = self.normalizer.fixed()

        def features(row: Tensor) -> Tensor:
            normalized = normalize(self._seen(row))
            if self.spec.memory != "history":
                return normalized
            return torch.cat((normalized, self._past(normalize, self._memory(row))), dim=-1)

        return features

    def carry(self, row: Tensor, states: Tensor, action: Tensor) -> Tensor:
        """Memory (..., M) after a step.

        Args:
            row: (..., O + P + M) that was acted on.
            states: (..., M) of the GRUs after it, from `acting`.
            action: (..., A) unclipped, in normalised units.
        """
        return remember(self._memory(row), self._seen(row), action) if self.spec.memory == "history" else states

    def value(self, observation: Tensor) -> Tensor:
        """V (...) of observations (..., O), of (..., O + P) for a privileged critic, or of rows (..., O + P + M).

        Raises HgrpoError for a policy without critic and for observations of another width.
        """
        if self.critic is None:
            raise HgrpoError("this policy has no critic; its algorithm trains none")
        features = self.critic_features(observation)
        if isinstance(self.critic, Recurrent):
            return self.critic(features, self._memory(observation)[..., self.spec.memory_width :])[0].squeeze(-1)
        return self.critic(features).squeeze(-1)

    def critic_features(self, row: Tensor) -> Tensor:
        """Normalised input of the critic; its first `actor_inputs` entries are the input of the actor."""
        parts = [self.normalizer(self._seen(row))]
        if self.spec.memory == "history":
            parts.append(self._past(self.normalizer, self._memory(row)))
        if self.privileged_normalizer is not None:
            parts.append(self.privileged_normalizer(self._hidden(row)))
        return torch.cat(parts, dim=-1) if len(parts) > 1 else parts[0]

    def update_normalizers(self, observation: Tensor, gathered: Gathered = lambda x: [x]) -> None:
        """Add observations, (..., O) or (..., O + P) if privileged, to the statistics.

        `gathered` returns tensors of all processes in place of one's own.
        """
        if self.privileged_normalizer is not None:
            self.privileged_normalizer.update(self._hidden(observation), gathered)
        self.normalizer.update(self._seen(observation), gathered)

    def log_prob(self, observation: Tensor, action: Tensor) -> Tensor:
        """log pi(a|s) (...) of unclipped actions (..., A) in normalised units, for observations or rows."""
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

    def _seen(self, row: Tensor) -> Tensor:
        """The entries (..., O) that the actor reads."""
        size, hidden, memory = self.spec.observation_size, self.spec.privileged_size, self.memory_width
        return row[..., :size] if row.shape[-1] - size in (hidden, memory, hidden + memory) else row

    def _hidden(self, row: Tensor) -> Tensor:
        """The entries (..., P) that only a privileged critic reads."""
        size, hidden, memory = self.spec.observation_size, self.spec.privileged_size, self.memory_width
        if row.shape[-1] not in (size + hidden, size + hidden + memory):
            raise HgrpoError(
                f"a privileged critic needs {size} + {hidden} entries, observed and privileged; given {row.shape[-1]}"
            )
        return row[..., size : size + hidden]

    def _memory(self, row: Tensor) -> Tensor:
        """The memory (..., M) at the end of a row."""
        return row[..., row.shape[-1] - self.memory_width :]

    def _past(self, normalize: Callable[[Tensor], Tensor], memory: Tensor) -> Tensor:
        """A history (..., k (O + A)) with normalised observations."""
        steps = memory.unflatten(-1, (self.spec.memory_size, -1))
        size = self.spec.observation_size
        return torch.cat((normalize(steps[..., :size]), steps[..., size:]), dim=-1).flatten(-2)
