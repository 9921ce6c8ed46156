"""One running Gymnasium environment: seeded resets, steps in flat vectors, snapshots as one row of bytes."""

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

_HEADER = 8  # bytes that hold the length of the pickled part
_TRIAL_STEPS = 8
_GAVE_UP = [int(getattr(mujoco.mjtWarning, f"mjWARN_{name}")) for name in ("BADQPOS", "BADQVEL", "BADQACC")]
_LARGEST = 2**20  # bytes of pickled attributes in a state, unless asked for
_GRAIN = 1024  # room for the pickled part is a multiple of it


def close_environment(env: Environment, name: str) -> None:
    """Close an environment; where that fails it is a warning, since nothing more is asked of it."""
    try:
        env.close()
    except Exception as error:  # an environment may raise anything
        warnings.warn(f"{name} failed in close: {one_line(error)}", stacklevel=2)


class Instance:
    """One environment without its time limit.

    `snapshot_size` is the length K of a snapshot, 0 without snapshots; `obstacle` then says why there are none.
    `reports_success` is whether an info has said "is_success" so far; a short trial at the start is enough for those
    that always do. Raises EnvironmentRefusedError for spaces that cannot be adapted.
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
                raise NoSnapshotError("the option snapshots=none rules them out")
            self._snapshots = Snapshots(env)
            self._measure(options.snapshot_bytes)
        except NoSnapshotError as error:
            self._snapshots, self.obstacle = None, str(error)
            self.reset(0)
            self.step(0.5 * (self.spaces.low + self.spaces.high))

    @classmethod
    def open(cls, source: Source, options: AdapterOptions, **more: Any) -> Instance:
        """A new environment of a source, closed again where it cannot be adapted; `more` goes to its constructor."""
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
        """Attributes that a snapshot leaves out, as CLASS.NAME."""
        return () if self._snapshots is None else self._snapshots.unsaved

    @property
    def restarts(self) -> tuple[str, ...]:
        """Running statistics that begin anew in every episode, since snapshots hold them, as CLASS.NAME."""
        return () if self._snapshots is None else self._snapshots.statistics

    def reset(self, seed: int) -> Outcome:
        """Begin an episode; raises EnvironmentFailedError for whatever the environment raises or returns wrongly."""
        try:
            answer = self.env.reset(seed=seed)
        except Exception as error:
            raise EnvironmentFailedError(f"{self.name} failed in reset(seed={seed}): {one_line(error)}") from error
        return self._noted(read_reset(self.name, self.spaces, answer))

    def step(self, action: np.ndarray) -> Outcome:
        """One control step with an action (A,); raises EnvironmentFailedError as `reset`, and for NaN."""
        if np.isnan(action).any():
            which = int(np.isnan(action).argmax())
            raise EnvironmentFailedError(
                f"{self.name} was to be given action[{which}] = nan; allowed: numbers, here from "
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
                f"a snapshot of {self.name} has grown to {len(rest)} bytes of pickled attributes, and has room for "
                f"{self._room}; give it more with --task-options snapshot_bytes={4 * len(rest)}"
            )
        out[:_HEADER] = np.array([len(rest)], dtype=np.int64).view(np.uint8)
        out[middle : middle + len(rest)] = np.frombuffer(rest, dtype=np.uint8)
        out[middle + len(rest) :] = 0

    def restore(self, saved: np.ndarray) -> None:
        """Go back to a saved state (K,) uint8, of this or another instance; raises SnapshotError."""
        snapshots = self._require_snapshots()
        length = int(saved[:_HEADER].copy().view(np.int64)[0])
        middle = _HEADER + snapshots.physics_size
        snapshots.restore(saved[_HEADER:middle], saved[middle : middle + length].tobytes())

    def verify(self) -> None:
        """Raise SnapshotError where snapshots saved since the last call do not hold everything; not cheap."""
        if broken := self._require_snapshots().broken:
            raise SnapshotError(
                f"no state of {self.name} can be saved: {broken}; offer {PROTOCOL}, give --task-options "
                f"snapshot_bytes={2 * (self._room + self._require_snapshots().anchors.left_out)} where it is an array, "
                "or train ppo with --task-options snapshots=none"
            )

    def split_noise(self, index: int) -> None:
        """Give the environment's generator a stream of its own per index; 0 keeps the one it has."""
        generator = getattr(self.env.unwrapped, "_np_random", None)
        if index != 0 and generator is not None:
            word = copy.deepcopy(generator).integers(2**63)
            self.env.unwrapped._np_random = np.random.default_rng([int(word), index])

    def diverged(self) -> bool:
        """Whether MuJoCo gave up and reset the simulation by itself since the episode began."""
        bare = self.env.unwrapped
        return isinstance(bare, MujocoEnv) and bool(bare.data.warning.number[_GAVE_UP].any())

    def position(self) -> tuple[float, float, float]:
        """Where the torso of a MujocoEnv is [m]; the origin for other environments."""
        bare = self.env.unwrapped
        if not isinstance(bare, MujocoEnv) or bare.model.nbody < 2:
            return 0.0, 0.0, 0.0
        torso = mujoco.mj_name2id(bare.model, mujoco.mjtObj.mjOBJ_BODY, "torso")
        x, y, z = bare.data.xpos[torso if torso > 0 else 1]
        return float(x), float(y), float(z)

    def _measure(self, room: int | None) -> None:
        """Find out what pickle takes and how long it gets over a short trial, which is undone again; fixes K."""
        snapshots = self._require_snapshots()
        generator, longest = np.random.default_rng(0), 0
        physics = np.empty(snapshots.physics_size, dtype=np.uint8)
        snapshots.learn_attributes()
        new, rest = physics.copy(), b""
        if not self.offers_protocol:  # whose author need not expect to be asked before the first reset
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
            raise NoSnapshotError("it changes its MuJoCo model as it goes")
        self._room = self._room_for(longest, room)
        self.snapshot_size = _HEADER + snapshots.physics_size + self._room
        self.fresh = np.empty(self.snapshot_size, dtype=np.uint8)
        if rest:
            snapshots.restore(new, rest)
        else:
            self.reset(0)
        self.save(self.fresh)

    def _room_for(self, longest: int, room: int | None) -> int:
        """Bytes for the pickled part of a snapshot, of which `longest` were needed without the constants."""
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
                f"{', '.join(changing) or snapshots.largest()}; --task-options snapshot_bytes={2 * longest} takes "
                "them as they are"
            )
        return _GRAIN * -(-2 * longest // _GRAIN)

    @property
    def offers_protocol(self) -> bool:
        """Whether the environment saves itself; its first snapshot is one after a reset."""
        return self._snapshots is not None and self._snapshots.memory is None

    def _require_snapshots(self) -> Snapshots:
        if self._snapshots is None:
            raise EnvironmentRefusedError(f"{self.name} has no snapshots: {self.obstacle}")
        return self._snapshots
