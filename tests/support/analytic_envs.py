"""Five tiny simulators whose best policy or value is known in closed form, and a training loop through them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from hgrpo_control import algorithms
from hgrpo_control.config.algorithms import Algorithm
from hgrpo_control.config.learning import Learning, Network
from hgrpo_control.learning.learner import Learner
from hgrpo_control.rewards import transforms
from hgrpo_control.sampling import guidance
from hgrpo_control.sampling.guided_sampler import sampler_class
from hgrpo_control.training.simulation import policy_spec
from policies.actor_critic import ActorCritic
from robots.simulator import Channel, SimulatorSpec, Step, num_rows


class Probe:
    """What the probes share: one action with symmetric bounds, no goal, nothing to plot and nothing to see."""

    spec: SimulatorSpec

    def __init__(self, name: str, observation: tuple[str, ...], bound: float, max_episode_steps: int) -> None:
        self.spec = SimulatorSpec(
            name=name,
            observation=tuple(Channel(entry) for entry in observation),
            action=(Channel("action"),),
            action_low=(-bound,),
            action_high=(bound,),
            control_hz=1.0,
            max_episode_steps=max_episode_steps,
            neutral_action=(0.0,),
        )

    def privileged(self, state: Any) -> Tensor:
        """(B, 0) nothing is hidden."""
        return torch.zeros(num_rows(state), 0)

    def split_noise(self, state: Any, index: Tensor) -> Any:
        """The state: no step draws anything."""
        return state

    def success(self, state: Any) -> Tensor:
        """(B,) false."""
        return torch.zeros(num_rows(state), dtype=torch.bool)

    def diverged(self, state: Any) -> Tensor:
        """(B,) false."""
        return torch.zeros(num_rows(state), dtype=torch.bool)

    def signals(self, state: Any) -> dict[str, Tensor]:
        """Nothing."""
        return {}

    def position(self, state: Any) -> Tensor:
        """(B, 3) zeros."""
        return torch.zeros(num_rows(state), 3)

    def render(
        self, state: Any, row: int = 0, width: int = 640, height: int = 480, trail: np.ndarray | None = None
    ) -> np.ndarray:
        """A black picture (height, width, 3)."""
        return np.zeros((height, width, 3), dtype=np.uint8)


class ClockState(NamedTuple):
    """A clock."""

    phase: Tensor
    """(B,) int64 steps since the last full turn."""


class ConstantReward(Probe):
    """Reward 1 per step under a clock of `period` phases, seen one-hot.

    If `ends`, the full turn is the end, so V(phase) = (1 - gamma^(period - phase)) / (1 - gamma). If not, the clock
    goes on and only a time limit cuts episodes, so V = 1 / (1 - gamma) in every phase.
    """

    def __init__(self, period: int, ends: bool, max_episode_steps: int = 1000) -> None:
        super().__init__("constant-reward", tuple(f"phase_{i}" for i in range(period)), 1.0, max_episode_steps)
        self.period, self.ends = period, ends

    def reset(self, num: int, seed: int | torch.Generator) -> ClockState:
        """Phase 0."""
        return ClockState(torch.zeros(num, dtype=torch.int64))

    def observe(self, state: ClockState) -> Tensor:
        """(B, period) one-hot phase."""
        return torch.nn.functional.one_hot(state.phase, self.period).float()

    def step(self, state: ClockState, action: Tensor) -> Step:
        """The clock ticks, whatever the action."""
        new = ClockState((state.phase + 1) % self.period)
        return Step(new, self.observe(new), torch.ones(len(action)), self.ends & (new.phase == 0))


class SignState(NamedTuple):
    """A sign."""

    sign: Tensor
    """(B,) -1 or +1."""


class ObservationReward(Probe):
    """The observed sign is paid and flips every step: V(s) = s - gamma s + gamma^2 s - ... = s / (1 + gamma)."""

    def __init__(self, max_episode_steps: int) -> None:
        super().__init__("observation-reward", ("sign",), 1.0, max_episode_steps)

    def reset(self, num: int, seed: int | torch.Generator) -> SignState:
        """Either sign."""
        return SignState(2.0 * torch.randint(2, (num,), generator=generator_of(seed)).float() - 1.0)

    def observe(self, state: SignState) -> Tensor:
        """(B, 1) the sign."""
        return state.sign.unsqueeze(1)

    def step(self, state: SignState, action: Tensor) -> Step:
        """The sign is paid, then flips."""
        new = SignState(-state.sign)
        return Step(new, self.observe(new), state.sign, torch.zeros(len(action), dtype=torch.bool))


class ActionReward(Probe):
    """Bandit: -(a - target)^2, then the end; the best action is the target."""

    def __init__(self, target: float) -> None:
        super().__init__("action-reward", ("nothing",), 4.0, 1000)
        self.target = target

    def reset(self, num: int, seed: int | torch.Generator) -> ClockState:
        """Phase 0."""
        return ClockState(torch.zeros(num, dtype=torch.int64))

    def observe(self, state: ClockState) -> Tensor:
        """(B, 1) zeros."""
        return torch.zeros(len(state.phase), 1)

    def step(self, state: ClockState, action: Tensor) -> Step:
        """Pay and end."""
        reward = -(action[:, 0] - self.target).square()
        return Step(state, self.observe(state), reward, torch.ones(len(action), dtype=torch.bool))


class CreditState(NamedTuple):
    """A debt to be paid in the second step."""

    phase: Tensor
    """(B,) int64, 0 or 1."""
    first_action: Tensor
    """(B,) taken in phase 0."""


class TwoStepCredit(Probe):
    """The first action a earns -(a - target)^2 in the second step, whose own action does nothing; then the end.

    The best first action is the target. In phase 1, V = -(a - target)^2.
    """

    def __init__(self, target: float) -> None:
        super().__init__("two-step-credit", ("phase", "first_action"), 2.0, 1000)
        self.target = target

    def reset(self, num: int, seed: int | torch.Generator) -> CreditState:
        """Phase 0."""
        return CreditState(torch.zeros(num, dtype=torch.int64), torch.zeros(num))

    def observe(self, state: CreditState) -> Tensor:
        """(B, 2) phase and first action."""
        return torch.stack((state.phase.float(), state.first_action), dim=1)

    def step(self, state: CreditState, action: Tensor) -> Step:
        """Remember the action in phase 0, pay for it in phase 1."""
        second = state.phase == 1
        reward = torch.where(second, -(state.first_action - self.target).square(), 0.0)
        new = CreditState(state.phase + 1, torch.where(second, state.first_action, action[:, 0]))
        return Step(new, self.observe(new), reward, second)


class PointState(NamedTuple):
    """A number."""

    x: Tensor
    """(B,)."""


class ScalarLQR(Probe):
    """x' = a x + b u with reward -(q x^2 + r u^2), seen as (x, x^2) so that a linear critic can be exact.

    Only a time limit ends it. Under u ~ N(-k x, sigma^2), V(x) = -(P x^2 + c) with
    P = (q + r k^2) / (1 - gamma (a - b k)^2) and c = (r + gamma P b^2) sigma^2 / (1 - gamma).
    The best k solves k = gamma a b P / (r + gamma b^2 P).
    """

    def __init__(self, gamma: float, bound: float, max_episode_steps: int) -> None:
        super().__init__("scalar-lqr", ("x", "x_squared"), bound, max_episode_steps)
        self.gamma, self.a, self.b, self.q, self.r = gamma, 1.0, 1.0, 1.0, 1.0

    def reset(self, num: int, seed: int | torch.Generator) -> PointState:
        """x uniform in [-2, 2]."""
        return PointState(4.0 * torch.rand(num, generator=generator_of(seed)) - 2.0)

    def observe(self, state: PointState) -> Tensor:
        """(B, 2) x and x^2."""
        return torch.stack((state.x, state.x.square()), dim=1)

    def step(self, state: PointState, action: Tensor) -> Step:
        """One step of the linear system."""
        u = action[:, 0]
        new = PointState(self.a * state.x + self.b * u)
        reward = -(self.q * state.x.square() + self.r * u.square())
        return Step(new, self.observe(new), reward, torch.zeros(len(u), dtype=torch.bool))

    def value_coefficients(self, gain: float, sigma: float) -> tuple[float, float]:
        """P and c under u ~ N(-gain x, sigma^2)."""
        p = (self.q + self.r * gain**2) / (1.0 - self.gamma * (self.a - self.b * gain) ** 2)
        return p, (self.r + self.gamma * p * self.b**2) * sigma**2 / (1.0 - self.gamma)

    def best_gain(self) -> float:
        """Fixed point of the two formulas above; each round is one policy improvement, and 100 are more than enough."""
        gain = self.a / self.b
        for _ in range(100):
            p, _ = self.value_coefficients(gain, 0.0)
            gain = self.gamma * self.a * self.b * p / (self.r + self.gamma * self.b**2 * p)
        return gain


def fresh_policy(
    simulator: Any,
    hidden_sizes: tuple[int, ...] = (),
    critic: bool = True,
    init_sigma: float = 0.5,
    min_sigma: float = 0.01,
    seed: int = 0,
) -> ActorCritic:
    """A policy for a simulator; without hidden layers, actor and critic are linear."""
    spec = policy_spec(simulator.spec, Network(hidden_sizes, min_sigma=min_sigma), critic)
    return ActorCritic(spec, init_sigma, torch.Generator().manual_seed(seed))


def lqr_policy(lqr: ScalarLQR, gain: float, sigma: float) -> ActorCritic:
    """u ~ N(-gain x, sigma^2) with its exact V."""
    bound = lqr.spec.action_high[0]
    policy = fresh_policy(lqr, init_sigma=sigma / bound)
    p, c = lqr.value_coefficients(gain, sigma)
    assert policy.critic is not None
    with torch.no_grad():
        policy.actor[0].weight.copy_(torch.tensor([[-gain / bound, 0.0]]))
        policy.critic[0].weight.copy_(torch.tensor([[0.0, -p]]))
        policy.critic[0].bias.fill_(-c)
    return policy


def train(
    simulator: Any,
    algorithm: Algorithm,
    iterations: int,
    num_envs: int,
    rollout_steps: int,
    learning: Learning,
    init_sigma: float = 0.5,
    min_sigma: float = 0.01,
    seed: int = 0,
) -> ActorCritic:
    """Collect, transform, compute advantages, learn, normalise: a training run, for linear actor and critic."""
    critic = algorithm.needs_critic
    policy = fresh_policy(simulator, (), critic, init_sigma, min_sigma, seed)
    branch_length = algorithm.branch_length(rollout_steps)
    guided = guidance.make(policy, algorithm, learning, seed)
    sampler = sampler_class(None if guided is None else guided.proposals)(
        simulator,
        policy,
        num_envs,
        algorithm.num_samples,
        branch_length,
        rollout_steps,
        seed,
        initial_states=algorithm.restarts_branches,
    )
    transform, learner = transforms.make(algorithm, num_envs), Learner(policy, learning, seed)
    policy.normalizer.update(sampler.root_observation)
    for iteration in range(iterations):
        rollout, _ = sampler.collect()
        rollout = transforms.apply(transform, rollout, algorithm)
        batch = algorithms.make_batch(rollout, algorithm)
        stats = learner.update(batch, progress=iteration / iterations)
        if guided is not None:
            guided.update(rollout, batch, stats["learning_rate"])
        policy.normalizer.update(rollout.executed_observation)
    return policy


def generator_of(seed: int | torch.Generator) -> torch.Generator:
    """The generator itself, or a fresh one for a number."""
    return seed if isinstance(seed, torch.Generator) else torch.Generator().manual_seed(seed)
