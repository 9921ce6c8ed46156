"""Hot swap: a file is checked in the background and then served."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import defaultdict

from hgrpo_errors import HgrpoError
from sim2real.policy.onnx_policy import OnnxPolicyError
from sim2real.server.core.policies import ServedPolicy
from sim2real.server.file_check import read_checked
from sim2real.server.metrics import Metrics

_log = logging.getLogger("hgrpo.server")


class Swapper:
    """Changes the versions of policies, one change of each policy at a time.

    Requests continue meanwhile.

    Create it while the event loop runs.

    Args:
        metrics: Counters of the server.
        seconds: Time for reading and checking a file [s].
    """

    def __init__(self, metrics: Metrics, seconds: float) -> None:
        self._metrics = metrics
        self._seconds = seconds
        self._one_at_a_time: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._due: dict[str, asyncio.Task[None]] = {}  # reloads that are waiting for their turn
        self._running: set[asyncio.Task[None]] = set()

    async def load(self, served: ServedPolicy) -> str:
        """Load the file of a policy again and serve it.

        Returns the number of the new version.

        Raises HgrpoError, and keeps the served version, if the file is invalid or has another interface.
        """
        async with self._one_at_a_time[served.name]:
            if self._due.get(served.name) is asyncio.current_task():
                del self._due[served.name]
            try:
                model = await read_checked(served.path, self._seconds, self._closed)
                policy = await asyncio.get_running_loop().run_in_executor(None, served.read, model)
            except OnnxPolicyError as error:
                self._metrics.swaps[served.name, "refused"] += 1
                _log.warning("%s: version %s is kept: %s", served.name, served.active.number, error)
                raise HgrpoError(f"policy {served.name!r} keeps version {served.active.number}: {error}") from error
            served.activate(policy)
            return self._note(served, "loaded")

    def reload(self, served: ServedPolicy) -> None:
        """Start to load the file, without waiting; does nothing if a reload is waiting already."""
        if served.name not in self._due:
            task = self._due[served.name] = asyncio.ensure_future(self._reload(served))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    def close(self) -> None:
        """Cancel the loads."""
        if not self._closed.done():
            self._closed.set_result(None)

    async def rollback(self, served: ServedPolicy) -> str:
        """Serve the version before the active one.

        Returns its number. Raises HgrpoError if there is none.
        """
        async with self._one_at_a_time[served.name]:
            served.rollback()
            return self._note(served, "rolled back")

    async def _reload(self, served: ServedPolicy) -> None:
        with contextlib.suppress(HgrpoError):  # logged by `load`, which keeps the version
            await self.load(served)

    def _note(self, served: ServedPolicy, result: str) -> str:
        number = served.active.number
        self._metrics.swaps[served.name, result] += 1
        self._metrics.versions[served.name] = (number, served.active.policy.metadata["checkpoint_sha256"])
        _log.warning("%s: %s, version %s is served", served.name, result, number)
        return number
