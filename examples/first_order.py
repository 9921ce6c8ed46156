"""First-order Hybrid GRPO in one file: a quadrotor learns to hover from the slopes of its simulator.

    python examples/first_order.py

32 drones fly in one batch. In every iteration 2 copies of each drone start at the same instant and fly for 32 steps,
each with its own exploration noise eps. Autograd goes back through simulator and policy: the slope is the derivative of
a copy's return by its action. The score A eps and sigma times the slope are both directions for the mean of the policy;
the wish is their mix. The spread among the copies of a drone gives the best share of each. The next iteration starts
where copy 0 ended. The equations: docs/concepts/algorithms.md, Slopes. Seed and settings give the parameters of
`hgrpo train hybrid-grpo quadrotor-hover --pathwise auto --estimator per_sample`, up to rounding.
"""

import argparse

import torch
from torch import Tensor, nn

import robots
from policies import ActorCritic, PolicySpec
from robots.episodes import FreshEpisodes, autoreset, reset_episodes, step_episodes

ROOTS, SAMPLES, STEPS = 32, 2, 32  # E, N (at least 2) and T; an iteration takes E N T steps
GAMMA, LEARNING_RATE, EPOCHS, MINIBATCHES, LEASH = 0.99, 3e-3, 4, 4, 5.0  # the leash weighs KL(old || new) in the loss


