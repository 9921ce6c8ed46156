"""The page: a server, the scene, the panel, and the loop that steps the simulation in real time."""

from __future__ import annotations

import contextlib
import io
import math
import socket
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue

import numpy as np
import viser
from numpy.typing import NDArray

from hgrpo_control.watch.controls import Controls
from hgrpo_control.watch.pace import Pace
from hgrpo_control.watch.session import Session
from hgrpo_control.watch.world import World
from hgrpo_errors import HgrpoError

FRAMES_PER_SECOND = 30.0
_STATUS_SECONDS, _PLOT_SECONDS = 0.2, 0.25  # between updates
_NAP = 0.01  # s, longest sleep of the loop


class AddressError(HgrpoError):
    """Raised for an address that the page cannot be served at."""


class Page:
    """A session on a page in the browser.

    Args:
        session: The flights.
        host: Address to bind.
        port: Port to bind; 0 takes a free one.

    Raises:
        AddressError: The port is in use, or the address is not one of this machine.
    """

    def __init__(self, session: Session, host: str = "127.0.0.1", port: int = 0) -> None:
        self.session, self.pace = session, Pace(session.control_hz)
        self._waiting: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._stopped = False
        self._problem, self._problem_until = "", -math.inf
        with contextlib.redirect_stdout(io.StringIO()):  # viser prints a table
            self.server = viser.ViserServer(host, _free(host, port), label="hgrpo watch", verbose=False)
        self._build()

    @property
    def url(self) -> str:
        """Address of the page."""
        host = self.server.get_host()
        name = "127.0.0.1" if host == "0.0.0.0" else f"[{host}]" if ":" in host else host
        return f"http://{name}:{self.server.get_port()}/"

    def do(self, function: Callable[[], None]) -> None:
        """Run a function in the thread of the loop, before the next step."""
        self._waiting.put(function)

    def run(self, seconds: float = math.inf) -> None:
        """Fly in real time, in this thread, for a time [s] or until `stop`."""
        end, next_frame, next_status, next_plot = time.monotonic() + seconds, 0.0, 0.0, 0.0
        while (now := time.monotonic()) < end and not self._stopped:
            self._do_waiting()
            frame_end = now + 1.0 / FRAMES_PER_SECOND
            for _ in range(self.pace.due()):
                self.session.step()
                self.pace.count()
                if time.monotonic() > frame_end:
                    break
            if now >= next_frame and self.server.get_clients():
                next_frame = now + 1.0 / FRAMES_PER_SECOND
                with self.server.atomic():
                    self.world.draw()
            if now >= next_status:
                next_status = now + _STATUS_SECONDS
                self.controls.show_status(self._problem if now < self._problem_until else "")
            if now >= next_plot:
                next_plot = now + _PLOT_SECONDS
                self.controls.plots.draw()
            time.sleep(min(self.pace.wait, _NAP))

    def stop(self) -> None:
        """End `run`, from any thread."""
        self._stopped = True

    def close(self) -> None:
        """Stop the server and close the simulators."""
        with contextlib.redirect_stdout(io.StringIO()):
            self.server.stop()
        self.session.close()

    def _do_waiting(self) -> None:
        """Run what the panel wants; what a user cannot do is shown on the page."""
        while True:
            try:
                function = self._waiting.get_nowait()
            except Empty:
                return
            try:
                function()
            except HgrpoError as error:
                self._problem, self._problem_until = f"Refused: {error}", time.monotonic() + 10.0

    def _build(self) -> None:
        self.server.gui.configure_theme(show_logo=False, show_share_button=False, control_width="medium")
        self.world = World(self.server, self.session, self._move_target)
        self.controls = Controls(self.server, self.session, self.pace, self.world, self.do, self._change_task)

    def _move_target(self, place: NDArray[np.float64]) -> None:
        self.do(lambda: self.session.move_target(place.tolist()))

    def _change_task(self, task_options: dict[str, str]) -> None:
        self.session.change_task(task_options)
        paused, speed = self.pace.paused, self.pace.speed
        self.pace = Pace(self.session.control_hz)
        self.pace.paused, self.pace.speed = paused, speed
        self.server.scene.reset()
        self.server.gui.reset()
        self._build()


def _free(host: str, port: int) -> int:
    """The port, or a free one for 0; viser would take another one than was asked for."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            return int(probe.getsockname()[1])
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise AddressError(
            f"--host {host} --port {port} cannot be served at: {reason}; --port 0 takes a free port"
        ) from error
