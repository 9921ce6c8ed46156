"""A policy's file is read and proved in a process of its own: neither may ever end, and either may crash."""

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

_REFUSED = 3  # exit status; no signal and no failure of Python itself has it
_MARGIN = 1.0  # seconds after its time in which a process ends itself, where nobody is left to end it
_PROGRAM = "import sys; sys.path[:] = sys.argv[1].split('\\n'); from sim2real.server.proof import main; main()"


async def proved(path: Path, seconds: float, unless: asyncio.Future[Any]) -> bytes:
    """Content of a policy's file, once it has reproduced its golden pairs elsewhere.

    Raises OnnxPolicyError for a file that does not, that crashes its reader or takes longer than `seconds`, and as soon
    as `unless` is done.
    """
    loop = asyncio.get_running_loop()
    command = (sys.executable, "-c", _PROGRAM, "\n".join(sys.path), str(path), str(seconds + _MARGIN))
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe)
    answer: asyncio.Future[tuple[bytes, bytes]] = loop.create_future()

    def note(outputs: tuple[bytes, bytes]) -> None:
        if not answer.done():
            answer.set_result(outputs)

    def follow() -> None:
        outputs = process.communicate()
        with contextlib.suppress(RuntimeError):  # the loop has been closed
            loop.call_soon_threadsafe(note, outputs)

    # nobody waits for this thread: a process that hangs in the kernel cannot be ended
    threading.Thread(target=follow, name=f"proof of {path}", daemon=True).start()
    try:
        await asyncio.wait((answer, unless), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        process.kill()
    if not answer.done():
        why = "before the server stops" if unless.done() else f"within {seconds:g} s"
        raise OnnxPolicyError(f"{path} could not be read and proved {why}")
    output, complaints = answer.result()
    if process.returncode == 0:
        return output
    if process.returncode == _REFUSED:
        raise OnnxPolicyError(output.decode(errors="replace"))
    lines = complaints.decode(errors="replace").strip().splitlines()
    raise OnnxPolicyError(
        f"{path} ends the process that proves it, with status {process.returncode}: {lines[-1] if lines else 'no word'}"
    )


def main() -> None:
    """Prove the file that is named first, within the seconds that are named second, and write it to the output."""
    path, seconds = Path(sys.argv[2]), float(sys.argv[3])
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        model = read_model(path)
        OnnxPolicy(path, model=model)
    except OnnxPolicyError as error:
        sys.stdout.write(str(error))
        sys.exit(_REFUSED)
    sys.stdout.buffer.write(model)
