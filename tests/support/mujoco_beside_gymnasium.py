"""Gymnasium's environments beside the simulators that must equal them."""

from __future__ import annotations

from typing import Any

import gymnasium
import mujoco
import numpy as np
import torch

from robots.mujoco.batch import without_warnings
from robots.mujoco.simulator import MujocoState, Transition
from robots.simulator import map_state


def environment(name: str) -> Any:
    """Gymnasium's own, without the wrappers that only check or count, and without MuJoCo's log of its deprecations."""
    with without_warnings():
        return gymnasium.make(name, disable_env_checker=True).unwrapped


def scatter(env: Any, rng: np.random.Generator, turn: float = 0.2, speed: float = 1.0) -> None:
    """Put an environment into a random state about its initial one, feet in the floor or in the air as it comes."""
    qpos = env.init_qpos + rng.uniform(-turn, turn, env.model.nq)
    mujoco.mj_normalizeQuat(env.model, qpos)
    env.set_state(qpos, env.init_qvel + speed * rng.standard_normal(env.model.nv))


def action(env: Any, rng: np.random.Generator, dtype: Any) -> np.ndarray:
    """A random action a little beyond the actuators' ranges at times, as a policy's are."""
    box = env.action_space
    return (1.2 * rng.uniform(box.low, box.high)).astype(dtype)


def join(*states: MujocoState) -> MujocoState:
    """Rows of several states one after the other."""
    return map_state(lambda *parts: torch.cat(parts), *states)


def differences(ours: Transition, row: int, gym: tuple[Any, ...], env: Any) -> list[str]:
    """What of one row is not what Gymnasium's step returned, bit for bit; `env` is where that step led."""
    observation, reward, terminated, _, info = gym
    terms = {key: value for key, value in info.items() if key.split("_")[0] == "reward" or key.endswith("_penalty")}
    assert terms.keys() == ours.terms.keys()
    pairs = {
        "observation": (observation, ours.observation[row]),
        "reward": (reward, ours.reward[row]),
        "terminated": (terminated, ours.terminated[row]),
        "physics": (_integration_state(env), ours.state.physics[row].numpy()),
        **{key: (value, ours.terms[key][row]) for key, value in terms.items()},
    }
    assert not bool(ours.state.diverged[row])
    return [key for key, (theirs, mine) in pairs.items() if not np.array_equal(np.asarray(theirs), np.asarray(mine))]


def _integration_state(env: Any) -> np.ndarray:
    wanted = mujoco.mjtState.mjSTATE_INTEGRATION
    state = np.empty(mujoco.mj_stateSize(env.model, wanted))
    mujoco.mj_getState(env.model, env.data, state, wanted)
    return state
