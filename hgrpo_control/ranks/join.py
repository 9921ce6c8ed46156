"""Joins the processes of a run, and ends them together."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import torch

from hgrpo_control.ranks.launch import STALL_SECONDS, Launch, LaunchError, launch
from hgrpo_control.ranks.ranks import ALONE, RankLostError, Ranks
from hgrpo_errors import HgrpoError

if TYPE_CHECKING:
    from hgrpo_control.ranks.group import Group


@contextmanager
def joined(device: str, stall_seconds: float | None = None) -> Iterator[Ranks]:
    """The processes of this run, as torchrun or --processes started them; one process alone joins nothing.

    An error ends all processes. One of them prints it: rank 0, or the lowest rank that is left.

    Args:
        device: Of the run.
        stall_seconds: Longest wait for another process.

    Raises LaunchError where not all processes come; SystemExit for an error that another process prints.
    """
    here = launch()
    if here.size == 1:
        yield ALONE
        return
    import torch.distributed as dist

    ranks = _join(here, device, STALL_SECONDS if stall_seconds is None else stall_seconds)
    try:
        yield ranks
    except BaseException as error:
        # torchrun sends SIGTERM as soon as the first process has ended; the others still have to print.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        prints = ranks.leave("" if isinstance(error, RankLostError) else str(error) or type(error).__name__)
        if not prints and isinstance(error, (HgrpoError, KeyboardInterrupt)):
            raise SystemExit(2 if isinstance(error, HgrpoError) else 130) from error
        raise
    dist.destroy_process_group()


def _join(here: Launch, device: str, stall_seconds: float) -> Group:
    import torch.distributed as dist

    from hgrpo_control.ranks.group import Group

    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, torch.get_num_threads() // here.local_size))
    own_gpus = device == "cuda" and here.local_size <= torch.cuda.device_count()
    if own_gpus:
        torch.cuda.set_device(here.local_rank)
    patience = timedelta(seconds=stall_seconds)
    try:
        store, _, _ = next(dist.rendezvous("env://", timeout=patience))
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if own_gpus else "gloo",
            store=dist.PrefixStore("exchange", store),
            rank=here.rank,
            world_size=here.size,
            timeout=patience,
        )
    except RuntimeError as error:
        where, reason = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}", str(error)[:200]
        raise LaunchError(
            f"rank {here.rank} did not find the {here.size} processes of the run at {where}, --stall-seconds "
            f"{stall_seconds:g}: {reason}"
        ) from error
    return Group(here, dist.PrefixStore("words", store), stall_seconds)
