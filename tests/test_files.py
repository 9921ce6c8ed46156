"""Files are whole or as they were, and one line says why; on a disk that is full in truth, too."""

from __future__ import annotations

import errno
import os
import resource
import shlex
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hgrpo_files import FileError, append_text, make_folder, replacing, write_bytes, write_new, write_text, writing

FULL = "No space left on device; free some, or write elsewhere"
LIMIT = 1000


@contextmanager
def file_size_limit() -> Iterator[None]:
    """Writing on fails within, as it does on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


WRITERS: dict[str, Callable[[Path, str], None]] = {
    "bytes": lambda path, text: write_bytes(path, text.encode()),
    "text": write_text,
    "append": append_text,
    "new": lambda path, text: write_new(path, text.encode()),
}


@pytest.mark.parametrize("name", WRITERS)
def test_what_cannot_be_written_whole_is_not_there(name: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    with file_size_limit(), pytest.raises(FileError) as caught:
        WRITERS[name](path, "x" * 2 * LIMIT)
    to_do = "raise the limit (ulimit -f), or write elsewhere"
    assert str(caught.value) == f"cannot write {path}: {os.strerror(errno.EFBIG)}; {to_do}"
    assert contents(tmp_path) == {}


@pytest.mark.parametrize("name", ["bytes", "text", "append"])
def test_what_was_there_stays(name: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("before")
    with file_size_limit(), pytest.raises(FileError):
        WRITERS[name](path, "x" * 2 * LIMIT)
    assert contents(tmp_path) == {"file": b"before"}


def test_texts_are_put_added_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "file"
    append_text(path, "ä\r\n")
    append_text(path, "b\r\n")
    assert contents(tmp_path) == {"file": "ä\r\nb\r\n".encode()}
    write_text(path, "new")
    assert contents(tmp_path) == {"file": b"new"}


def test_a_link_is_followed_and_stays(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("file")
    write_text(tmp_path / "link", "text")
    assert (tmp_path / "link").is_symlink()
    assert contents(tmp_path) == {"file": b"text", "link": b"text"}


@pytest.mark.parametrize("write", [write_text, append_text])
def test_a_device_is_written_to_and_stays(write: Callable[[Path, str], None], tmp_path: Path) -> None:
    link = tmp_path / "full"
    link.symlink_to("/dev/full")
    with pytest.raises(FileError, match=f"^cannot write {link}: {FULL}$"):
        write(link, "text")
    assert stat.S_ISCHR(link.stat().st_mode)
    assert list(tmp_path.iterdir()) == [link]
    write(Path("/dev/null"), "text")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_what_is_in_the_way_is_told(tmp_path: Path) -> None:
    file, absent = tmp_path / "file", tmp_path / "absent" / "file"
    write_new(file, b"first")
    with pytest.raises(FileError, match=f"^cannot write {file}: File exists; name another$"):
        write_new(file, b"second")
    with pytest.raises(FileError, match=f"^cannot write {absent}: No such file or directory; make its folder first$"):
        write_text(absent, "")
    with pytest.raises(FileError, match=f"^cannot write {tmp_path}: Is a directory; name a file in it$"):
        write_text(tmp_path, "")
    with pytest.raises(FileError, match=f"^cannot write {file}/in: Not a directory; a folder in its path is a"):
        make_folder(file / "in")
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    assert file.read_bytes() == b"first"


def test_an_error_while_a_file_is_made_leaves_the_former_one(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("before")

    def interrupted() -> None:
        with replacing(path) as partial:
            partial.write_text("half")
            assert path.read_text() == "before"
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert contents(tmp_path) == {"file": b"before"}


def test_a_file_on_the_way_is_told_by_the_name_of_the_whole() -> None:
    with pytest.raises(FileError, match=f"^cannot write app: {FULL}$"), writing("app"), writing("on/the/way.c"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


# On a disk of the size given, filled while a run trains on it.

ON_A_SMALL_DISK = """
import os, sys
from pathlib import Path

from hgrpo_control.cli import main
from hgrpo_control.config.algorithms import PPO
from hgrpo_control.config.learning import Learning, Network
from hgrpo_control.config.run import Config
from hgrpo_control.api.run import train
from hgrpo_files import FileError

PLAIN = Config(
    "quadrotor-hover", PPO(), 0, 10**9, 16, 8, Network((8,)), Learning(update_epochs=1, num_minibatches=2),
    checkpoint_every=10**9,
)


class Fill:
    def report(self, metrics):
        free = os.statvfs(".").f_bavail * os.statvfs(".").f_frsize
        with Path("filling").open("ab") as file:
            file.write(bytes(free))


def files():
    return {str(path): path.read_bytes() for path in Path().rglob("*") if path.is_file()}


try:
    train(PLAIN, "run", (Fill(),))
except FileError as error:
    print(error)
assert Path("run/metrics.csv").read_text().endswith("\\n")
for words in sys.argv[1:]:
    Fill().report(None)
    before = files()
    print(words, main(words.split()), files() == before)
"""
ON_A_FULL_DISK = {
    "resume run": "run/run.lock",
    "train ppo quadrotor-hover --out new": "new/run.lock",
    "evaluate run --episodes 1": "run/evaluation.json",
    "export run": "run/policy.onnx",
    "export run --c policy": "policy.h",
    "export run --crazyflie app": "app",
    "compare run --out curves": "curves/learning_curves.png",
}


@pytest.fixture(scope="module")
def small_disk(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """What the commands said on a disk of 400 kB; skips where none can be mounted."""
    folder = tmp_path_factory.mktemp("disk")
    script = folder.with_suffix(".py")
    script.write_text(ON_A_SMALL_DISK)
    mount = f"mount -t tmpfs -o size=400k none {folder}"
    alone = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c")
    if shutil.which("unshare") is None or subprocess.run((*alone, mount), capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    commands = (sys.executable, str(script), *ON_A_FULL_DISK)
    return subprocess.run(
        (*alone, f"{mount} && cd {folder} && exec {shlex.join(commands)}"),
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_a_full_disk_is_one_line_that_names_the_file_and_the_former_one_stays(
    small_disk: subprocess.CompletedProcess[str],
) -> None:
    commands = [f"{words} 2 True" for words in ON_A_FULL_DISK]
    told = f"cannot write run/metrics.csv: {FULL}; then go on with: hgrpo resume run"
    assert small_disk.stdout.splitlines() == [told, *commands]
    assert small_disk.stderr.splitlines() == [f"hgrpo: cannot write {path}: {FULL}" for path in ON_A_FULL_DISK.values()]
