"""Branch an environment of your own exactly: two methods save and restore it.

    python examples/gymnasium_environment.py

Environments built on Gymnasium's MujocoEnv need no methods. Environments that cannot be restored train with PPO only.
On the command line: `hgrpo check my_module:Cart` and `hgrpo train hybrid-grpo gymnasium/my_module:Cart`.
"""

import argparse
import dataclasses

import gymnasium
import numpy as np

import hgrpo_control
import robots
from hgrpo_control import cli


class Cart(gymnasium.Env):
    """Push a cart to x = 0 and keep it there, against random forces."""

    metadata = {"render_fps": 20}
    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float64)
    action_space = gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.x, self.v = self.np_random.uniform(-1.0, 1.0, 2)
        return np.array([self.x, self.v]), {}

    def step(self, action):
        self.v += 0.1 * float(action[0]) + 0.01 * self.np_random.normal()
        self.x += 0.1 * self.v
        reward, lost = 1.0 / (1.0 + (self.x / 0.1) ** 2), abs(self.x) > 3.0
        return np.array([self.x, self.v]), reward, lost, False, {"is_success": abs(self.x) < 0.1}

    def get_snapshot(self):  # everything that a later step reads, including the random generator
        return self.x, self.v, self.np_random.bit_generator.state

    def set_snapshot(self, snapshot):
        self.x, self.v, self.np_random.bit_generator.state = snapshot


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=50_000, help="simulator steps, at least 2,048")
    given = parser.parse_args()

    limit = {"max_episode_steps": "100"}
    task = "gymnasium/gymnasium_environment:Cart"
    if cli.main(["check", task, "--states", "20", "--task-options", "max_episode_steps=100"]) != 0:
        raise SystemExit("not exact: what a step reads is missing in the snapshot")

    config = hgrpo_control.preset("hybrid-grpo", task)
    config = dataclasses.replace(config, total_steps=given.steps, task_options=limit)
    simulator = robots.make(task, **limit)
    evaluation, _ = hgrpo_control.evaluate(hgrpo_control.train(config).policy, simulator, episodes=20)
    print(evaluation.summary())
