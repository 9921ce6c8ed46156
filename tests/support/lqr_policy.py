"""A linear policy on the scalar LQR whose V and gradient are known."""

from __future__ import annotations

import torch

from hgrpo_control.config.algorithms import HybridGRPO
from hgrpo_control.config.run import Config
from policies.actor_critic import ActorCritic
from support.analytic_envs import ScalarLQR, fresh_policy

GAMMA, GAIN, SIGMA, BOUND, MIN_SIGMA = 0.9, 0.4, 0.5, 20.0, 0.01
RUN = Config(task="scalar-lqr", algorithm=HybridGRPO(GAMMA, 1.0))
NORMALISED = SIGMA / BOUND


def lqr(critic: bool = True) -> tuple[ScalarLQR, ActorCritic]:
    """The simulator and a policy of the gain above with the exact V, or with none."""
    simulator = ScalarLQR(GAMMA, BOUND, max_episode_steps=100)
    policy = fresh_policy(simulator, critic=critic, init_sigma=NORMALISED, min_sigma=MIN_SIGMA)
    p, c = simulator.value_coefficients(GAIN, SIGMA)
    with torch.no_grad():
        policy.actor[0].weight.copy_(torch.tensor([[-GAIN / BOUND, 0.0]]))
        if policy.critic is not None:
            policy.critic[0].weight.copy_(torch.tensor([[0.0, -p]]))
            policy.critic[0].bias.fill_(-c)
    return simulator, policy
