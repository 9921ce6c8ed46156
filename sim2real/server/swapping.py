"""Hot swap: the file is read and proved aside, then served from one request to the next, or not at all."""

from __future__ import annotations

import asyncio
import logging

from hgrpo_errors import HgrpoError
from sim2real.onnx_policy import OnnxPolicyError
from sim2real.server.metrics import Metrics
from sim2real.server.policies import ServedPolicy

_log = logging.getLogger("hgrpo.server")


class Swapper:
    """Changes the version of a policy, one change at a time; requests go on meanwhile."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._one_at_a_time = asyncio.Lock()

    async def load(self, served: ServedPolicy) -> str:
        """Serve the policy's file as it is now; returns the new version's number.

        Raises ValueError, and what was served stays, unless the file passes its golden pairs with the same interface.
        """
        async with self._one_at_a_time:
            try:
                policy = await asyncio.get_running_loop().run_in_executor(None, served.read)
            except OnnxPolicyError as error:
                self._metrics.swaps[served.name, "refused"] += 1
                _log.warning("%s: version %s stays: %s", served.name, served.active.number, error)
                raise HgrpoError(f"policy {served.name!r} keeps version {served.active.number}: {error}") from error
            served.activate(policy)
            return self._note(served, "loaded")

    async def rollback(self, served: ServedPolicy) -> str:
        """Serve the version before the active one; returns its number. Raises ValueError if there is none."""
        async with self._one_at_a_time:
            served.rollback()
            return self._note(served, "rolled back")

    def _note(self, served: ServedPolicy, result: str) -> str:
        number = served.active.number
        self._metrics.swaps[served.name, result] += 1
        self._metrics.versions[served.name] = (number, served.active.policy.metadata["checkpoint_sha256"])
        _log.warning("%s: %s, version %s answers", served.name, result, number)
        return number
