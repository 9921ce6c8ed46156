"""The folder of compiled kernels, and the message while one is compiled."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

MESSAGE = "compiling the simulator's kernels"
# two compilations, without and with a kernel; the message comes at once
SCRIPT = """
import time
from robots.kernels import start

start._PATIENCE = 0.0
start.start()
for _ in range(2):
    with start.announced():
        time.sleep(0.2)
if {compile}:
    import torch
    from support.tiny_kernels import square_kernel
    x = torch.tensor([[1.0, 2.0]])
    assert square_kernel(torch.float32)(x, x, shared=(x[0],))[0].tolist() == [[4.0, 26.0]]
print(start.wp.config.kernel_cache_dir)
"""


def run(home: Path | str, temporary: Path, compile_one: bool = False) -> tuple[Path, str]:
    """Folder of compiled kernels and standard error of a process with this home folder."""
    own = ("HOME", "XDG_CACHE_HOME", "WARP_CACHE_PATH", "PYTHONPATH")
    environment = {k: v for k, v in os.environ.items() if k not in own}
    environment |= {"HOME": str(home), "TMPDIR": str(temporary), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", SCRIPT.format(compile=compile_one)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=True)
    return Path(done.stdout.strip()), done.stderr


def assert_lasts_for_the_process(folder: Path, error: str, temporary: Path) -> None:
    """One line, and a temporary folder that is gone."""
    assert [MESSAGE in line and "in every process" in line for line in error.splitlines()] == [True]
    assert folder.relative_to(temporary).parts[0].startswith("hgrpo-kernels-")
    assert not list(temporary.glob("hgrpo-kernels-*"))


def test_kernels_are_kept_in_the_cache_folder_of_the_user(tmp_path: Path) -> None:
    folder, error = run(tmp_path / "home", tmp_path)
    assert [MESSAGE in line and "once" in line for line in error.splitlines()] == [True]
    assert folder.is_dir()
    assert folder.is_relative_to(tmp_path / "home")


def test_kernels_last_for_the_process_without_a_home_folder(tmp_path: Path) -> None:
    folder, error = run("/proc/nonexistent", tmp_path, compile_one=True)
    assert_lasts_for_the_process(folder, error, tmp_path)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="permissions do not hold back root")
@pytest.mark.parametrize("used", [False, True], ids=["never used", "used before"])
def test_kernels_last_for_the_process_in_a_read_only_home_folder(tmp_path: Path, used: bool) -> None:
    home = tmp_path / "home"
    home.mkdir()
    if used:
        run(home, tmp_path)
    folders = [home, *(path for path in home.rglob("*") if path.is_dir())]
    for each in folders:
        each.chmod(0o555)
    folder, error = run(home, tmp_path)
    for each in folders:
        each.chmod(0o755)
    assert_lasts_for_the_process(folder, error, tmp_path)
