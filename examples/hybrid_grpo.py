"""Hybrid GRPO in one file, with torch and the simulators of `robots`: a quadrotor learns to hover.

    python examples/hybrid_grpo.py

32 drones fly in one batch. In every iteration 4 copies of each drone start at exactly the same instant and fly for 64
steps, each with its own exploration noise. The return of a copy is compared with its siblings (as in GRPO), and a
critic estimates the return after the 64 steps (as in PPO). The next iteration starts where copy 0 ended.

The settings are those of PPO's preset, with four samples of a quarter of the roots. The same seed gives the parameters
of the package after every update, up to rounding. Equation numbers are those of the Hybrid GRPO paper (2025).
"""

from __future__ import annotations

import argparse
import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

import robots
from robots.episodes import FreshEpisodes, autoreset, reset_episodes, step_episodes


class Settings(NamedTuple):
    """The settings; an iteration takes roots x samples x rollout_steps simulator steps."""

    seed: int = 0
    total_steps: int = 327_680
    roots: int = 32
    samples: int = 4
    rollout_steps: int = 64
    gamma: float = 0.99
    learning_rate: float = 1.5e-3
    epochs: int = 5
    minibatches: int = 8


class Rollout(NamedTuple):
    """T steps of E roots with N samples each."""

    observation: Tensor  # (T, E, N, O)
    action: Tensor  # (T, E, N, A) as drawn, before it is clipped
    log_prob: Tensor  # (T, E, N) of `action`
    reward: Tensor  # (T, E, N)
    terminated: Tensor  # (T, E, N) bool, the episode ended for good: no reward follows
    done: Tensor  # (T, E, N) bool, terminated or cut by the time limit
    value: Tensor  # (T, E, N) V of `observation`
    next_value: Tensor  # (T, E, N) V of the observation after the step


class Normalizer(nn.Module):
    """Subtract the running mean of observations and divide by their running standard deviation."""

    def __init__(self, size: int) -> None:
        super().__init__()
        for name, start in (("mean", torch.zeros(size)), ("variance", torch.ones(size)), ("count", torch.zeros(()))):
            self.register_buffer(name, start.double())

    def forward(self, observation: Tensor) -> Tensor:
        """(..., O), within 10 standard deviations; entries that have not varied are centred and not scaled."""
        scale = torch.where(self.variance > 1e-12, self.variance.rsqrt(), 1.0)
        return ((observation - self.mean.float()) * scale.float()).clamp(-10.0, 10.0)

    def update(self, observation: Tensor) -> None:
        """Update the statistics with observations (..., O), by the formula of Chan, Golub and LeVeque (1979)."""
        x = observation.flatten(0, -2).double()
        total, delta = self.count + len(x), x.mean(0) - self.mean
        squares = x.var(0, correction=0) * len(x) + delta**2 * (self.count * len(x) / total)
        self.variance.copy_((self.variance * self.count + squares) / total)
        self.mean += delta * (len(x) / total)
        self.count.copy_(total)


class Policy(nn.Module):
    """Gaussian policy pi(a|s), in units with bounds -1 and 1, and value V(s), one MLP each."""

    def __init__(self, spec: robots.SimulatorSpec, generator: torch.Generator) -> None:
        super().__init__()
        self.low, self.high = torch.tensor(spec.action_low), torch.tensor(spec.action_high)
        self.normalizer = Normalizer(spec.observation_size)
        self.actor = mlp(spec.observation_size, spec.action_size, 0.01, generator)
        self.critic = mlp(spec.observation_size, 1, 1.0, generator)
        neutral = torch.tensor(spec.neutral_action)  # a new policy starts at hovering thrust
        self.actor[-1].bias.data.copy_(2.0 * (neutral - self.low) / (self.high - self.low) - 1.0)
        self.raw_sigma = nn.Parameter(torch.full((spec.action_size,), math.log(0.49)))

    @property
    def sigma(self) -> Tensor:
        """(A,) standard deviation, the same in every state: 0.5 at the start, at least 0.01."""
        return 0.01 + self.raw_sigma.exp()

    def value(self, observation: Tensor) -> Tensor:
        """V (...) of observations (..., O)."""
        return self.critic(self.normalizer(observation)).squeeze(-1)

    def to_environment(self, action: Tensor) -> Tensor:
        """Actions (..., A) clipped to [-1, 1], in the simulator's units."""
        return self.low + (action.clamp(-1.0, 1.0) + 1.0) * (0.5 * (self.high - self.low))


