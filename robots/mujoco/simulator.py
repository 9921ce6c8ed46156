"""Simulator of every MuJoCo robot, with explicit states that MuJoCo steps in batches."""

from __future__ import annotations

import dataclasses
import inspect
import os
from typing import Any, NamedTuple

import gymnasium
import mujoco
import numpy as np
import torch
from torch import Tensor

from hgrpo_errors import HgrpoError
from robots.mujoco.batch import RowPool, Rows, derived_layout, state_slices, without_warnings
from robots.mujoco.pushes import pushed_velocities
from robots.mujoco.randomization import ModelFields, Randomization
from robots.mujoco.readout import Readout
from robots.mujoco.robot import Robot
from robots.mujoco.scene import MujocoScene
from robots.options import read_options
from robots.simulator import Channel, SimulatorSpec, Step

_FORMULA = "Reward: "
"""Start of the paragraph with the reward in the docstring of a robot."""


class MujocoState(NamedTuple):
    """B simulations between two control steps."""

    physics: Tensor
    """(B, S) float64 integration state (mjSTATE_INTEGRATION) with warm start and controls."""
    derived: Tensor
    """(B, K) float64 derived fields of MjData, flattened; K is 0 for most robots."""
    diverged: Tensor
    """(B,) bool, true where the last step diverged; the other fields are then those before the step."""
    factors: Tensor | tuple[()] = ()
    """(B, P) float64 factors of each row's model; empty without randomisation."""


class Transition(NamedTuple):
    """One control step in double precision, as Gymnasium reports it."""

    state: MujocoState
    observation: np.ndarray
    """(B, O) float64."""
    reward: np.ndarray
    """(B,) float64."""
    terminated: np.ndarray
    """(B,) bool."""
    terms: dict[str, np.ndarray]
    """Terms (B,) of the reward: the `reward_*` entries of Gymnasium's info."""


def make_mujoco(name: str, robot: Robot, **given: Any) -> MujocoSimulator:
    """Simulator of a robot.

    Args:
        name: Name of the task.
        robot: The robot with its default options.
        given: Options of the robot or of Randomization to replace.

    Raises:
        OptionError: There is no such option, or its value is not allowed.
    """
    own = {field.name for field in dataclasses.fields(Randomization)}
    options = read_options(_options(robot), given)
    values = dataclasses.asdict(options)
    randomization = Randomization(**{key: values[key] for key in own})
    return MujocoSimulator(type(robot)(**{k: v for k, v in values.items() if k not in own}), name, randomization)


