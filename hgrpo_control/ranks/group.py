"""Exchange between the processes of one run, by torch.distributed."""

from __future__ import annotations

import io
import os
import socket
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from hgrpo_control.ranks.launch import Launch
from hgrpo_control.ranks.ranks import RankLostError, Ranks, Result
from hgrpo_errors import HgrpoError

PATIENCE = 3.0
"""Seconds in which the processes of a broken run leave their last words."""
_POLL_SECONDS = 0.05


class Group(Ranks):
    """Several processes.

    Args:
        launch: This process among them.
        store: Where all processes can leave words.
        stall_seconds: Longest wait for another process.
    """

    def __init__(self, launch: Launch, store: dist.Store, stall_seconds: float) -> None:
        self.rank, self.size, self._local_rank = launch.rank, launch.size, launch.local_rank
        self.seconds = 0.0
        self._store, self._stall_seconds = store, stall_seconds
        self._silent: list[int] = []  # ranks that ended without a word
        self._who = [f"rank {rank}" for rank in range(self.size)]
        self._who = self.objects(f"rank {self.rank} (process {os.getpid()} on {socket.gethostname()})")

    def device(self, name: str) -> str:
        """A GPU of its own where the run has `cuda`; else the device of the run."""
        return f"cuda:{self._local_rank % torch.cuda.device_count()}" if name == "cuda" else name

    def sum(self, x: Tensor) -> Tensor:
        """Sum of x over the processes."""
        total = x.clone()
        self._exchange(lambda: dist.all_reduce(total))
        return total

    def mean(self, x: Tensor) -> Tensor:
        """Mean of x over the processes."""
        return self.sum(x) / self.size

    def average_(self, x: Tensor) -> None:
        """Replace x by its mean over the processes."""
        self._exchange(lambda: dist.all_reduce(x))
        x /= self.size

    def max(self, x: Tensor) -> Tensor:
        """Largest x of the processes."""
        most = x.clone()
        self._exchange(lambda: dist.all_reduce(most, dist.ReduceOp.MAX))
        return most

    def any(self, flag: Tensor | bool) -> bool:
        """Whether the flag of any process is true."""
        return bool(self.sum(torch.tensor(int(flag))))

    def gathered(self, x: Tensor) -> list[Tensor]:
        """x of every process; it travels through the CPU, because not every backend gathers on GPUs."""
        own = x.detach().cpu().contiguous()
        parts = [torch.empty_like(own) for _ in range(self.size)]
        self._exchange(lambda: dist.all_gather(parts, own))
        return [part.to(x.device) for part in parts]

    def objects(self, value: Any) -> list[Any]:
        """Values of all processes."""
        values = [None] * self.size
        self._exchange(lambda: dist.all_gather_object(values, value))
        return values

    def states(self, state: Any) -> list[Any]:
        """On rank 0 the states of all processes, on the CPU."""
        written = io.BytesIO()
        torch.save(state, written)
        parts: list[Any] | None = [None] * self.size if self.rank == 0 else None
        self._exchange(lambda: dist.gather_object(written.getvalue(), parts))
        return [torch.load(io.BytesIO(part), map_location="cpu", weights_only=True) for part in parts or ()]

    def variance(self, x: Tensor, dim: int | None = None, correction: int = 0) -> Tensor:
        """Variance over all entries, by the parallel formula of Chan, Golub and LeVeque (1979)."""
        x, dim = (x.flatten(), 0) if dim is None else (x, dim)
        moments = torch.stack((x.mean(dim), x.var(dim, correction=0))) if x.shape[dim] else x.new_zeros(2)
        own = torch.cat((torch.full_like(moments[:1], x.shape[dim]), moments))
        number, mean, variance = torch.stack(self.gathered(own)).unbind(1)
        total = number.sum(0)
        away = mean - (number * mean).sum(0) / total
        return (number * (variance + away.square())).sum(0) / (total - correction)

    def together(self, call: Callable[[], Result]) -> Result:
        """Result of a call that every process makes."""
        result: list[Result] = []
        failure = None
        try:
            result.append(call())
        except HgrpoError as error:
            failure = error
        failure = self.first_failure(failure)
        if failure is not None:
            raise failure
        return result[0]

    def on_first(self, call: Callable[[], None]) -> None:
        """Make a call on rank 0 alone."""
        self.together(lambda: call() if self.rank == 0 else None)

    def first_failure(self, failure: HgrpoError | None) -> HgrpoError | None:
        """The failure of the first process that has one; of another rank than 0 the message names the rank."""
        failures = self.objects(None if failure is None else (type(failure), str(failure)))
        for rank, found in enumerate(failures):
            if found is not None and rank == self.rank == 0:
                return failure
            if found is not None:
                kind, text = found
                return kind(f"{self._who[rank]}: {text}" if rank else text)
        return None

    def leave(self, words: str) -> bool:
        """Leave the run; the others find the words, which are empty where another process is to blame.

        Returns whether this process has to print its error, because no lower rank is there to do it.
        """
        self._talk("words", words)
        with suppress(RuntimeError):  # the connections may be broken already
            dist.destroy_process_group()
        lower = [rank for rank in range(self.rank) if rank not in self._silent]
        found = self._talk("words", words, lower)
        others = [rank for rank in range(self.size) if rank != self.rank and rank not in self._silent]
        # The host of the store is rank 0 in most runs: it stays until the others have read.
        self._talk("left", "", others if self.rank == 0 else ())
        return not any(rank < self.rank for rank in found)

    def _exchange(self, call: Callable[[], Any]) -> None:
        """Make an exchange; raises RankLostError where another process does not take part."""
        began = time.perf_counter()
        try:
            call()
        except RuntimeError as error:
            raise RankLostError(self._loss(str(error))) from error
        finally:
            self.seconds += time.perf_counter() - began

    def _loss(self, reason: str) -> str:
        """What is known about the process with which the exchange failed."""
        words = self._talk("words", "", range(self.size))
        for rank, text in sorted(words.items()):
            if text:
                return f"{self._who[rank]} ended: {text}"
        self._silent = [rank for rank in range(self.size) if rank not in words]
        silent = ", ".join(self._who[rank] for rank in self._silent)
        if "timed out" in reason.lower() or "timeout" in reason.lower():
            return f"{silent or 'a process'} did not answer for {self._stall_seconds:g} s (--stall-seconds)"
        if silent:
            return f"{silent} has ended without a word, as a killed process does"
        return f"the processes cannot exchange data: {reason}"

    def _talk(self, subject: str, words: str, awaited: Iterable[int] = ()) -> dict[int, str]:
        """Leave words on a subject, and read those of the awaited ranks, for PATIENCE at most.

        A thread speaks with the store, whose host may have ended or stopped. Returns the words found, by rank.
        """
        found = {self.rank: words}
        missing = set(awaited) - {self.rank}

        def speak() -> None:
            with suppress(RuntimeError):  # the store has gone with its host
                self._store.set(f"{subject} {self.rank}", words)
                while missing:
                    for rank in sorted(missing):
                        if self._store.check([f"{subject} {rank}"]):
                            found[rank] = self._store.get(f"{subject} {rank}").decode()
                            missing.remove(rank)
                    time.sleep(_POLL_SECONDS)

        thread = threading.Thread(target=speak, daemon=True)
        thread.start()
        thread.join(PATIENCE)
        return dict(found)
