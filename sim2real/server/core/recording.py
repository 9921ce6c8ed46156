"""Recording of observations and actions, and its replay.

A file is a sequence of msgpack maps: a header that describes the policies, then one map per step with the keys of Step.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NamedTuple

import msgpack
import numpy as np
from numpy.typing import NDArray

from hgrpo_errors import HgrpoError
from hgrpo_files import make_folder, writing
from sim2real.policy.onnx_policy import OnnxPolicy
from sim2real.protocol.msgpack import pack, unpack
from sim2real.protocol.request_error import RequestError
from sim2real.server.core.guards import ActionGuard
from sim2real.server.metrics import Metrics

SCHEMA_VERSION = 1
WAITING_BYTES = 1 << 26  # most bytes of steps in memory, while the disk is slow

_LARGEST_RECORD = 1 << 24  # bytes
_MOST_ENTRIES = 1 << 16  # most entries of an observation in the header
_STEP_BYTES = 1024  # upper bound of the memory of a step without its arrays


class Step(NamedTuple):
    """One answered request: observations (B, O) and the actions (B, A) that were sent."""

    time: float  # seconds since 1970
    policy: str
    version: str
    stream: int  # number of the history; 0 without one
    fresh: bool  # the first step of a history, or after a reset
    sequence: int  # -1 without one
    limited: bool
    observation: NDArray[np.float32]
    action: NDArray[np.float32]


class Recorder:
    """Writes steps into a new file, in a thread of its own.

    Steps are dropped and counted beyond WAITING_BYTES in memory, beyond `limit_bytes` in the file, and after a failed
    write.

    Args:
        folder: Folder of the file.
        header: Description of the policies.
        limit_bytes: Largest size of the file.
        metrics: Counters of the server.

    Raises FileError if the file cannot be created.
    """

    def __init__(self, folder: Path, header: dict[str, Any], limit_bytes: int, metrics: Metrics) -> None:
        make_folder(folder)
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        self.path = folder / f"{stamp}-{os.getpid()}.steps"
        self.failure: str | None = None
        with writing(self.path):
            self._file = self.path.open("xb")
            self._size = self._file.write(pack({"schema_version": SCHEMA_VERSION, **header}))
        self._limit = limit_bytes
        self._metrics = metrics
        self._counting = threading.Lock()
        self._waiting = 0  # bytes
        self._steps: SimpleQueue[Step | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._write_all, name="recorder", daemon=True)
        self._thread.start()

    def put(self, step: Step) -> None:
        """Add a step without blocking; its arrays must not change afterwards."""
        size = _size(step)
        with self._counting:
            fits = self._waiting + size <= WAITING_BYTES
            if fits:
                self._waiting += size
        if fits:
            self._steps.put(step)
        else:
            self._drop()

    def close(self) -> None:
        """Write the waiting steps and close the file."""
        self._steps.put(None)
        self._thread.join()
        try:
            self._file.close()
        except OSError as error:  # closing writes the rest of a failed write again
            self.failure = self.failure or _cannot_write(error)

    def _write_all(self) -> None:
        while (step := self._steps.get()) is not None:
            record = pack(step._asdict())
            if self.failure is None and self._size + len(record) > self._limit:
                self.failure = f"the recording has reached {self._limit} bytes"
            if self.failure is None:
                try:
                    self._size += self._file.write(record)
                    if self._steps.empty():
                        self._file.flush()
                except OSError as error:
                    self.failure = _cannot_write(error)
            if self.failure is None:
                self._metrics.recorded += 1
            else:
                self._drop()
            with self._counting:
                self._waiting -= _size(step)

    def _drop(self) -> None:
        with self._counting:
            self._metrics.unrecorded += 1


def _size(step: Step) -> int:
    """Memory of a step [bytes]."""
    return _STEP_BYTES + step.observation.nbytes + step.action.nbytes


def _cannot_write(error: OSError) -> str:
    return f"the recording cannot be written: {error.strerror}"


def read(path: Path) -> tuple[dict[str, Any], Iterator[Step]]:
    """Header and steps of a recording; an incomplete last step is left out.

    Raises HgrpoError for a file that is no recording.
    """
    records = _records(path)
    header = next(records, None)
    if not isinstance(header, dict) or header.get("schema_version") != SCHEMA_VERSION:
        raise HgrpoError(f"{path} is no recording of schema version {SCHEMA_VERSION}")
    return header, (_step(record, path) for record in records)


def replay(path: Path, policy: OnnxPolicy, name: str, version: str | None = None) -> float:
    """Largest |difference| between recorded actions and those of a policy now, with the recorded limits.

    The memory of a policy is carried over the recorded steps of a stream, from zeros at its start and at every change
    of the version.

    Args:
        path: The recording.
        policy: The policy.
        name: Name under which it was served.
        version: Number of its version; None for all versions.

    Raises HgrpoError if the recording has no such step.
    """
    header, steps = read(path)
    guard = ActionGuard(policy.spec, header["slew"])
    previous: dict[int, NDArray[np.float32]] = {}
    memories: dict[int, tuple[str, NDArray[np.float32]]] = {}  # the version that wrote each
    worst = -1.0
    for step in steps:
        if step.policy != name:
            continue
        before = None if step.fresh or not step.stream else previous.get(step.stream)
        if version in (None, step.version):
            action, _ = guard.limit(_act(policy, step, memories), before)
            worst = max(worst, float(np.abs(action - step.action).max()))
        else:
            memories.pop(step.stream, None)
        previous[step.stream] = step.action[-1]
    if worst < 0.0:
        raise HgrpoError(f"{path} has no step of policy {name!r}" + (f", version {version}" if version else ""))
    return worst


def _act(policy: OnnxPolicy, step: Step, memories: dict[int, tuple[str, NDArray[np.float32]]]) -> NDArray[np.float32]:
    """Actions (B, A) of a recorded step; carries the memory of its stream on."""
    if not policy.spec.memory_width:
        return policy(step.observation)
    version, memory = memories.get(step.stream, ("", None))
    if memory is None or step.fresh or version != step.version:
        memory = policy.no_memory(len(step.observation))
    action, memory = policy.step(step.observation, memory)
    memories[step.stream] = (step.version, memory)
    return action


def _records(path: Path) -> Iterator[Any]:
    """Messages of a file; each is decoded with the limits of the protocol."""
    with path.open("rb") as file, path.open("rb") as again:
        unpacker = msgpack.Unpacker(file, max_buffer_size=_LARGEST_RECORD)
        start = 0
        while True:
            try:
                unpacker.skip()
            except msgpack.OutOfData:
                return
            except msgpack.BufferFull as error:
                raise HgrpoError(f"{path} contains a record of more than {_LARGEST_RECORD} bytes") from error
            end = unpacker.tell()
            yield unpack(again.read(end - start), _LARGEST_RECORD, _MOST_ENTRIES)
            start = end


def _step(record: Any, path: Path) -> Step:
    try:
        return Step(**record)
    except TypeError as error:
        raise RequestError("malformed", f"{path} contains a record that is no step: {error}") from error
