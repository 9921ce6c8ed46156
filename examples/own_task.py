"""Register, train and evaluate a quadrotor task of your own: hold a height without moving sideways.

    python examples/own_task.py

A task is a mission: how episodes start, what the policy observes, the reward of a step, and success. Body, motors,
sensors, delays, randomisation (--mass 0.3) and branching come from the flight around it.
"""

import argparse
import dataclasses
import math
from functools import partial

import hgrpo_control
import robots
from robots.quadrotor import FlightOptions, Mission, TaskResult, make_flight

HEIGHT = 2.0  # m


class Height(Mission):
    """Stay at rest at 2 m. Without memory the state is an empty tuple."""

    goal = "it ends within 20 cm of the height at less than 0.3 m/s"
    observation = (robots.Channel("height_error", "m", "world"),)
    weights = {"height": 1.0, "rest": 1.0}
    episode_seconds = 3.0

    def begin(self, draw, difficulty):
        position = self.constant(0.0, 0.0, HEIGHT).t() + draw.in_ball(0.5 * difficulty)
        attitude = draw.attitude(math.pi / 6.0 * difficulty)
        return self.body(position, 0.5 * draw.normal(3), attitude, 0.5 * draw.normal(3)), ()

    def observe(self, pose, mission):  # beside velocity, tilt, body rates and the last action
        return HEIGHT - pose.position[2:]

    def advance(self, context, mission):
        error, speed = context.after.position[:, 2] - HEIGHT, context.after.velocity.norm(dim=1)
        terms = {"height": 1.0 / (1.0 + (error / 0.2) ** 2), "rest": 1.0 / (1.0 + (speed / 0.5) ** 2)}
        return TaskResult(mission, terms, terminated=context.grounded | (error.abs() > 3.0))

    def success(self, state):
        error, speed = state.body.position[:, 2] - HEIGHT, state.body.velocity.norm(dim=1)
        return (error.abs() < 0.2) & (speed < 0.3)


robots.register("quadrotor-height", partial(make_flight, "quadrotor-height", Height, FlightOptions()))

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1_048_576, help="simulator steps, at least 32,768")
    parser.add_argument("--mass", type=float, default=0.0, help="half width of the mass's factor, drawn per episode")
    given, config = parser.parse_args(), hgrpo_control.preset("hybrid-grpo", "quadrotor-hover")
    steps, options = given.steps, {"mass": str(given.mass)}
    config = dataclasses.replace(config, task="quadrotor-height", num_envs=128, total_steps=steps, task_options=options)
    simulator = robots.make(config.task, **options)
    print(f"{config.task}: an episode succeeds if {simulator.spec.goal}")
    print(hgrpo_control.evaluate(hgrpo_control.train(config).policy, simulator)[0].summary())
