"""`--processes`: one run trained by several processes of this machine, one per rank."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hgrpo_control.command_line.children import start, stop
from hgrpo_control.runs.run_folder import flatten
from hgrpo_errors import HgrpoError
from hgrpo_signals import handled, interrupt

if TYPE_CHECKING:
    from hgrpo_control.ranks.ranks import Ranks

_POLL_SECONDS = 0.1
GRACE_SECONDS = 15.0
"""Seconds that the other processes have to end by themselves once one has failed."""


class DisagreementError(HgrpoError):
    """Raised where the processes of a run were started with different settings."""


def train_ranks(args: Sequence[str], processes: int) -> int:
    """Run a command in several processes, which print for themselves.

    Args:
        args: The command and its arguments.
        processes: Their number.

    Returns:
        0, or the exit status of the first process that failed; 128 and its signal for one that was killed; 130 after
        Ctrl-C or SIGTERM, when the run has been saved.

    Raises KeyboardInterrupt after Ctrl-C or SIGTERM where training had not begun, and after a second one.
    """
    children = start_ranks([sys.executable, "-m", "hgrpo_control.child", *args], processes)
    with handled((signal.SIGTERM,), interrupt):
        try:
            return wait_for(children)
        except KeyboardInterrupt:
            stop(children)
            if all(child.returncode < 0 for child in children):  # before training began
                raise
            return 130  # rank 0 has printed what was saved


def require_same(settings: Mapping[str, Any], ranks: Ranks) -> None:
    """Raise DisagreementError unless all processes have the same settings."""
    first, *others = ranks.objects(flatten(settings))
    for rank, other in enumerate(others, start=1):
        different = [name for name in {**first, **other} if first.get(name) != other.get(name)]
        if different:
            name = different[0]
            raise DisagreementError(
                f"rank {rank} has {name} {other.get(name)}, and rank 0 has {first.get(name)}; start all processes with "
                "the same command"
            )


def start_ranks(command: Sequence[str], processes: int) -> list[subprocess.Popen[bytes]]:
    """Start a command once per rank, with the variables that torchrun sets."""
    port = _free_port()
    return [_start(command, rank, processes, port) for rank in range(processes)]


def _start(command: Sequence[str], rank: int, processes: int, port: int) -> subprocess.Popen[bytes]:
    size = {"WORLD_SIZE": processes, "LOCAL_WORLD_SIZE": processes, "RANK": rank, "LOCAL_RANK": rank}
    variables = {name: str(value) for name, value in size.items()}
    variables |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    if sys.platform == "linux":
        variables["GLOO_SOCKET_IFNAME"] = "lo"  # else gloo looks the name of the machine up
    return start(command, None, variables=variables)


def wait_for(children: Sequence[subprocess.Popen[bytes]]) -> int:
    """Wait for all children; once one has failed, the others end within GRACE_SECONDS or are killed.

    Returns the exit status of the first that failed, 128 and its signal for one that was killed; 0 without failure.
    """
    status, deadline = 0, float("inf")
    running = dict(enumerate(children))
    while running:
        time.sleep(_POLL_SECONDS)
        for rank, child in [(rank, child) for rank, child in running.items() if child.poll() is not None]:
            del running[rank]
            code = child.returncode
            if code and not status:
                status, deadline = code if code > 0 else 128 - code, time.monotonic() + GRACE_SECONDS
                if code < 0:
                    print(f"hgrpo: rank {rank} was killed by signal {-code}", file=sys.stderr)
        if time.monotonic() > deadline:
            for child in running.values():
                child.kill()
    return status


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]
