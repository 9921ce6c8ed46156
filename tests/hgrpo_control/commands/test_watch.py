"""`hgrpo watch`: its errors in one line, its page, and its film."""

from __future__ import annotations

import shutil
import socket
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hgrpo_control.cli import main

pytest.importorskip("viser", reason="the extra `watch` is not here: pip install -c constraints.txt '.[watch]'")

import hgrpo_control.watch.page
from hgrpo_control.commands.watch import WatchOptions, _open
from hgrpo_control.watch.film import frames


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (("quadrotor-hovr",), ("'quadrotor-hovr'", "'quadrotor-hover'")),
        (("quadrotor-hover", "--task-options", "widn=1"), ("'widn'", "'wind'")),
        (("runs/none",), ("runs/none", "config.json")),
        (("none.onnx",), ("none.onnx",)),
        (("zoo:quadrotor-gats",), ("'quadrotor-gats'", "'quadrotor-gates'")),
        (("runs/none", "--training"), ("runs/none", "config.json")),
        (("one", "two", "--training"), ("--training", "one two")),
        (("quadrotor-hover", "Walker2d-v5"), ("quadrotor-hover", "Walker2d-v5", "same task")),
        (("quadrotor-hover", "--port", "70000"), ("port", "70000", "65535")),
        (("quadrotor-hover", "--record", "film.gif", "--seconds", "1"), ("film.gif", ".mp4")),
    ],
)
def test_watch_refuses_in_one_line(
    words: tuple[str, ...], parts: tuple[str, ...], complaint: Callable[..., str]
) -> None:
    said = complaint("watch", *words)
    for part in parts:
        assert part in said


def test_watch_names_a_run_without_checkpoint(tiny_run: Path, complaint: Callable[..., str]) -> None:
    shutil.copytree(tiny_run, "run")
    Path("run/checkpoint.pt").unlink()
    assert "run/checkpoint.pt" in complaint("watch", "run")


def test_watch_names_a_port_in_use(complaint: Callable[..., str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert f"--port {port}" in complaint("watch", "quadrotor-hover", "--port", str(port))


def test_watch_names_the_extra_that_is_missing(monkeypatch: pytest.MonkeyPatch, complaint: Callable[..., str]) -> None:
    monkeypatch.setitem(sys.modules, "viser", None)
    said = complaint("watch", "quadrotor-hover")
    assert "viser" in said
    assert "[watch]" in said


def test_watch_serves_a_page_and_ends_after_its_seconds(
    tiny_run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[bytes] = []
    run = hgrpo_control.watch.page.Page.run

    def load_and_run(page: Any, seconds: float) -> None:
        with urllib.request.urlopen(page.url, timeout=60) as answer:
            seen.append(answer.read())
        run(page, seconds)

    monkeypatch.setattr(hgrpo_control.watch.page.Page, "run", load_and_run)
    assert main(["watch", str(tiny_run), "quadrotor-hover", "--port", "0", "--seconds", "0.5"]) == 0
    assert b"<html" in seen[0]
    assert "watch quadrotor-hover at http://127.0.0.1:" in capsys.readouterr().out


def test_watch_follows_a_run_without_checkpoint_yet(tiny_run: Path) -> None:
    shutil.copytree(tiny_run, "run")
    Path("run/checkpoint.pt").rename("later.pt")
    session = _open(WatchOptions(("run",), training=True))
    assert "no checkpoint" in session.flights[0].pilot.note
    Path("later.pt").rename("run/checkpoint.pt")
    session.restart()
    assert "iteration" in session.flights[0].pilot.note


def test_film_shows_the_flights_side_by_side_in_real_time(monkeypatch: pytest.MonkeyPatch) -> None:
    session = _open(WatchOptions(("quadrotor-hover", "quadrotor-hover")))
    for flight in session.flights:
        monkeypatch.setattr(
            flight.simulator, "render", lambda state, row, width, height, trail: np.zeros((height, width, 3), np.uint8)
        )
    pictures = list(frames(session, 0.4))
    assert len(pictures) == 10
    assert pictures[0].shape == (480, 1280, 3)
    assert session.steps == 36  # of the last frame, at 100 Hz and 25 frames per second
    assert not np.array_equal(pictures[0], pictures[-1])  # the caption


def test_watch_writes_a_film() -> None:
    from robots.drawing.offscreen import MissingGraphicsError, require_gl

    try:
        require_gl()
    except MissingGraphicsError as error:
        pytest.skip(str(error))
    assert main(["watch", "quadrotor-hover", "--record", "film.mp4", "--seconds", "0.2"]) == 0
    assert Path("film.mp4").stat().st_size > 1000