def mlp(inputs: int, outputs: int, output_gain: float, generator: torch.Generator) -> nn.Sequential:
    """Two hidden layers of 64 tanh units, with orthogonal initial weights and zero biases."""
    layers = [nn.Linear(inputs, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, outputs)]
    for layer, gain in zip(layers[::2], (math.sqrt(2.0), math.sqrt(2.0), output_gain), strict=True):
        nn.init.orthogonal_(layer.weight, gain, generator=generator)
        nn.init.zeros_(layer.bias)
    return nn.Sequential(*layers)


def log_density(z: Tensor, sigma: Tensor) -> Tensor:
    """(...) log density of mean + sigma z for z (..., A)."""
    return -0.5 * z.square().sum(-1) - 0.5 * math.log(2.0 * math.pi) * z.shape[-1] - sigma.log().sum()


class HybridGRPO:
    """A run: simulator, policy, optimiser, and the episodes that continue from one iteration to the next."""

    def __init__(self, chosen: Settings) -> None:
        self.chosen, self.simulator, self.iteration = chosen, robots.make("quadrotor-hover"), 0
        self.iterations = chosen.total_steps // (chosen.roots * chosen.samples * chosen.rollout_steps)
        seeds = torch.randint(2**31, (4,), generator=torch.Generator().manual_seed(chosen.seed)).tolist()
        streams = torch.randint(2**62, (4,), generator=torch.Generator().manual_seed(seeds[1])).tolist()
        self.streams = [torch.Generator().manual_seed(seed) for seed in streams]  # siblings have their own streams
        self.shuffling = torch.Generator().manual_seed(seeds[2])
        self.policy = Policy(self.simulator.spec, torch.Generator().manual_seed(seeds[0]))
        self.optimizer = torch.optim.Adam(self.policy.parameters(), eps=1e-5, fused=True)
        self.roots = reset_episodes(self.simulator, chosen.roots, self.streams[2])
        restarting = zip((chosen.roots, chosen.roots * (chosen.samples - 1)), self.streams[2:], strict=True)
        self.fresh = [FreshEpisodes(self.simulator, rows, stream) for rows, stream in restarting]
        self.seen = self.simulator.observe(self.roots.state)
        self.policy.normalizer.update(self.seen)

    @torch.no_grad()
    def collect(self) -> tuple[Rollout, list[bool]]:
        """Branch N samples from every root (eq. 10) and fly them (eq. 11); also return who reached the goal."""
        e, n, last = self.chosen.roots, self.chosen.samples, self.chosen.rollout_steps - 1
        branches = robots.repeat(self.roots, n)  # rows i n ... i n + n - 1 are copies of root i
        seen, steps, cut, successes = self.seen.repeat_interleave(n, dim=0), [], [], []
        for t in range(last + 1):
            action, log_prob = self.act(seen.view(e, n, -1))
            step = step_episodes(self.simulator, branches, self.policy.to_environment(action).flatten(0, 1))
            done = step.terminated | step.truncated
            told = (x.view(e, n) for x in (step.reward, step.terminated, done))
            steps.append((seen.view(e, n, -1), action, log_prob, *told))
            if step.truncated.any() and t < last:
                cut.append((t, step.truncated, step.observation[step.truncated]))
            branches, seen = step.episodes, step.observation
            ended = done.nonzero().squeeze(1)
            executed, siblings = ended[ended % n == 0], ended[ended % n != 0]
            successes += self.simulator.success(branches.state)[executed].tolist()
            for rows, fresh in zip((executed, siblings), self.fresh, strict=True):
                if len(rows) and (t < last or rows is executed):  # no sibling continues after the last step
                    branches, seen = autoreset(branches, seen, rows, fresh.draw(len(rows)))
        self.roots, self.seen = robots.select(branches, slice(None, None, n)), seen[::n]
        columns = [torch.stack(column) for column in zip(*steps, strict=True)]
        value = self.policy.value(columns[0].flatten(0, 2)).view(-1, e, n)
        next_value = torch.cat((value[1:], self.policy.value(step.observation).view(1, e, n)))
        if cut:  # the next observation there belongs to another episode
            final = self.policy.value(torch.cat([observation for _, _, observation in cut]))
            for (t, rows, _), values in zip(cut, final.split([int(rows.sum()) for _, rows, _ in cut]), strict=True):
                next_value[t].view(-1)[rows] = values
        return Rollout(*columns, value, next_value), successes

    def act(self, seen: Tensor) -> tuple[Tensor, Tensor]:
        """Draw actions (E, N, A) for observations (E, N, O); returns them and their log densities (E, N)."""
        features, sigma = self.policy.normalizer(seen), self.policy.sigma
        means, noise = [], []
        # The executed sample has its own batch, because the bits of a matrix product depend on the number of rows.
        for part, stream in zip((features[:, :1], features[:, 1:]), self.streams[:2], strict=True):
            means.append(self.policy.actor(part.flatten(0, 1)).view(*part.shape[:2], -1))
            noise.append(torch.randn(means[-1].shape, generator=stream))
        mean, z = torch.cat(means, dim=1), torch.cat(noise, dim=1)
        return mean + sigma * z, log_density(z, sigma)

    def iterate(self) -> list[bool]:
        """Collect, then learn in shuffled minibatches by clipped policy loss (eq. 14) and value loss."""
        chosen, policy, (rollout, successes) = self.chosen, self.policy, self.collect()
        self.optimizer.param_groups[0]["lr"] = chosen.learning_rate * (1.0 - self.iteration / self.iterations)
        advantage, target = advantages(rollout, chosen.gamma)
        advantage = (advantage - advantage.mean()) / advantage.std(correction=0)
        columns = (policy.normalizer(rollout.observation), rollout.action, rollout.log_prob, advantage, target)
        columns = tuple(column.flatten(0, 2) for column in columns)
        actor, critic = [policy.raw_sigma, *policy.actor.parameters()], list(policy.critic.parameters())
        for _ in range(chosen.epochs):
            for rows in torch.randperm(len(columns[0]), generator=self.shuffling).chunk(chosen.minibatches):
                seen, action, old_log_prob, better, wanted = (column[rows] for column in columns)
                sigma = policy.sigma
                ratio = (log_density((action - policy.actor(seen)) / sigma, sigma) - old_log_prob).exp()
                policy_loss = -torch.minimum(ratio * better, ratio.clamp(0.8, 1.2) * better).mean()
                value_loss = 0.5 * (policy.critic(seen).squeeze(-1) - wanted).square().mean()
                self.optimizer.zero_grad()
                (policy_loss + 0.5 * value_loss).backward()
                for parameters in (actor, critic):  # they share no parameters, so each is clipped by itself
                    nn.utils.clip_grad_norm_(parameters, 1.0)
                self.optimizer.step()
        policy.normalizer.update(rollout.observation[:, :, 0])  # not earlier: learning needs the statistics of acting
        self.iteration += 1
        return successes


