"""Ways to take control steps of one task; `benchmarks/speed/branching.py` compares them.

All except the plain Gymnasium ones repeat the same work: T steps of N branches from each of E roots, from the
same roots and with the same actions, which one rollout of the sampler recorded.
"""

from __future__ import annotations

import multiprocessing
import time
from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import gymnasium
import mujoco
import numpy as np
import torch
from mujoco.batch import Batch
from torch import Tensor

import robots
from hgrpo_control.config.learning import Network
from hgrpo_control.sampling.sampler import Sampler
from hgrpo_control.training.simulation import policy_spec
from policies.actor_critic import ActorCritic
from robots.mujoco.batch import without_warnings
from robots.simulator import Simulator, Step, repeat, replace, select

ROLLOUT_STEPS = 8
WARM_UP_STEPS = 40
INTEGRATION = mujoco.mjtState.mjSTATE_INTEGRATION


class Recorded(NamedTuple):
    """Inputs of every step of a rollout."""

    states: list[Any]
    """T states of E N rows."""
    actions: list[Tensor]
    """T x (E N, A) in the environment's units."""


class Recording:
    """A simulator that records the inputs of its steps."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator, self.recorded = simulator, Recorded([], [])

    def __getattr__(self, name: str) -> Any:
        return getattr(self.simulator, name)

    def step(self, state: Any, action: Tensor) -> Step:
        """The simulator's step."""
        self.recorded.states.append(state)
        self.recorded.actions.append(action)
        return self.simulator.step(state, action)


class Contestant(ABC):
    """One way to step; `rate` may be called any number of times."""

    @abstractmethod
    def work(self) -> tuple[int, float]:
        """Take control steps; returns their number and their time [s] without preparations."""

    def rate(self, seconds: float) -> float:
        """Control steps per second, over at least `seconds` s of them."""
        steps, took = 0, 0.0
        while took < seconds:
            more, longer = self.work()
            steps, took = steps + more, took + longer
        return steps / took

    def close(self) -> None:  # noqa: B027  (most hold nothing)
        """End processes."""


