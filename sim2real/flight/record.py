"""Record of a flight, tick by tick."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hgrpo_files import write_new
from policies.spec import PolicySpec
from sim2real.flight.target import Reading
from sim2real.flight.watchdog import State

STATES = tuple(state.value for state in State)
"""Names of the numbers in `state`."""


class FlightRecord:
    """Rows of a flight in memory.

    A minute at 100 Hz with 16 entries and 4 actions takes 1 MB.

    `write` makes an .npz of K rows:

    - `time` (K,): slot since the first one [s].
    - `stamp_age` (K,): age of the observation [s].
    - `observation` (K, O): NaN without one.
    - `action` (K, A): the action that was sent; NaN in the tick that stopped.
    - `state` (K,): uint8, index into `states`.
    - `begins` (K,): bool, whether an episode begins with the observation.
    - `miss` (K,): why there was no valid action; empty if there was one.
    - `policy_spec`: JSON of the policy's spec.
    """

    def __init__(self, spec: PolicySpec) -> None:
        self._spec = spec
        self._none = np.full(spec.observation_size, np.nan, np.float32)
        self._no_action = np.full(spec.action_size, np.nan)
        self._time: list[float] = []
        self._age: list[float] = []
        self._observation: list[NDArray[np.float32]] = []
        self._action: list[NDArray[np.float64]] = []
        self._state: list[int] = []
        self._begins: list[bool] = []
        self._miss: list[str] = []

    def add(
        self,
        time: float,
        now: float,
        reading: Reading | None,
        action: NDArray[np.float64] | None,
        state: State,
        miss: str,
    ) -> None:
        """Add one tick.

        Args:
            time: Slot since the first one [s].
            now: Time of the reading, by the loop's clock [s].
            reading: What the target measured; None without an observation.
            action: Action (A,) that was sent; None if nothing was.
            state: State of the watchdog after the tick.
            miss: Why there was no valid action; empty if there was one.
        """
        fits = reading is not None and reading.observation.shape == self._none.shape
        self._time.append(time)
        self._age.append(now - reading.stamp if reading is not None else np.nan)
        self._observation.append(reading.observation.copy() if fits and reading is not None else self._none)
        self._action.append(self._no_action if action is None else action.copy())
        self._state.append(STATES.index(state.value))
        self._begins.append(reading is not None and reading.begins)
        self._miss.append(miss)

    def write(self, path: Path) -> None:
        """Write all rows into a new file.

        Raises FileError if it exists or cannot be written.
        """
        rows = len(self._time)
        content = io.BytesIO()
        np.savez_compressed(
            content,
            time=np.array(self._time),
            stamp_age=np.array(self._age),
            observation=np.array(self._observation, np.float32).reshape(rows, self._spec.observation_size),
            action=np.array(self._action).reshape(rows, self._spec.action_size),
            state=np.array(self._state, np.uint8),
            begins=np.array(self._begins, bool),
            miss=np.array(self._miss, dtype=np.str_),
            states=np.array(STATES),
            policy_spec=np.array(self._spec.to_json()),
        )
        write_new(path, content.getbuffer())
