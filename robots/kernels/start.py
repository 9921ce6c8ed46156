"""Start of NVIDIA Warp: the folder of compiled kernels, and a message while one is compiled."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import warp as wp

_PATIENCE = 3.0  # s; a compiled kernel is loaded faster, on a busy machine too


@cache
def start() -> bool:
    """Initialise Warp; returns whether compiled kernels outlast the process.

    Without a user's cache folder that can be written they do not.
    """
    wp.config.log_level = wp.LOG_ERROR  # no greeting, no line for each kernel
    try:
        with _silent():
            wp.init()
        usable = os.access(str(wp.config.kernel_cache_dir), os.W_OK | os.X_OK)
    except OSError:
        usable = False
    if not usable:
        wp.config.kernel_cache_dir = folder = tempfile.mkdtemp(prefix="hgrpo-kernels-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        with _silent():
            wp.init()
    return usable


@contextmanager
def _silent() -> Iterator[None]:
    """Discard standard error of native code, which warns of every machine without a GPU."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


@contextmanager
def announced() -> Iterator[None]:
    """Print one line if the body takes longer than loading a compiled kernel."""
    timer = threading.Timer(_PATIENCE, _announce)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@cache
def _announce() -> None:
    how_often = "once" if start() else "in every process"
    print(f"compiling the simulator's kernels, {how_often}: some seconds", file=sys.stderr, flush=True)