class MujocoSimulator:
    """Simulator of a robot; observation and reward are float32, the physics is float64.

    Args:
        robot: The robot.
        name: Name of the task.
        randomization: Parameters of the model that are drawn in every episode.
    """

    def __init__(
        self,
        robot: Robot,
        name: str,
        randomization: Randomization = Randomization(),  # noqa: B008  (frozen)
    ) -> None:
        self.robot, self.randomization = robot, randomization
        self.model = load_model(robot.model_file)
        self.fields = ModelFields(self.model, randomization) if randomization.draws_anything else None
        self.pool = RowPool(self.model, robot.frame_skip, robot.derived, self.fields)
        self.dt = float(self.model.opt.timestep) * robot.frame_skip
        self._slices = state_slices(self.model, "QPOS", "QVEL", "CTRL")
        self._layout, self._derived_size = derived_layout(self.model, self.pool.selections)
        self._mass = np.empty((0, self.model.nbody))
        self._scenes: dict[tuple[int, int], MujocoScene] = {}
        low, high = self.model.actuator_ctrlrange.T.astype(np.float32)
        self.spec = SimulatorSpec(
            name=name,
            observation=robot.observation(self.model),
            action=tuple(Channel(f"{_actuator(self.model, i)}", "1", "actuator") for i in range(self.model.nu)),
            action_low=tuple(map(float, low)),
            action_high=tuple(map(float, high)),
            control_hz=round(1.0 / self.dt, 6),
            max_episode_steps=robot.max_episode_steps,
            neutral_action=(0.0,) * self.model.nu,
            privileged=self.fields.channels() if self.fields is not None else (),
            goal=robot.goal,
            reward=_reward(robot),
            noise=False,
        )

    @property
    def options(self) -> tuple[Robot, Randomization]:
        """The options of the robot and those of the randomisation."""
        return self.robot, self.randomization

    def reset(self, num: int, seed: int | torch.Generator) -> MujocoState:
        """Draw `num` initial states, distributed as in Gymnasium."""
        generator = seed if isinstance(seed, torch.Generator) else torch.Generator().manual_seed(seed)
        qpos, qvel = self.robot.draw(num, self.model.qpos0.copy(), np.zeros(self.model.nv), generator)
        factors = None if self.fields is None else self.fields.draw(num, generator)
        return self._state(self.pool.initial(qpos, qvel, factors), factors)

    def state_of(self, data: mujoco.MjData) -> MujocoState:
        """State of one row from an MjData of the same model; raises HgrpoError with randomisation."""
        if self.fields is not None:
            raise HgrpoError(f"{self.spec.name} is randomised, and an MjData does not contain the factors of its model")
        physics = np.empty((1, self.pool.state_size))
        mujoco.mj_getState(self.model, data, physics[0], mujoco.mjtState.mjSTATE_INTEGRATION)
        derived = {
            key: np.array(getattr(data, field))[None][:, rows] for key, (field, rows) in self.pool.selections.items()
        }
        return self._state(Rows(physics, derived, np.zeros(1, dtype=bool)), None)

    def observe(self, state: MujocoState) -> Tensor:
        """(B, O) float32 observation."""
        return torch.from_numpy(self.robot.observe(self.readout(state))).float()

    def privileged(self, state: MujocoState) -> Tensor:
        """(B, P) factors of each row's model; (B, 0) without randomisation."""
        return state.physics[:, :0].float() if isinstance(state.factors, tuple) else state.factors.float()

    def split_noise(self, state: MujocoState, index: Tensor) -> MujocoState:
        """The state itself, because steps draw no random numbers."""
        return state

    def step(self, state: MujocoState, action: Tensor) -> Step:
        """Apply controls (B, A) for one control period.

        MuJoCo clips them to their range; the reward does not.

        A row that diverges or has NaN controls terminates with reward 0. Except for `diverged` its state is that before
        the step.
        """
        t = self.transition(state, action.detach().cpu().numpy())
        single = (t.observation.astype(np.float32), t.reward.astype(np.float32), t.terminated)
        return Step(t.state, *map(torch.from_numpy, single))

    def transition(self, state: MujocoState, action: np.ndarray) -> Transition:
        """Step in double precision, with the terms of the reward.

        The results have the same bits as Gymnasium's `step` for an action of the same type.
        """
        factors = None if isinstance(state.factors, tuple) else state.factors.numpy()
        rows = self.pool.step(state.physics.numpy(), action, factors)
        new = self._state(rows, factors)
        if not rows.diverged.any():
            before, after = self.readout(state), self.readout(new)
            outcome = self.robot.outcome(before, after, action, self.dt)
            return Transition(new, self.robot.observe(after), outcome.reward, outcome.terminated, outcome.terms)
        new = _keep(new, state, torch.from_numpy(rows.diverged))
        before, after = self.readout(state), self.readout(new)
        with np.errstate(over="ignore", invalid="ignore"):  # only in rows that diverged, which are replaced
            outcome = self.robot.outcome(before, after, action, self.dt)
        reward = _zero(outcome.reward, rows.diverged)
        terms = {key: _zero(values, rows.diverged) for key, values in outcome.terms.items()}
        return Transition(new, self.robot.observe(after), reward, outcome.terminated | rows.diverged, terms)

    def diverged(self, state: MujocoState) -> Tensor:
        """(B,) bool, true where MuJoCo diverged in the last step."""
        return state.diverged

    def success(self, state: MujocoState) -> Tensor:
        """(B,) bool, true where the goal is reached; false without a goal and after divergence."""
        return torch.from_numpy(self.robot.success(self.readout(state))) & ~state.diverged

    def signals(self, state: MujocoState) -> dict[str, Tensor]:
        """Signals (B, k) of the robot, by "name [unit]"."""
        return {name: torch.from_numpy(values) for name, values in self.robot.signals(self.readout(state)).items()}

    def position(self, state: MujocoState) -> Tensor:
        """(B, 3) position of the robot in the world [m]."""
        return torch.from_numpy(self.robot.position(self.readout(state)))

    def pushed(self, state: MujocoState, velocity: Tensor) -> MujocoState:
        """As Pushable.pushed; (B, 3) velocity [m/s]."""
        now, physics = self.readout(state), state.physics.clone()
        after = pushed_velocities(self.model, now.qpos, now.qvel, velocity.double().numpy())
        physics[:, self._slices["QVEL"]] = torch.from_numpy(after)
        return state._replace(physics=physics)

    def render(
        self, state: MujocoState, row: int = 0, width: int = 640, height: int = 480, trail: np.ndarray | None = None
    ) -> np.ndarray:
        """As Simulator.render; raises MissingGraphicsError if this machine cannot draw."""
        if (width, height) not in self._scenes:
            self._scenes[width, height] = MujocoScene(model_path(self.robot.model_file), self.robot.view, width, height)
        here = self.position(state)[row].numpy()
        return self._scenes[width, height].draw(self.readout(state).qpos[row], here, trail)

    def readout(self, state: MujocoState) -> Readout:
        """Readout of a state: views of its arrays."""
        physics, derived = state.physics.numpy(), state.derived.numpy()
        factors = None if isinstance(state.factors, tuple) else state.factors.numpy()
        num = len(physics)
        return Readout(
            qpos=physics[:, self._slices["QPOS"]],
            qvel=physics[:, self._slices["QVEL"]],
            control=physics[:, self._slices["CTRL"]],
            derived={key: derived[:, part].reshape(num, *shape) for key, (part, shape) in self._layout.items()},
            body_mass=self._masses(num) if self.fields is None else self.fields.body_mass(factors, num),
        )

    def _masses(self, num: int) -> np.ndarray:
        """Masses (num, nbody) of the model; the array is reused."""
        if len(self._mass) != num:
            self._mass = np.broadcast_to(self.model.body_mass, (num, self.model.nbody))
        return self._mass

    def _state(self, rows: Rows, factors: np.ndarray | None) -> MujocoState:
        num = len(rows.physics)
        derived = np.empty((num, self._derived_size))
        for key, (part, shape) in self._layout.items():
            derived[:, part].reshape(num, *shape)[:] = rows.derived[key]
        return MujocoState(
            torch.from_numpy(rows.physics),
            torch.from_numpy(derived),
            torch.from_numpy(rows.diverged),
            () if factors is None else torch.from_numpy(factors),
        )


