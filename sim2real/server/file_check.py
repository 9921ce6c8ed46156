"""Check of a policy's file in another process, because it may hang or crash."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from sim2real.policy.onnx_policy import OnnxPolicy, OnnxPolicyError, read_model

_REFUSED = 3  # exit status for a refused file; different from those of Python and of signals
_MARGIN = 1.0  # [s] after which the process ends itself, if the server is gone
_PROGRAM = "import sys; sys.path[:] = sys.argv[1].split('\\n'); from sim2real.server.file_check import main; main()"


async def read_checked(path: Path, seconds: float, cancelled: asyncio.Future[Any]) -> bytes:
    """Content of a policy's file, once another process has reproduced its golden pairs.

    Args:
        path: The file.
        seconds: Time for reading and checking [s].
        cancelled: Ends the check when it is done.

    Raises OnnxPolicyError for a file that fails the check, crashes the process or takes too long.
    """
    loop = asyncio.get_running_loop()
    command = (sys.executable, "-c", _PROGRAM, "\n".join(sys.path), str(path), str(seconds + _MARGIN))
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe)
    result: asyncio.Future[tuple[bytes, bytes]] = loop.create_future()

    def store(outputs: tuple[bytes, bytes]) -> None:
        if not result.done():
            result.set_result(outputs)

    def follow() -> None:
        outputs = process.communicate()
        with contextlib.suppress(RuntimeError):  # the loop has been closed
            loop.call_soon_threadsafe(store, outputs)

    # no code waits for this thread, because a process that hangs in the kernel cannot be killed
    threading.Thread(target=follow, name=f"check of {path}", daemon=True).start()
    try:
        await asyncio.wait((result, cancelled), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        process.kill()
    if not result.done():
        why = "before the server stops" if cancelled.done() else f"within {seconds:g} s"
        raise OnnxPolicyError(f"{path} could not be read and checked {why}")
    output, errors = result.result()
    if process.returncode == 0:
        return output
    if process.returncode == _REFUSED:
        raise OnnxPolicyError(output.decode(errors="replace"))
    lines = errors.decode(errors="replace").strip().splitlines()
    raise OnnxPolicyError(
        f"{path} ends the process that checks it, with status {process.returncode}: "
        f"{lines[-1] if lines else 'no error output'}"
    )


def main() -> None:
    """Check a file and write it to standard output.

    The first argument is its path, the second the time limit [s].
    """
    path, seconds = Path(sys.argv[2]), float(sys.argv[3])
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        model = read_model(path)
        OnnxPolicy(path, model=model)
    except OnnxPolicyError as error:
        sys.stdout.write(str(error))
        sys.exit(_REFUSED)
    sys.stdout.buffer.write(model)
