"""A small differentiable simulator, and variants of it with one fault each."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from robots.simulator import Channel, SimulatorSpec, Step

DT, DAMPING, LENGTH = 0.05, 0.1, 1.0


class Body(NamedTuple):
    angle: Tensor
    rate: Tensor


class PendulumState(NamedTuple):
    body: Body
    memory: Tensor
    """(B, 2) last torque, and integral of the angle."""
    inside: Tensor
    """(B,) int64 consecutive steps near the top."""
    steps: Tensor
    """(B,) int64."""
    nothing: Tensor
    """(B, 0)."""


class Pendulum:
    """A damped pendulum with a torque limit, a spring that acts on one side, and a counter."""

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        self.dtype = dtype
        self.spec = SimulatorSpec(
            name="pendulum",
            observation=tuple(Channel(name) for name in ("cos", "sin", "rate", "last_torque")),
            action=(Channel("torque", "N m"),),
            action_low=(-1.0,),
            action_high=(1.0,),
            control_hz=20.0,
            max_episode_steps=100,
            neutral_action=(0.0,),
            noise=False,
            differentiable=True,
        )

    def reset(self, num: int, seed: int | torch.Generator) -> PendulumState:
        generator = seed if isinstance(seed, torch.Generator) else torch.Generator().manual_seed(seed)
        angle, rate = (2.0 * torch.rand(2, num, generator=generator, dtype=self.dtype) - 1.0).unbind()
        zero = torch.zeros(num, dtype=torch.int64)
        memory = torch.zeros(num, 2, dtype=self.dtype)
        return PendulumState(Body(angle, rate), memory, zero, zero, memory[:, :0])

    def observe(self, state: PendulumState) -> Tensor:
        angle, rate = state.body
        return torch.stack((angle.cos(), angle.sin(), rate, state.memory[:, 0]), dim=1)

    def step(self, state: PendulumState, action: Tensor) -> Step:
        torque = action[:, 0].to(self.dtype).clamp(-1.0, 1.0)
        angle, rate = state.body
        spring = torch.where(angle > 0.3, -5.0 * (angle - 0.3), 0.0)
        rate = rate + DT * (9.81 / LENGTH * angle.sin() - DAMPING * rate + self.torque(torque, state) + spring)
        angle = angle + DT * rate
        memory = torch.stack((torque, state.memory[:, 1] + DT * angle), dim=1)
        inside = torch.where(angle.abs() < 0.1, state.inside + 1, 0)
        new = PendulumState(Body(angle, rate), memory, inside, state.steps + 1, state.nothing)
        reward = 1.0 / (1.0 + (angle / 0.05) ** 2) - 0.01 * rate**2 - 0.1 * (torque - state.memory[:, 0]) ** 2
        return Step(new, self.observe(new), self.reward(reward, new), angle.abs() > 1.5)

    def torque(self, torque: Tensor, state: PendulumState) -> Tensor:
        return torque

    def reward(self, reward: Tensor, new: PendulumState) -> Tensor:
        return reward

    def privileged(self, state: PendulumState) -> Tensor:
        return state.memory[:, :0]

    def split_noise(self, state: Any, index: Tensor) -> Any:
        return state

    def success(self, state: PendulumState) -> Tensor:
        return state.inside > 3

    def diverged(self, state: PendulumState) -> Tensor:
        return torch.zeros_like(state.steps, dtype=torch.bool)

    def signals(self, state: PendulumState) -> dict[str, Tensor]:
        return {"angle [rad]": state.body.angle.unsqueeze(1)}

    def position(self, state: PendulumState) -> Tensor:
        angle = state.body.angle
        return torch.stack((angle.sin(), torch.zeros_like(angle), angle.cos()), dim=1)

    def render(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError


class _Scaled(torch.autograd.Function):
    """The identity, with a backward pass that is wrong by a factor."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, factor: float) -> Tensor:
        ctx.factor = factor
        return x.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        return ctx.factor * gradient, None


class WrongFactor(Pendulum):
    def torque(self, torque: Tensor, state: PendulumState) -> Tensor:
        return _Scaled.apply(torque, 1.001)


class Detached(Pendulum):
    """Writes a part of the reward through `data`, which autograd does not see."""

    def reward(self, reward: Tensor, new: PendulumState) -> Tensor:
        bonus = torch.zeros_like(reward)
        bonus.data.copy_(1e-3 * new.body.angle.detach())
        return reward + bonus


class UndefinedAtZero(Pendulum):
    """The root of a square: NaN where the torque has not changed, which only the first neutral steps meet."""

    def reward(self, reward: Tensor, new: PendulumState) -> Tensor:
        return reward - 0.01 * (new.memory[:, 0] ** 2).sqrt()


class UndefinedBranch(Pendulum):
    """A branch that is not taken is the root of a negative number."""

    def reward(self, reward: Tensor, new: PendulumState) -> Tensor:
        angle = new.body.angle
        return reward + 0.1 * torch.where(angle > 0.0, angle.sqrt(), 0.0)


class Rounded(Pendulum):
    """Rounds an observation, which has no useful slope."""

    def observe(self, state: PendulumState) -> Tensor:
        return (super().observe(state) * 1e9).round() / 1e9


class OtherBits(Pendulum):
    """Another formula where a gradient is wanted."""

    def torque(self, torque: Tensor, state: PendulumState) -> Tensor:
        return torque * 1.000001 if torque.requires_grad else torque


class Shared(Pendulum):
    """A gradient that is the mean over the batch."""

    def torque(self, torque: Tensor, state: PendulumState) -> Tensor:
        return _Mean.apply(torque)


class _Mean(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        return gradient.mean().expand_as(gradient)


class Overwritten(Pendulum):
    """Keeps what backward needs in one buffer, which the next step overwrites."""

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        super().__init__(dtype)
        self.buffer = torch.zeros(0, dtype=dtype)

    def torque(self, torque: Tensor, state: PendulumState) -> Tensor:
        self.buffer = self.buffer if self.buffer.shape == torque.shape else torch.zeros_like(torque)
        self.buffer.copy_(state.body.rate.detach())
        return _Buffered.apply(torque, state.body.rate, self.buffer)


class _Buffered(torch.autograd.Function):
    """torque * rate"""

    @staticmethod
    def forward(ctx: Any, torque: Tensor, rate: Tensor, buffer: Tensor) -> Tensor:
        ctx.torque, ctx.buffer = torque.detach(), buffer
        return torque * rate

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:  # type: ignore[override]
        return gradient * ctx.buffer, gradient * ctx.torque, None


class InPlace(Pendulum):
    """Changes its input."""

    def torque(self, torque: Tensor, state: PendulumState) -> Tensor:
        state.memory[:, 0] += 0.0
        return torque