def model_path(file: str) -> str:
    """Path of an MJCF file.

    A relative path is in the model folder of the gymnasium package.
    """
    return os.path.join(os.path.dirname(gymnasium.__file__), "envs", "mujoco", "assets", file)


def load_model(file: str) -> mujoco.MjModel:
    """Load the model of an MJCF file, found by `model_path`."""
    with without_warnings():
        return mujoco.MjModel.from_xml_path(model_path(file))


def _keep(new: MujocoState, old: MujocoState, rows: Tensor) -> MujocoState:
    """The new state, with the old physics and derived fields in some rows (B,) bool."""
    return new._replace(
        physics=torch.where(rows[:, None], old.physics, new.physics),
        derived=torch.where(rows[:, None], old.derived, new.derived),
    )


def _zero(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Values (B,) with 0 in some rows (B,) bool."""
    return np.where(rows, 0.0, values)


def _options(robot: Any) -> Any:
    """Options of a robot and of its randomisation in one dataclass instance."""
    values = {
        field.name: getattr(part, field.name) for part in (robot, Randomization()) for field in dataclasses.fields(part)
    }
    kind = dataclasses.make_dataclass("MujocoOptions", [(name, float) for name in values], frozen=True)
    return kind(**values)


def _reward(robot: Robot) -> str:
    """Paragraph on the reward in the docstring of a robot's class or base; else empty."""
    docs = (inspect.cleandoc(kind.__doc__ or "") for kind in type(robot).__mro__)
    paragraphs = (paragraph for doc in docs for paragraph in doc.split("\n\n"))
    formula = next((paragraph for paragraph in paragraphs if paragraph.startswith(_FORMULA)), "")
    return " ".join(formula.removeprefix(_FORMULA).split())


def _actuator(model: Any, index: int) -> str:
    return str(model.actuator(index).name or f"actuator_{index}")
