"""Hot swap: the file is read and proved aside, then served from one request to the next, or not at all."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import defaultdict

from hgrpo_errors import HgrpoError
from sim2real.policy.onnx_policy import OnnxPolicyError
from sim2real.server.core.policies import ServedPolicy
from sim2real.server.metrics import Metrics
from sim2real.server.proof import proved

_log = logging.getLogger("hgrpo.server")


class Swapper:
    """Changes the versions of policies, of each one at a time; requests and other policies' changes go on meanwhile.

    A file has `seconds` to be read and proved. To be made while the event loop runs.
    """

    def __init__(self, metrics: Metrics, seconds: float) -> None:
        self._metrics = metrics
        self._seconds = seconds
        self._one_at_a_time: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._due: dict[str, asyncio.Task[None]] = {}  # reloads that have not begun
        self._running: set[asyncio.Task[None]] = set()

    async def load(self, served: ServedPolicy) -> str:
        """Serve the policy's file as it is now; returns the new version's number.

        Raises ValueError, and what was served stays, unless the file passes its golden pairs with the same interface.
        """
        async with self._one_at_a_time[served.name]:
            if self._due.get(served.name) is asyncio.current_task():
                del self._due[served.name]
            try:
                model = await proved(served.path, self._seconds, self._closed)
                policy = await asyncio.get_running_loop().run_in_executor(None, served.read, model)
            except OnnxPolicyError as error:
                self._metrics.swaps[served.name, "refused"] += 1
                _log.warning("%s: version %s stays: %s", served.name, served.active.number, error)
                raise HgrpoError(f"policy {served.name!r} keeps version {served.active.number}: {error}") from error
            served.activate(policy)
            return self._note(served, "loaded")

    def reload(self, served: ServedPolicy) -> None:
        """Begin to load, without waiting for it; nothing more to do where that waits for its turn already."""
        if served.name not in self._due:
            task = self._due[served.name] = asyncio.ensure_future(self._reload(served))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    def close(self) -> None:
        """Give up what is being loaded."""
        if not self._closed.done():
            self._closed.set_result(None)

    async def rollback(self, served: ServedPolicy) -> str:
        """Serve the version before the active one; returns its number. Raises ValueError if there is none."""
        async with self._one_at_a_time[served.name]:
            served.rollback()
            return self._note(served, "rolled back")

    async def _reload(self, served: ServedPolicy) -> None:
        with contextlib.suppress(ValueError):  # told in the log, and the version stays
            await self.load(served)

    def _note(self, served: ServedPolicy, result: str) -> str:
        number = served.active.number
        self._metrics.swaps[served.name, result] += 1
        self._metrics.versions[served.name] = (number, served.active.policy.metadata["checkpoint_sha256"])
        _log.warning("%s: %s, version %s answers", served.name, result, number)
        return number
