"""Gymnasium environments for the tests of the adapter: sound ones, and ones with a planted bug each."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.envs.mujoco.half_cheetah_v5 import HalfCheetahEnv

STEPS_OF_THE_PROCESS = [0]  # what no snapshot of an environment holds


class Cart(gymnasium.Env[Any, Any]):
    """A mass pushed along a line; ends 3 m away. No snapshots."""

    metadata = {"render_fps": 20, "render_modes": ["rgb_array"]}  # noqa: RUF012  (Gymnasium declares it so)
    observation_space = spaces.Box(-np.inf, np.inf, (2,), np.float64)
    action_space = spaces.Box(-1.0, 1.0, (1,), np.float32)

    def __init__(self, limit: int | None = None, render_mode: str | None = None) -> None:
        self.limit, self.render_mode = limit, render_mode
        self.x = self.v = 0.0
        self.count = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self.x, self.v = self.np_random.uniform(-1.0, 1.0, 2).tolist()
        self.count = 0
        return np.array([self.x, self.v]), {"is_success": False}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.v += 0.1 * float(action[0])
        self.x += 0.1 * self.v
        self.count += 1
        cut = self.limit is not None and self.count >= self.limit
        return np.array([self.x, self.v]), -(self.x**2), abs(self.x) > 3.0, cut, {"is_success": abs(self.x) < 0.5}

    def render(self) -> np.ndarray:
        picture = np.zeros((20, 40, 3), dtype=np.uint8)
        picture[:, int(np.clip(20 + 6 * self.x, 0, 39))] = 255
        return picture


class SavedCart(Cart):
    """The same with snapshots by the protocol."""

    def get_snapshot(self) -> Any:
        return self.x, self.v, self.count

    def set_snapshot(self, snapshot: Any) -> None:
        self.x, self.v, self.count = snapshot


class Blank(SavedCart):
    """Has a picture for nobody."""

    def render(self) -> Any:
        return None


class ForgetfulCart(SavedCart):
    """Forgets its velocity."""

    def get_snapshot(self) -> Any:
        return self.x, self.count

    def set_snapshot(self, snapshot: Any) -> None:
        self.x, self.count = snapshot


class RewardCounter(SavedCart):
    """Its reward depends on a counter that its snapshot lacks."""

    hidden = 0

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = super().step(action)
        self.hidden += 1
        return observation, reward + self.hidden, terminated, truncated, info

    def reset(self, **given: Any) -> tuple[np.ndarray, dict[str, Any]]:
        self.hidden = 0
        return super().reset(**given)


class InfoCounter(RewardCounter):
    """The same in its info alone."""

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        observation, _reward, terminated, truncated, info = super().step(action)
        return observation, 0.0, terminated, truncated, {**info, "hidden": self.hidden}


class EndCounter(RewardCounter):
    """The same in its end alone."""

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        observation, _, _, _, info = super().step(action)
        return observation, 0.0, self.hidden > 30, False, info


class OpenCart(SavedCart):
    """Notes which of its instances have been closed; raises where it is told to."""

    log: dict[int, int] = {}  # noqa: RUF012  (times that each instance was closed)
    fails_at = 10**9

    def __init__(self, render_mode: str | None = None) -> None:
        super().__init__(render_mode=render_mode)
        self.number = len(self.log)
        self.log[self.number] = 0

    def step(self, action: np.ndarray) -> Any:
        if self.count >= self.fails_at:
            raise KeyboardInterrupt if self.fails_at == 2 else RuntimeError("broken")
        return super().step(action)

    def close(self) -> None:
        self.log[self.number] += 1


class LateFault(SavedCart):
    """Returns no reward once the process has taken so many steps."""

    sound_steps = [10**9]  # noqa: RUF012  (shared by all instances on purpose)

    def step(self, action: np.ndarray) -> Any:
        self.sound_steps[0] -= 1
        observation, reward, *rest = super().step(action)
        return observation, None if self.sound_steps[0] < 0 else reward, *rest


class Deaf(SavedCart):
    """Ignores seeds, and leaves the space it declares."""

    observation_space = spaces.Box(-0.01, 0.01, (2,), np.float64)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=0)
        return np.array([self.x, self.v]), {}


class CountingCheetah(HalfCheetahEnv):
    """A counter in an attribute, which a snapshot holds, decides part of the reward."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.history: list[int] = []
        self.positions = self.data.qpos[:2]  # a view of the physics
        self.scale = lambda x: 2.0 * x  # nothing that pickle takes

    def step(self, action: np.ndarray) -> Any:
        self.history = [*self.history[-3:], len(self.history)]
        observation, reward, terminated, truncated, info = super().step(action)
        return observation, reward + self.scale(sum(self.history)) + self.positions[0], terminated, truncated, info


class GlobalCheetah(HalfCheetahEnv):
    """A counter of the whole process shows in the observation."""

    def step(self, action: np.ndarray) -> Any:
        STEPS_OF_THE_PROCESS[0] += 1
        observation, reward, terminated, truncated, info = super().step(action)
        observation[3] += STEPS_OF_THE_PROCESS[0]
        return observation, reward, terminated, truncated, info


class ContactCheetah(HalfCheetahEnv):
    """Reads the contacts of the step before, which lie in the arena."""

    def step(self, action: np.ndarray) -> Any:
        before = self.data.ncon
        observation, reward, terminated, truncated, info = super().step(action)
        return observation, reward + before, terminated, truncated, info


class RandomMassCheetah(HalfCheetahEnv):
    """Changes its model in every episode."""

    def reset_model(self) -> np.ndarray:
        self.model.body_mass[1] = self.np_random.uniform(5.0, 7.0)
        return super().reset_model()


class Switch(Cart):
    """Discrete actions."""

    action_space = spaces.Discrete(2)  # type: ignore[assignment]


class Unbounded(Cart):
    """Unbounded actions."""

    action_space = spaces.Box(-np.inf, np.inf, (1,), np.float32)


def limited_cart(limit: int | None = None, render_mode: str | None = None) -> gymnasium.Env[Any, Any]:
    return gymnasium.wrappers.TimeLimit(SavedCart(limit, render_mode), 40)


def plain_cart(limit: int | None = None) -> gymnasium.Env[Any, Any]:
    return gymnasium.wrappers.TimeLimit(Cart(limit), 40)


def normalized_cart() -> gymnasium.Env[Any, Any]:
    return gymnasium.wrappers.NormalizeReward(gymnasium.wrappers.NormalizeObservation(limited_cart()))
