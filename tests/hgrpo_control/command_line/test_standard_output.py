"""Output whose reader has gone, or that cannot be written, ends a command in peace."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from hgrpo_control import cli
from hgrpo_control.cli import main

PROGRAM = "import sys; from hgrpo_control.cli import entry_point; sys.argv[1:] = {words!r}; entry_point()"


def ended(words: list[str], output: int) -> tuple[int, str]:
    """Status and complaints of the installed script, whose output goes to a file descriptor."""
    done = subprocess.run(
        (sys.executable, "-c", PROGRAM.format(words=words)),
        env={**os.environ, "PYTHONUNBUFFERED": "", "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        stdout=output,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr


@pytest.fixture
def unread() -> Iterator[int]:
    """The writing end of a pipe whose reading end is closed."""
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


@pytest.mark.slow
@pytest.mark.parametrize("words", [["--help"], ["--version"], ["export", "--help"]])
def test_a_reader_that_has_gone_ends_a_command_quietly(words: list[str], unread: int) -> None:
    assert ended(words, unread) == (141, "")


@pytest.mark.slow
def test_a_table_that_nobody_reads_to_its_end_is_no_traceback(unread: int) -> None:
    status, complaints = ended(["tasks"], unread)  # rich ends the process itself, with 1
    assert status in (1, 141)
    assert complaints == ""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("words", [["--help"], ["tasks"]])
def test_output_that_cannot_be_written_is_one_line(words: list[str]) -> None:
    with open("/dev/full", "wb") as full:
        status, complaints = ended(words, full.fileno())
    assert (status, complaints) == (2, "hgrpo: the output cannot be written: No space left on device\n")


def test_a_broken_pipe_of_something_else_is_not_taken_for_the_output(monkeypatch: pytest.MonkeyPatch) -> None:
    def overview() -> str:
        ours, theirs = socket.socketpair()
        theirs.close()
        with ours:
            ours.sendall(b"to a server that has gone")
        return ""

    monkeypatch.setattr(cli, "_overview", overview)
    with pytest.raises(BrokenPipeError):
        main(["--help"])


def test_the_version_is_that_of_the_installed_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"hgrpo {version('hgrpo-control')}\n"
