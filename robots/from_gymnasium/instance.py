"""One running Gymnasium environment: seeded resets, steps with flat vectors, snapshots as bytes."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import mujoco
import numpy as np
from gymnasium.envs.mujoco import MujocoEnv

from robots.from_gymnasium.options import AdapterOptions, EnvironmentRefusedError
from robots.from_gymnasium.returns import (
    EnvironmentFailedError,
    Outcome,
    read_reset,
    read_step,
)
from robots.from_gymnasium.saving.anchors import NoSnapshotError, SnapshotError
from robots.from_gymnasium.saving.snapshots import PROTOCOL, Snapshots
from robots.from_gymnasium.source import Environment, Source, one_line
from robots.from_gymnasium.spaces import FlatSpaces, read_spaces

_HEADER = 8  # bytes for the length of the pickled part
_TRIAL_STEPS = 8
_GAVE_UP = [int(getattr(mujoco.mjtWarning, f"mjWARN_{name}")) for name in ("BADQPOS", "BADQVEL", "BADQACC")]
_LARGEST = 2**20  # bytes of pickled attributes in a state, unless snapshot_bytes is given
_GRAIN = 1024  # bytes; the room for the pickled part is a multiple of it


def close_environment(env: Environment, name: str) -> None:
    """Close an environment; a failure is only a warning, because the environment is not used again."""
    try:
        env.close()
    except Exception as error:  # an environment may raise anything
        warnings.warn(f"{name} failed in close: {one_line(error)}", stacklevel=2)


class Instance:
    """One environment without its time limit.

    `snapshot_size` is the length K of a snapshot, or 0 without snapshots; `obstacle` is then the reason.
    `reports_success` is true once an info has had the key "is_success"; trial steps of the constructor find most of
    these environments.

    Args:
        env: The environment.
        name: Its name in messages.
        options: Options of the adapter.

    Raises:
        EnvironmentRefusedError: The spaces cannot be adapted.
    """

    def __init__(self, env: Environment, name: str, options: AdapterOptions) -> None:
        self.env, self.name = env, name
        self.spaces: FlatSpaces = read_spaces(env, name, options.action_bound)
        self.obstacle = ""
        self.snapshot_size = self._room = 0
        self._snapshots: Snapshots | None = None
        self.fresh = np.empty(0, dtype=np.uint8)  # snapshot (K,) of the environment as its constructor left it
        self.reports_success = self._closed = False
        try:
            if options.snapshots == "none":
                raise NoSnapshotError("the option snapshots=none is set")
            self._snapshots = Snapshots(env)
            self._measure(options.snapshot_bytes)
        except NoSnapshotError as error:
            self._snapshots, self.obstacle = None, str(error)
            self.reset(0)
            self.step(0.5 * (self.spaces.low + self.spaces.high))

    @classmethod
    def open(cls, source: Source, options: AdapterOptions, **more: Any) -> Instance:
        """Make an environment of a source, with more arguments.

        It is closed if it cannot be adapted.
        """
        env = source.make(**more)
        try:
            return cls(env, source.name, options)
        except BaseException:
            if source.only is None:
                close_environment(env, source.name)
            raise

    def close(self) -> None:
        """Close the environment, once."""
        if not self._closed:
            self._closed = True
            close_environment(self.env, self.name)

    @property
    def unsaved(self) -> tuple[str, ...]:
        """Attributes that snapshots do not contain, as CLASS.NAME."""
        return () if self._snapshots is None else self._snapshots.unsaved

    @property
    def restarts(self) -> tuple[str, ...]:
        """Running statistics that restart in every episode because snapshots contain them, as CLASS.NAME."""
        return () if self._snapshots is None else self._snapshots.statistics

    def reset(self, seed: int) -> Outcome:
        """Start an episode; raises EnvironmentFailedError if the environment raises or returns a wrong value."""
        try:
            answer = self.env.reset(seed=seed)
        except Exception as error:
            raise EnvironmentFailedError(f"{self.name} failed in reset(seed={seed}): {one_line(error)}") from error
        return self._noted(read_reset(self.name, self.spaces, answer))

    def step(self, action: np.ndarray) -> Outcome:
        """Take one control step with an action (A,).

        Raises:
            EnvironmentFailedError: The action has NaN, or the environment raises or returns a wrong value.
        """
        if np.isnan(action).any():
            which = int(np.isnan(action).argmax())
            raise EnvironmentFailedError(
                f"{self.name} got action[{which}] = nan; allowed: numbers from "
                f"{self.spaces.low[which]:g} to {self.spaces.high[which]:g}"
            )
        try:
            answer = self.env.step(self.spaces.action_of(action))
        except Exception as error:
            raise EnvironmentFailedError(f"{self.name} failed in step: {one_line(error)}") from error
        return self._noted(read_step(self.name, self.spaces, answer))

    def _noted(self, outcome: Outcome) -> Outcome:
        self.reports_success |= "is_success" in outcome.info
        return outcome

    def save(self, out: np.ndarray) -> None:
        """Write the whole state into `out` (K,) uint8; raises SnapshotError."""
        snapshots = self._require_snapshots()
        middle = _HEADER + snapshots.physics_size
        rest = snapshots.save(out[_HEADER:middle])
        if len(rest) > self._room:
            raise SnapshotError(
                f"a snapshot of {self.name} has {len(rest)} bytes of pickled attributes; allowed: {self._room}; "
                f"set a larger limit with --task-options snapshot_bytes={4 * len(rest)}"
            )
        out[:_HEADER] = np.array([len(rest)], dtype=np.int64).view(np.uint8)
        out[middle : middle + len(rest)] = np.frombuffer(rest, dtype=np.uint8)
        out[middle + len(rest) :] = 0

    def restore(self, saved: np.ndarray) -> None:
        """Restore a saved state (K,) uint8 of this or another instance; raises SnapshotError."""
        snapshots = self._require_snapshots()
        length = int(saved[:_HEADER].copy().view(np.int64)[0])
        middle = _HEADER + snapshots.physics_size
        snapshots.restore(saved[_HEADER:middle], saved[middle : middle + length].tobytes())

    def verify(self) -> None:
        """Raise SnapshotError if snapshots saved since the last call are incomplete; this is slow."""
        if broken := self._require_snapshots().broken:
            raise SnapshotError(
                f"no state of {self.name} can be saved: {broken}; define {PROTOCOL}, set --task-options "
                f"snapshot_bytes={2 * (self._room + self._require_snapshots().anchors.left_out)} if it is an array, "
                "or train ppo with --task-options snapshots=none"
            )

    def split_noise(self, index: int) -> None:
        """Give the environment's generator an independent stream per index; index 0 keeps its stream."""
        generator = getattr(self.env.unwrapped, "_np_random", None)
        if index != 0 and generator is not None:
            word = copy.deepcopy(generator).integers(2**63)
            self.env.unwrapped._np_random = np.random.default_rng([int(word), index])

    def diverged(self) -> bool:
        """Whether MuJoCo diverged and reset the simulation in this episode."""
        bare = self.env.unwrapped
        return isinstance(bare, MujocoEnv) and bool(bare.data.warning.number[_GAVE_UP].any())

    def position(self) -> tuple[float, float, float]:
        """Position of the torso of a MujocoEnv [m]; the origin for other environments."""
        bare = self.env.unwrapped
        if not isinstance(bare, MujocoEnv) or bare.model.nbody < 2:
            return 0.0, 0.0, 0.0
        torso = mujoco.mj_name2id(bare.model, mujoco.mjtObj.mjOBJ_BODY, "torso")
        x, y, z = bare.data.xpos[torso if torso > 0 else 1]
        return float(x), float(y), float(z)

    def _measure(self, room: int | None) -> None:
        """Find the attributes that can be pickled and the size K of a snapshot, in a short trial."""
        snapshots = self._require_snapshots()
        generator, longest = np.random.default_rng(0), 0
        physics = np.empty(snapshots.physics_size, dtype=np.uint8)
        snapshots.learn_attributes()
        new, rest = physics.copy(), b""
        if not self.offers_protocol:  # get_snapshot() need not work before the first reset
            rest = snapshots.save(new)
        for seed in (0, 1):
            self.reset(seed)
            snapshots.learn_attributes()
            for _ in range(_TRIAL_STEPS):
                outcome = self.step(generator.uniform(self.spaces.low, self.spaces.high).astype(np.float32))
                snapshots.learn_attributes()
                longest = max(longest, len(snapshots.save(physics)))
                if outcome.terminated or outcome.truncated:
                    break
        if snapshots.model_changed:
            raise NoSnapshotError("it changes its MuJoCo model during an episode")
        self._room = self._room_for(longest, room)
        self.snapshot_size = _HEADER + snapshots.physics_size + self._room
        self.fresh = np.empty(self.snapshot_size, dtype=np.uint8)
        if rest:
            snapshots.restore(new, rest)
        else:
            self.reset(0)
        self.save(self.fresh)

    def _room_for(self, longest: int, room: int | None) -> int:
        """Bytes for the pickled part of a snapshot.

        Args:
            longest: Largest size in the trial, without constant arrays.
            room: The option snapshot_bytes.
        """
        snapshots = self._require_snapshots()
        before = snapshots.anchors.left_out
        changing = snapshots.anchors.changed  # and saved from now on
        longest += before - snapshots.anchors.left_out
        if room is not None:
            if longest + snapshots.anchors.left_out <= room:
                snapshots.anchors.keep_all()
            return room
        if longest > _LARGEST:
            raise NoSnapshotError(
                f"every state would take {longest:,} bytes, most of them in "
                f"{', '.join(changing) or snapshots.largest()}; allow that with --task-options "
                f"snapshot_bytes={2 * longest}"
            )
        return _GRAIN * -(-2 * longest // _GRAIN)

    @property
    def offers_protocol(self) -> bool:
        """Whether the environment saves itself; its first snapshot is then taken after a reset."""
        return self._snapshots is not None and self._snapshots.memory is None

    def _require_snapshots(self) -> Snapshots:
        if self._snapshots is None:
            raise EnvironmentRefusedError(f"{self.name} has no snapshots: {self.obstacle}")
        return self._snapshots
