"""Run the missing runs of a suite in several processes.

It can be killed at any time and started again.
"""

from __future__ import annotations

import fcntl
import json
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, NamedTuple

from benchmarks.suite.claims import Claim, Claims
from benchmarks.suite.definition import SuiteError
from benchmarks.suite.learners.registry import LEARNERS
from benchmarks.suite.origin import describe_origin
from benchmarks.suite.plan import Run, Step, clear_unstarted, is_trained, next_step
from hgrpo_control.command_line.children import failure, start, stop
from hgrpo_signals import handled, interrupt

COMMANDS = {name: (sys.executable, "-m", learner.module) for name, learner in LEARNERS.items()}
"""Commands that run a learner's command line."""

_POLL_SECONDS = 0.2


class Failure(NamedTuple):
    """A run that could not be finished."""

    run: Run
    reason: str


class _Process(NamedTuple):
    run: Run
    claim: Claim
    step: Step
    handle: subprocess.Popen[bytes]
    began: float


def run_missing(runs: Sequence[Run], jobs: int) -> list[Failure]:
    """Train and evaluate the unfinished of `runs` in `jobs` processes; returns the runs that failed.

    KeyboardInterrupt and SIGTERM stop the children, which save first, and raise KeyboardInterrupt; a second one kills
    them. A run that another process or machine works on is skipped, and checked again at the end.
    """
    claims = Claims()
    schedule = _Schedule(runs, jobs, claims)
    with closing(claims), handled((signal.SIGTERM,), interrupt):
        try:
            while schedule.advance():
                time.sleep(_POLL_SECONDS)
        except BaseException:
            schedule.stop()
            raise
    return schedule.failures


class _Schedule:
    """Waiting, running and failed runs; one step (train, resume, evaluate) of a run is one child process."""

    def __init__(self, runs: Sequence[Run], jobs: int, claims: Claims) -> None:
        self.queue = deque(runs)
        self.elsewhere: deque[Run] = deque()
        self.running: list[_Process] = []
        self.failures: list[Failure] = []
        self.jobs, self.total, self.ended, self.claims = jobs, len(runs), 0, claims

    def advance(self) -> bool:
        """Handle ended processes and start new ones; False when nothing is left."""
        for process in list(self.running):
            if process.claim.lost:
                process.handle.kill()  # it must not write into a folder that another worker uses
                process.handle.wait()
            if process.handle.poll() is not None:
                self.running.remove(process)
                self._take_in(process)
        while len(self.running) < self.jobs and (run := self._next_ready()) is not None:
            self.queue.remove(run)
            self._start(run)
        if not self.running and self.elsewhere:
            time.sleep(1.0)
            self.queue.extend(self.elsewhere)
            self.elsewhere.clear()
        return bool(self.queue or self.running)

    def _next_ready(self) -> Run | None:
        """The first run in the queue whose reference is not still to be finished here."""
        coming = {run.path for run in (*self.queue, *self.elsewhere, *(process.run for process in self.running))}
        return next((run for run in self.queue if run.reference is None or run.reference.path not in coming), None)

    def _start(self, run: Run) -> None:
        """Start a run that no other worker has; else put it back for later."""
        run.path.parent.mkdir(parents=True, exist_ok=True)
        claim = self.claims.take(run.path)
        if claim is None:
            self.elsewhere.append(run)
        else:
            self._go_on(run, claim)

    def _go_on(self, run: Run, claim: Claim, after: Step | None = None) -> None:
        """Start the next step of a claimed run; `after` is the step that has just ended well."""
        with run.log.open("ab") as log:
            if not _lock(log):  # the process of a worker that was killed still saves
                self.claims.release(claim, done=False)
                self.elsewhere.append(run)
                return
            try:
                step = next_step(run)
                if step == "train":
                    _require_reference(run)
                    clear_unstarted(run)
            except ValueError as error:
                self._end(run, claim, f"failed: {error}", failed=True)
                return
            if step is None:
                self._end(run, claim, "done", quiet=after is None)
            elif after is not None and (step != "evaluate" or after == "evaluate"):
                self._end(run, claim, f"failed: {after} ended well, but the run still needs: {step}", failed=True)
            else:
                self.running.append(_launch(run, claim, step, log))

    def _take_in(self, process: _Process) -> None:
        status, run, claim = process.handle.returncode, process.run, process.claim
        assert process.handle.stdin is not None
        process.handle.stdin.close()
        if claim.lost:
            print(f"  {run.label}: taken over by another worker, because this one stood still", flush=True)
            self.claims.release(claim, done=False)
            self.elsewhere.append(run)
            return
        if status == 0:
            print(f"  {run.label}: {process.step} took {time.monotonic() - process.began:.0f} s", flush=True)
            self._go_on(run, claim, after=process.step)
            return
        self._end(run, claim, f"{process.step} {failure(status, run.log)}", failed=True)

    def _end(self, run: Run, claim: Claim, outcome: str, failed: bool = False, quiet: bool = False) -> None:
        self.claims.release(claim, done=not failed)
        self.ended += 1
        if not quiet:
            print(f"[{self.ended}/{self.total}] {run.label}: {outcome}", flush=True)
        if failed:
            self.failures.append(Failure(run, outcome))

    def stop(self) -> None:
        """Let every child save and end, and wait for it; an interrupt meanwhile kills them."""
        if self.running:
            print(f"stopping {len(self.running)} runs; they save first. Ctrl-C again kills them.", flush=True)
        stop([process.handle for process in self.running])


def _require_reference(run: Run) -> None:
    """Raise SuiteError if a run refers to one that is not trained to its end."""
    if run.reference is not None and not is_trained(run.reference):
        raise SuiteError(f"it needs {run.reference.label}, which is not trained to its end")


def _launch(run: Run, claim: Claim, step: Step, log: IO[bytes]) -> _Process:
    """Start a child. It inherits the locked log, which locks the run while it lives."""
    words = run.words(step)
    name = run.variant.learner
    line = {"command": [name, *words], "started": datetime.now(timezone.utc).isoformat(timespec="seconds")}
    with run.origin.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line | describe_origin(run.learner.packages)) + "\n")
    log.write(f"$ {name} {' '.join(words)}\n".encode())
    log.flush()
    root = Path(__file__).resolve().parents[2]
    return _Process(run, claim, step, start([*COMMANDS[name], *words], log, (str(root),)), time.monotonic())


def _lock(file: IO[bytes]) -> bool:
    """Take the lock of an open file; False if another process of this machine holds it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # a network folder without locks: there only claims count
    return True
