"""Gymnasium environments as simulators whose states can be saved, restored and branched.

With snapshots (snapshots.py) one instance serves all rows. It is restored before every step, so a row depends only on
its state. Without snapshots every row has its own instance, and only the current state can be stepped, which is enough
for PPO. The time limit is removed from the environment and applied above the simulator.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from robots.from_gymnasium.instance import Instance
from robots.from_gymnasium.options import AdapterOptions, EnvironmentRefusedError, split_options
from robots.from_gymnasium.picture import Painter
from robots.from_gymnasium.pool import Pool
from robots.from_gymnasium.returns import EnvironmentFailedError, Outcome
from robots.from_gymnasium.saving.snapshots import PROTOCOL
from robots.from_gymnasium.source import Environment, Source
from robots.from_gymnasium.state import GymnasiumState, RowWriter
from robots.simulator import Channel, SimulatorSpec, Step, closed_on_error

_GOAL = 'info["is_success"]'
_SHOWN = 4  # observation entries among the signals


class GymnasiumSimulator:
    """A Gymnasium environment as a simulator.

    Args:
        environment: An id, a function that makes the environment, or an environment; see Source.
        options: Options of AdapterOptions; the others go to the constructor of the environment.

    Raises:
        EnvironmentRefusedError: The environment cannot be adapted.
        UnknownTaskError: The id does not exist.
    """

    def __init__(self, environment: str | Callable[..., Environment] | Environment, **options: Any) -> None:
        self.options, kwargs = split_options(options)
        self.source = Source(environment, kwargs)
        self.instance = Instance.open(self.source, self.options)
        self._pool: Pool | None = None
        self._painter = Painter(self.source, self.options, self.instance)
        with closed_on_error(self):
            self.spec = _spec(self.instance, self.source.time_limit, self.options)
        if self.instance.obstacle:
            advice = self.spec.branching_obstacle
            self._pool = Pool(self.another_instance, self.instance, self.spec.max_episode_steps, advice)

    def another_instance(self) -> Instance:
        """Make another instance; raises EnvironmentRefusedError if an environment object was given."""
        if self.source.only is not None:
            raise EnvironmentRefusedError(
                f"{self.source.name} was given as an environment object, but more are needed; give a function that "
                "makes it, or its id"
            )
        return Instance.open(self.source, self.options)

    def give_up(self, state: GymnasiumState) -> None:
        """Release the environments of states that will not be stepped again."""
        if self._pool is not None:
            self._pool.give_up(state.slot.tolist(), state.token.tolist())

    def close(self) -> None:
        """Close every environment that was made here; a given environment object stays open."""
        self._painter.close()
        if self.source.only is None:
            (self.instance if self._pool is None else self._pool).close()

    def reset(self, num: int, seed: int | torch.Generator) -> GymnasiumState:
        """Start `num` episodes, each with a seed drawn from the generator."""
        generator = seed if isinstance(seed, torch.Generator) else torch.Generator().manual_seed(seed)
        seeds = torch.randint(2**31, (num,), generator=generator).tolist()
        rows = RowWriter(num, self.instance.snapshot_size, self.spec.observation_size)
        if self._pool is not None:
            for row, slot in enumerate(self._pool.begin(num)):
                rows.write(row, self._pool.instances[slot], self._pool.instances[slot].reset(seeds[row]))
                rows.slot[row], rows.token[row] = slot, self._pool.token(slot)
            return rows.state()
        for row in range(num):
            self.instance.restore(self.instance.fresh)  # removes traces of earlier episodes
            rows.write(row, self.instance, self.instance.reset(seeds[row]))
            self.instance.save(rows.snapshot[row])
        self.instance.verify()
        return rows.state()

    def observe(self, state: GymnasiumState) -> Tensor:
        """(B, O) float32."""
        return state.observation.clone()

    def privileged(self, state: GymnasiumState) -> Tensor:
        """(B, 0): hidden entries of an environment are unknown."""
        return state.observation[:, :0].clone()

    def split_noise(self, state: GymnasiumState, index: Tensor) -> GymnasiumState:
        """The same state with `np_random` reseeded per index (B,) int64; index 0 keeps its stream."""
        if self._pool is not None or not bool((index != 0).any()):
            return state
        snapshot = state.snapshot.clone()
        for row, number in enumerate(index.tolist()):
            if number != 0:
                self.instance.restore(snapshot[row].numpy())
                self.instance.split_noise(number)
                self.instance.save(snapshot[row].numpy())
        self.instance.verify()
        return state._replace(snapshot=snapshot)

    def step(self, state: GymnasiumState, action: Tensor) -> Step:
        """Take one control step with actions (B, A), clipped to the bounds; ended rows do not change.

        A row in which MuJoCo diverges ends with reward 0, without success, in the state before the step.

        Raises:
            BranchingError: There are no snapshots, and a state is gone.
            EnvironmentFailedError: An action is NaN, the environment raises, or it truncates with truncation=refuse.
        """
        actions = action.detach().numpy()
        alive = (~state.ended).nonzero().squeeze(1).tolist()
        rows = RowWriter(state.ended.shape[0], self.instance.snapshot_size, self.spec.observation_size)
        if self._pool is not None:
            self._pool.require(state.slot[alive].tolist(), state.token[alive].tolist())
        for row in state.ended.nonzero().squeeze(1).tolist():
            rows.keep(row, state)
        for row in alive:
            slot = int(state.slot[row])
            instance = self.instance if self._pool is None else self._pool.instances[slot]
            if self._pool is None:
                instance.restore(state.snapshot[row].numpy())
            outcome = instance.step(actions[row])
            if instance.reports_success and not self.spec.goal:  # many report it only in the last step of an episode
                self.spec = dataclasses.replace(self.spec, goal=_GOAL)
            if instance.diverged():
                rows.keep(row, state)
                rows.success[row], rows.diverged[row], rows.ended[row] = False, True, True
            else:
                rows.write(row, instance, self._judged(outcome))
                if self._pool is None:
                    instance.save(rows.snapshot[row])
            if self._pool is not None:
                rows.slot[row], rows.token[row] = slot, self._pool.moved(slot, bool(rows.ended[row]))
        if self._pool is None:
            self.instance.verify()
        new = rows.state()
        return Step(new, new.observation.clone(), new.reward.clone(), new.ended.clone())

    def success(self, state: GymnasiumState) -> Tensor:
        """(B,) bool, info["is_success"] of the last step; false without it."""
        return state.success.clone()

    def diverged(self, state: GymnasiumState) -> Tensor:
        """(B,) bool, true where MuJoCo diverged in the last step; false for other environments."""
        return state.diverged.clone()

    def signals(self, state: GymnasiumState) -> dict[str, Tensor]:
        """The reward and the first few entries of the observation."""
        return {
            "reward [1]": state.reward.unsqueeze(1).clone(),
            "observation, first entries [1]": state.observation[:, :_SHOWN].clone(),
        }

    def position(self, state: GymnasiumState) -> Tensor:
        """(B, 3) position of the torso of a MujocoEnv [m]; zero for other environments."""
        return state.position.clone()

    def render(
        self,
        state: GymnasiumState,
        row: int = 0,
        width: int = 640,
        height: int = 480,
        trail: np.ndarray | None = None,
    ) -> np.ndarray:
        """As Simulator.render, by the rgb_array mode of the environment and without the trail.

        Raises:
            EnvironmentRefusedError: The environment has no rgb_array mode or no snapshots.
        """
        if self._pool is not None:
            raise EnvironmentRefusedError(f"no earlier state can be drawn: {self.spec.branching_obstacle}")
        return self._painter.paint(state.snapshot[row].numpy(), width, height)

    def _judged(self, outcome: Outcome) -> Outcome:
        """The outcome with the environment's own truncation handled by the option `truncation`."""
        if not outcome.truncated or outcome.terminated:
            return outcome
        if self.options.truncation == "refuse":
            raise EnvironmentFailedError(
                f"{self.source.name} truncated an episode by itself, apart from the time limit; set --task-options "
                "truncation=terminate (the episode ends) or truncation=ignore (it continues)"
            )
        return outcome._replace(terminated=self.options.truncation == "terminate")