def advantages(rollout: Rollout, gamma: float) -> tuple[Tensor, Tensor]:
    """Advantages of the actions over their siblings, and targets of V, both (T, E, N).

    L at step t is the sum of gamma^(l-t) delta_l to the end of the episode or of the branch; the advantage is L less
    the siblings' baseline. At the root, which all N samples share, V is to become V + the mean of L (eq. 13).
    """
    delta = rollout.reward + gamma * torch.where(rollout.terminated, 0.0, rollout.next_value) - rollout.value
    total, carry = torch.empty_like(delta), torch.zeros_like(delta[0])
    for t in range(len(delta) - 1, -1, -1):
        carry = total[t] = delta[t] + gamma * (~rollout.done[t]).float() * carry
    target = total.clone()
    target[0] = total[0].mean(-1, keepdim=True)
    return total - baseline(total, rollout.done), rollout.value + target


def baseline(x: Tensor, done: Tensor) -> Tensor:
    """Mean of each sample's siblings, weighted by how much siblings share; x and done (T, E, N).

    Only those in their first episode count. rho is how siblings correlate at all other roots, so that nothing in a
    baseline depends on its own sample. The mean of M siblings predicts best when weighted by M rho / (1 + (M - 1) rho).
    """
    counts = done.cumsum(0) - done.long() == 0
    known, number = torch.where(counts, x, 0.0).double(), counts.sum(-1, keepdim=True)
    squares = known.square().sum(-1, keepdim=True)
    sums = (known.sum(-1, keepdim=True).square() - squares, number * (number - 1), squares, number)
    product, pairs, square, members = (part.sum(1, keepdim=True) - part for part in sums)  # over the other roots
    mean_square = (square / members.clamp_min(1)).clamp_min(1e-30)
    rho = (product / pairs.clamp_min(1) / mean_square).clamp(0.0, 1.0).float()
    siblings = number - counts.long()
    weight = siblings * rho / (1.0 + (siblings - 1) * rho).clamp_min(1e-7)
    shifted = torch.where(counts, x - x[..., :1], 0.0)  # so that the mean of equal siblings is exact
    mean = (shifted.sum(-1, keepdim=True) - shifted) / siblings.clamp_min(1) + x[..., :1]
    return torch.where(counts & (siblings > 0), weight * mean, 0.0)


def main() -> None:
    """Train, and print how many executed episodes reached the goal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=Settings().total_steps, help="simulator steps, at least 8,192")
    run = HybridGRPO(Settings(total_steps=parser.parse_args().steps))
    while run.iteration < run.iterations:
        told = run.iterate()
        reached = f"{sum(told)} of {len(told)} episodes that ended reached the goal"
        print(f"iteration {run.iteration} of {run.iterations}: {reached}", flush=True)


if __name__ == "__main__":
    main()
