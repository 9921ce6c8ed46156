"""A robot of your own: a crane brings a hanging load to rest at a mark.

python examples/own_robot.py
"""

import argparse
import dataclasses
from functools import partial
from pathlib import Path

import numpy as np

import hgrpo_control
import robots
from robots.mujoco import Outcome, Robot, View, joint_channels, make_mujoco


@dataclasses.dataclass(frozen=True)
class Crane(Robot):
    """Reward: 1 / (1 + (distance of the load / 0.2 m)^2) - swing_weight * (rate of the swing)^2."""

    swing_weight: float = 0.05
    reset_noise_scale: float = 0.5  # largest initial distance from the model's position and from rest
    model_file = str(Path(__file__).with_name("own_robot.xml"))
    frame_skip, max_episode_steps = 5, 100  # a control step takes 5 x 0.01 s, an episode 5 s
    view = View(distance=5.0, lookat=(0.0, 0.0, 1.0), follow="")
    goal = "it ends with the load within 5 cm of the mark and swinging at less than 0.2 rad/s"

    def observe(self, now):
        return np.concatenate((now.qpos, now.qvel), axis=1)

    def observation(self, model):
        return joint_channels(model)

    def outcome(self, before, after, action, dt):
        distance = self.position(after)[:, 0]
        terms = {"mark": 1.0 / (1.0 + (distance / 0.2) ** 2), "swing": -self.swing_weight * after.qvel[:, 1] ** 2}
        return Outcome(terms["mark"] + terms["swing"], np.zeros(len(action), dtype=bool), terms)

    def position(self, now):  # of the load, 1 m below the trolley; the mark is at x = 0
        travel, swing = now.qpos.T
        return np.stack((travel - np.sin(swing), 0.0 * travel, 1.5 - np.cos(swing)), axis=1)

    def success(self, now):
        return (np.abs(self.position(now)[:, 0]) < 0.05) & (np.abs(now.qvel[:, 1]) < 0.2)


robots.register("crane", partial(make_mujoco, "crane", Crane()))

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=300_000, help="simulator steps, at least 8,192")
    config = hgrpo_control.preset("ppo", "quadrotor-hover")
    config = dataclasses.replace(config, task="crane", total_steps=parser.parse_args().steps)
    policy = hgrpo_control.train(config).policy
    for options in ({}, {"mass": 0.3}):  # as trained, and with random masses
        print(options, hgrpo_control.evaluate(policy, robots.make("crane", **options))[0].summary())