class FirstOrderGRPO:
    """A run: simulator, policy, optimiser, and the episodes that continue from one iteration to the next."""

    def __init__(self, seed: int = 0, total_steps: int = 163_840) -> None:
        self.simulator, self.iteration = robots.make("quadrotor-hover"), 0
        self.iterations = total_steps // (ROOTS * SAMPLES * STEPS)
        seeds = torch.randint(2**31, (4,), generator=torch.Generator().manual_seed(seed)).tolist()
        streams = torch.randint(2**62, (4,), generator=torch.Generator().manual_seed(seeds[1])).tolist()
        *self.streams, self.shuffling = (torch.Generator().manual_seed(stream) for stream in (*streams, seeds[2]))
        spec = self.simulator.spec
        names, bounds = (spec.name, spec.robot, spec.control_hz), (spec.action_low, spec.action_high)
        interface = PolicySpec(*names, spec.observation, spec.action, *bounds, spec.neutral_action)
        self.policy = ActorCritic(interface, 0.3, torch.Generator().manual_seed(seeds[0]))
        self.optimizer = torch.optim.Adam(self.policy.parameters(), eps=1e-5, fused=True)
        self.roots = reset_episodes(self.simulator, ROOTS, self.streams[2])
        restarts = zip((ROOTS, ROOTS * (SAMPLES - 1)), self.streams[2:], strict=True)
        self.fresh = [FreshEpisodes(self.simulator, rows, stream) for rows, stream in restarts]
        self.seen = self.simulator.observe(self.roots.state)
        self.policy.update_normalizers(self.seen)
        self.moments: Tensor | None = None

    def collect(self) -> list[Tensor]:
        """Fly N copies of every root; returns (T, E, N, ...) observation, eps, advantage, target of V and slope."""
        e, n, last = ROOTS, SAMPLES, STEPS - 1
        copies = robots.repeat(self.roots, n)  # rows i n ... i n + n - 1 are copies of root i
        seen, sigma, actions, steps = self.seen.repeat_interleave(n, dim=0), self.policy.sigma.detach(), [], []
        discount = torch.ones(e * n)  # gamma^k, k steps after the start of the branch or of the episode in it
        for t in range(STEPS):
            parts = zip((1, n - 1), self.streams, strict=False)
            noise = torch.cat([torch.randn((e, k, len(sigma)), generator=g) for k, g in parts], dim=1).flatten(0, 1)
            actions.append(self.policy.mean(seen) + sigma * noise)
            step = step_episodes(self.simulator, copies, self.command(actions[-1]))
            done = step.terminated | step.truncated
            steps.append((seen, noise, step.reward, step.terminated, done, step.observation, discount))
            copies, seen, ended = step.episodes, step.observation, done.nonzero().squeeze(1)
            discount = torch.where(done, 1.0, GAMMA * discount)
            for rows, fresh in zip((ended[ended % n == 0], ended[ended % n > 0]), self.fresh, strict=True):
                if len(rows) and (t < last or fresh is self.fresh[0]):  # no sibling continues after the last step
                    copies, seen = autoreset(copies, seen, rows, fresh.draw(len(rows)))
        roots = robots.select(copies, slice(None, None, n))
        self.roots, self.seen = robots.simulator.map_state(Tensor.detach, roots), seen[::n].detach()
        seen, noise, reward, terminated, done, after, discount = map(torch.stack, zip(*steps, strict=True))
        rest = GAMMA * torch.where(terminated, 0.0, self.policy.value(after))  # what follows the step, by the critic
        cut = done | (torch.arange(STEPS) == last).unsqueeze(1)
        total = (discount * (reward + torch.where(cut, rest, 0.0))).sum()
        slope = torch.stack(torch.autograd.grad(total, actions)) / discount.unsqueeze(-1)
        value = self.policy.value(seen)
        advantage = (reward + rest - value).detach()
        for t in reversed(range(last)):  # the sum of TD errors to the end of the episode or branch, lambda 1
            advantage[t] += torch.where(done[t], 0.0, GAMMA * advantage[t + 1])
        columns = [x.detach().unflatten(1, (e, n)) for x in (seen, noise, advantage, value + advantage, slope)]
        columns[3][0] = columns[3][0].mean(-1, keepdim=True)  # all samples share the root
        return columns

    def command(self, action: Tensor) -> Tensor:
        """The clipped action in the simulator's units; a slope that points back inside passes the clip."""
        fixed, half_range = action.detach(), 0.5 * (self.policy.action_high - self.policy.action_low)
        free = action - fixed  # 0, with the derivative 1
        free.register_hook(lambda slope: slope.masked_fill((fixed.abs() > 1.0) & (slope * fixed > 0.0), 0.0))
        return self.policy.to_environment(fixed) + half_range * free

    def mix(self, advantage: Tensor, noise: Tensor, slope: Tensor) -> tuple[Tensor, float]:
        """Wishes (T, E, N, 2, A) for mean and log sigma, in units of sigma, and the mean share alpha of the slopes."""
        better = (advantage - advantage.mean()).unsqueeze(-1)
        score = better * noise
        v_0, v_1, v_d = score.var(2), slope.var(2), (score - slope).var(2)
        new = torch.stack((v_0, v_1, 0.5 * (v_0 + v_1 - v_d), (score - slope).mean(2).square() - v_d / SAMPLES)).mean(2)
        self.moments = new if self.moments is None else torch.lerp(self.moments, new, 0.1)
        v_0, v_1, covariance, bias = self.moments
        alpha = (v_0 - covariance) / (v_0 + v_1 - 2.0 * covariance + SAMPLES * bias.mean().clamp_min(0.0))
        alpha = alpha.clamp(0.0, 1.0).unsqueeze(1).unsqueeze(1)
        by_mean = alpha * slope + (1.0 - alpha) * score
        by_sigma = alpha * slope * noise + (1.0 - alpha) * better * (noise.square() - 1.0)
        length, rows = by_mean.norm(dim=-1, keepdim=True), advantage.numel()
        shortest = length.flatten().sort().values.cumsum(0)  # unit = mean(min(length, 3 unit))
        unit = torch.maximum((shortest / torch.arange(3 - 2 * rows, rows + 1, 3))[2 * rows // 3 :].min(), length / 3.0)
        return torch.stack((by_mean / unit, by_sigma / unit), dim=-2), alpha.mean().item()

    def iterate(self) -> float:
        """Collect, then follow the wishes in shuffled minibatches; returns the mean share of the slopes."""
        policy, (seen, noise, advantage, target, slope) = self.policy, self.collect()
        self.optimizer.param_groups[0]["lr"] = LEARNING_RATE * (1.0 - self.iteration / self.iterations)
        with torch.no_grad():
            old_sigma, features = policy.sigma, policy.normalizer(seen)
            wish, share = self.mix(advantage, noise, old_sigma * slope)
            columns = [column.flatten(0, 2) for column in (features, policy.actor(features), wish, target)]
        networks = [policy.raw_sigma, *policy.actor.parameters()], list(policy.critic.parameters())
        for _ in range(EPOCHS):
            for rows in torch.randperm(len(columns[0]), generator=self.shuffling).chunk(MINIBATCHES):
                features, old_mean, wished, wanted = (column[rows] for column in columns)
                away, grown = policy.actor(features) - old_mean, (policy.sigma / old_sigma).log()
                gain = (wished[:, 0] * away / old_sigma + wished[:, 1] * grown).sum(-1).mean()
                kl = grown + 0.5 * (old_sigma.square() + away.square()) / policy.sigma.square() - 0.5
                value_loss = 0.5 * (policy.critic(features).squeeze(-1) - wanted).square().mean()
                self.optimizer.zero_grad()
                (LEASH * kl.sum(-1).mean() - gain + 0.5 * value_loss).backward()
                for parameters in networks:  # they share no parameters, so each is clipped by itself
                    nn.utils.clip_grad_norm_(parameters, 1.0)
                self.optimizer.step()
        policy.update_normalizers(seen[:, :, 0])  # not earlier: learning needs the statistics of acting
        self.iteration += 1
        return share

    @torch.no_grad()
    def success(self, episodes: int = 200) -> float:
        """Share of fresh episodes that reach the goal without exploration noise."""
        flying, crashed = reset_episodes(self.simulator, episodes, 1), torch.zeros(episodes, dtype=torch.bool)
        for _ in range(self.simulator.spec.max_episode_steps):
            step = step_episodes(self.simulator, flying, self.policy(self.simulator.observe(flying.state)))
            flying, crashed = step.episodes, crashed | step.terminated
        return (self.simulator.success(flying.state) & ~crashed).float().mean().item()


def main() -> None:
    """Train, and print how many fresh episodes reach the goal."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--total-steps", type=int, default=163_840, help="simulator steps, at least 2,048")
    run = FirstOrderGRPO(**vars(parser.parse_args()))
    while run.iteration < run.iterations:
        print(f"iteration {run.iteration + 1} of {run.iterations}: share of slopes {run.iterate():.2f}", flush=True)
    print(f"{run.success():.3f} of 200 fresh episodes reach the goal")


if __name__ == "__main__":
    main()
