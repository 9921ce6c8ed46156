"""Train the PPO of Stable-Baselines3 on our batched vector environment: 256 drones, stepped in one call.

    python examples/stable_baselines3_ppo.py

Its make_vec_env("robots:hgrpo/quadrotor-hover-v0", n_envs=8) needs no class like this one, but steps drone by drone.
"""

import argparse
import importlib.util
from typing import Any

import gymnasium

if importlib.util.find_spec("stable_baselines3") is None:
    raise SystemExit("Stable-Baselines3 is not here; in a clone: pip install -c constraints.txt '.[bench]'")

from stable_baselines3 import PPO
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import VecEnv, VecMonitor


class Batched(VecEnv):
    """A Gymnasium vector environment, for Stable-Baselines3; an ended row restarts in the same step."""

    def __init__(self, num: int) -> None:
        self.envs = gymnasium.make_vec("robots:hgrpo/quadrotor-hover-v0", num, autoreset_mode="SameStep")
        super().__init__(num, self.envs.single_observation_space, self.envs.single_action_space)

    def reset(self) -> Any:
        seed, self._seeds = self._seeds[0], [None] * self.num_envs  # type: ignore[has-type]
        return self.envs.reset(seed=seed)[0]  # later resets continue the rows' streams

    def step_async(self, actions: Any) -> None:
        self.actions = actions

    def step_wait(self) -> tuple[Any, Any, Any, list[dict[str, Any]]]:
        seen, reward, terminated, truncated, told = self.envs.step(self.actions)
        last = told.get("final_obs", [None] * self.num_envs)  # the critic's value of it replaces what a limit cuts
        infos = [{"TimeLimit.truncated": c, "terminal_observation": o} for c, o in zip(truncated, last, strict=True)]
        return seen, reward.astype("float32"), terminated | truncated, infos

    def close(self) -> None:
        self.envs.close()

    def get_attr(self, name: str, indices: Any = None) -> list[Any]:
        return [getattr(self.envs, name, None)] * self.num_envs

    def env_is_wrapped(self, wrapper: Any, indices: Any = None) -> list[bool]:
        return [False] * self.num_envs

    set_attr = env_method = None  # for single environments, which do not exist here


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=2_000_000, help="rounded up to 16,384 at a time")
    model = PPO("MlpPolicy", VecMonitor(Batched(256)), 1e-3, n_steps=64, batch_size=2048, n_epochs=5, seed=0)
    model.learn(parser.parse_args().steps)
    mean, deviation = evaluate_policy(model, VecMonitor(Batched(50)), n_eval_episodes=50)
    print(f"50 episodes of PPO by Stable-Baselines3: return {mean:.1f} +- {deviation:.1f}")