def make_gymnasium(name: str, **options: Any) -> GymnasiumSimulator:
    """Simulator of the task gymnasium/NAME."""
    return GymnasiumSimulator(name, **options)


def _spec(instance: Instance, time_limit: int | None, options: AdapterOptions) -> SimulatorSpec:
    name = instance.name
    limit = options.max_episode_steps if options.max_episode_steps is not None else time_limit
    if limit is None:
        raise EnvironmentRefusedError(f"{name} has no time limit; set one with --task-options max_episode_steps=1000")
    obstacle = ""
    if instance.obstacle:
        obstacle = f"no state of {name} can be restored: {instance.obstacle}"
        if PROTOCOL not in obstacle and options.snapshots != "none":
            obstacle += f"; define {PROTOCOL}"
    notes: tuple[str, ...] = ()
    if instance.restarts:
        notes = (
            f"{', '.join(instance.restarts)} of {name} restarts in every episode and therefore normalises by that "
            "episode only; hgrpo normalises observations itself, and rewards by --reward-transform",
        )
    spaces = instance.spaces
    return SimulatorSpec(
        name=f"gymnasium/{name}",
        observation=tuple(Channel(f"observation[{i}]") for i in range(spaces.observation_size)),
        action=tuple(Channel(f"action[{i}]") for i in range(spaces.low.size)),
        action_low=tuple(spaces.low.tolist()),
        action_high=tuple(spaces.high.tolist()),
        control_hz=_control_hz(instance, options),
        max_episode_steps=limit,
        neutral_action=spaces.neutral,
        goal=_GOAL if instance.reports_success else "",
        branching_obstacle=obstacle,
        notes=notes,
        reward="that of the environment",
        other_options="Any other option goes to the constructor of the environment.",
    )


def _control_hz(instance: Instance, options: AdapterOptions) -> float:
    if options.control_hz is not None:
        return float(options.control_hz)
    dt = getattr(instance.env.unwrapped, "dt", None)
    if isinstance(dt, (int, float, np.number)) and math.isfinite(float(dt)) and dt > 0:
        return 1.0 / float(dt)
    stated = (instance.env.metadata or {}).get("render_fps")
    if stated:
        return float(stated)
    raise EnvironmentRefusedError(
        f"{instance.name} does not define its control rate (dt or metadata['render_fps']); set it with "
        "--task-options control_hz=50"
    )