class GymnasiumLoop(Contestant):
    """One environment, one step after the other, with its time limit and its resets."""

    def __init__(self, task: str, actions: np.ndarray) -> None:
        self.env, self.actions = _Maker(task)(), actions
        self.env.reset(seed=0)
        for _ in range(-(-WARM_UP_STEPS // len(actions))):
            self.work()

    def work(self) -> tuple[int, float]:
        """One step per recorded action (k, A)."""
        began = time.perf_counter()
        for action in self.actions:
            _, _, terminated, truncated, _ = self.env.step(action)
            if terminated or truncated:
                self.env.reset()
        return len(self.actions), time.perf_counter() - began


class GymnasiumVector(Contestant):
    """`gymnasium.vector` in one process or, with `parallel`, in one process per environment."""

    def __init__(self, task: str, actions: np.ndarray, num_envs: int, parallel: bool) -> None:
        makers = [_Maker(task)] * num_envs
        self.envs: gymnasium.vector.VectorEnv
        if parallel:
            multiprocessing.get_context("forkserver").set_forkserver_preload(["gymnasium.envs.mujoco.mujoco_env"])
            self.envs = gymnasium.vector.AsyncVectorEnv(makers, context="forkserver")
        else:
            self.envs = gymnasium.vector.SyncVectorEnv(makers)
        self.envs.reset(seed=0)
        self.actions = actions[: len(actions) // num_envs * num_envs].reshape(-1, num_envs, actions.shape[-1])

    def work(self) -> tuple[int, float]:
        """One step of all environments per group of actions."""
        began = time.perf_counter()
        for action in self.actions:
            self.envs.step(action)
        return self.actions[..., 0].size, time.perf_counter() - began

    def close(self) -> None:
        """End the processes."""
        self.envs.close()


class CopiedData(Contestant):
    """Branching with Gymnasium's environment: a root is an MjData, `mj_copyData` puts it into the environment before
    the step of each sample, and once more back where the executed sample has ended."""

    def __init__(self, task: str, roots: np.ndarray, actions: np.ndarray) -> None:
        made: Any = _Maker(task)()
        self.inner: Any = made.unwrapped
        self.inner.reset(seed=0)
        self.physics, self.actions = roots, actions
        self.roots = [mujoco.MjData(self.inner.model) for _ in roots]

    def work(self) -> tuple[int, float]:
        """T steps of N samples (T, E, N, A) from every root."""
        env: Any = self.inner
        model, data = env.model, env.data
        for root, physics in zip(self.roots, self.physics, strict=True):
            mujoco.mj_setState(model, root, physics, INTEGRATION)
            mujoco.mj_forward(model, root)
        began = time.perf_counter()
        for samples in self.actions:
            for root, group in zip(self.roots, samples, strict=True):
                for action in group[::-1]:  # the executed sample comes last, and its end is the next root
                    mujoco.mj_copyData(data, model, root)
                    terminated = env.step(action)[2]
                if terminated:
                    env.reset()
                mujoco.mj_copyData(root, model, data)
        return self.actions[..., 0].size, time.perf_counter() - began


class RawBatch(Contestant):
    """The bare call of `mujoco.batch.Batch.step`; states and controls are loaded outside of the timing."""

    def __init__(self, simulator: Any, recorded: Recorded) -> None:
        self.physics = [state.physics.numpy() for state in recorded.states]
        self.control = [action.numpy() for action in recorded.actions]
        self.frame_skip = simulator.robot.frame_skip
        self.batch = Batch(simulator.model, len(self.physics[0]), nthread=torch.get_num_threads())
        self.bound = self.batch.bind("ctrl")

    def work(self) -> tuple[int, float]:
        """The recorded rollout."""
        took = 0.0
        for physics, control in zip(self.physics, self.control, strict=True):
            self.batch.state[:], self.bound[:] = physics, control
            began = time.perf_counter()
            self.batch.step(nstep=self.frame_skip)
            took += time.perf_counter() - began
        return sum(map(len, self.physics)), took


class RepeatAndStep(Contestant):
    """This package's simulator alone: `repeat`, `step`, and `select` of the executed samples."""

    def __init__(self, simulator: Simulator, roots: Any, recorded: Recorded, num_samples: int) -> None:
        self.simulator, self.roots, self.actions, self.num_samples = simulator, roots, recorded.actions, num_samples

    def work(self) -> tuple[int, float]:
        """T steps; roots that ended for good start anew."""
        simulator, roots, n = self.simulator, self.roots, self.num_samples
        generator = torch.Generator().manual_seed(0)
        began = time.perf_counter()
        for action in self.actions:
            step = simulator.step(repeat(roots, n), action)
            roots = select(step.state, slice(None, None, n))
            ended = step.terminated[::n].nonzero().squeeze(1)
            if ended.numel():
                roots = replace(roots, ended, simulator.reset(len(ended), generator))
        return sum(map(len, self.actions)), time.perf_counter() - began


class SampledRollout(Contestant):
    """`Sampler.collect` with everything that training needs of it: policy, log densities, restarts, records, critic."""

    def __init__(self, sampler: Sampler) -> None:
        self.sampler, self.saved = sampler, sampler.state_dict()

    def work(self) -> tuple[int, float]:
        """The same rollout each time."""
        self.sampler.load_state_dict(self.saved)
        began = time.perf_counter()
        rollout, _ = self.sampler.collect()
        return rollout.simulator_steps, time.perf_counter() - began


class Branching(NamedTuple):
    """A sampler after some rollouts, and the record of its next one."""

    simulator: Simulator
    sampler: Sampler
    roots: Any
    """State of the E roots at its beginning."""
    recorded: Recorded


def begin_branching(task: str, num_envs: int, num_samples: int) -> Branching:
    """Warm up and record one rollout of a fresh policy with two hidden layers of 64 units."""
    simulator = robots.make(task)
    spec = policy_spec(simulator.spec, Network(hidden_sizes=(64, 64)), critic=True)
    policy = ActorCritic(spec, generator=torch.Generator().manual_seed(0))
    sampler = Sampler(simulator, policy, num_envs, num_samples, 1, ROLLOUT_STEPS, seed=0)
    for _ in range(WARM_UP_STEPS // ROLLOUT_STEPS):
        sampler.collect()
    saved, roots = sampler.state_dict(), sampler.roots.state
    recording = Recording(simulator)
    sampler.simulator = recording  # it delegates
    sampler.collect()
    sampler.simulator = simulator
    sampler.load_state_dict(saved)
    return Branching(simulator, sampler, roots, recording.recorded)


class _Maker:
    """Makes an environment, here or in another process."""

    def __init__(self, task: str) -> None:
        self.task = task

    def __call__(self) -> gymnasium.Env:
        """A fresh one."""
        with without_warnings():
            return gymnasium.make(self.task, disable_env_checker=True)
