"""Drawing without a display fails in one clear line where it cannot work; videos can be read back."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path

import imageio.v2 as imageio
import numpy as np
import pytest
from imageio.v3 import immeta

from hgrpo_files import FileError
from robots.drawing import offscreen
from robots.drawing.offscreen import MissingGraphicsError, require_gl, write_video

HEIGHT, WIDTH = 48, 64
# what a machine without a library looks like to everything that loads one through ctypes, PyOpenGL included
HIDE = """
import ctypes, sys
load = ctypes.CDLL.__init__
def hide(self, name, *args, **options):
    if name and str(name).startswith({hidden!r}):
        raise OSError(f"{{name}}: cannot open shared object file: No such file or directory")
    load(self, name, *args, **options)
ctypes.CDLL.__init__ = hide
"""
REQUIRE = """
from robots.drawing.offscreen import MissingGraphicsError, require_gl
try:
    require_gl()
except MissingGraphicsError as error:
    print(error)
else:
    print("draws")
"""


def python(program: str, **environment: str) -> list[str]:
    """Lines that a program prints in a fresh interpreter without a display."""
    inherited = {k: v for k, v in os.environ.items() if k not in ("MUJOCO_GL", "PYOPENGL_PLATFORM", "DISPLAY")}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=inherited | environment,
        cwd=Path(offscreen.__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.fixture
def headless(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A Linux machine without display on which nothing about drawing is set."""
    for name in ("MUJOCO_GL", "PYOPENGL_PLATFORM", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    return monkeypatch


def without(libraries: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Every library is found, except those whose file names begin like this."""

    def load(name: str, *_: object) -> None:
        if name.startswith(libraries):
            raise OSError(f"{name}: cannot open shared object file: No such file or directory")

    monkeypatch.setattr(ctypes, "CDLL", load)


@pytest.mark.parametrize(
    ("backend", "hidden", "library", "package"),
    [
        ("", ("libEGL.so",), "libEGL", "libegl1"),
        ("egl", ("libEGL.so",), "libEGL", "libegl1"),
        ("EGL ", ("libOpenGL.so", "libGL.so", "libGLES"), "libOpenGL", "libopengl0"),
        ("osmesa", ("libOSMesa.so",), "libOSMesa", "libosmesa6"),
    ],
)
def test_names_the_missing_library_and_its_package(
    backend: str, hidden: tuple[str, ...], library: str, package: str, headless: pytest.MonkeyPatch
) -> None:
    without(hidden, headless)
    if backend:
        headless.setenv("MUJOCO_GL", backend)
    with pytest.raises(MissingGraphicsError) as failure:
        require_gl.__wrapped__()
    line = str(failure.value)
    assert "\n" not in line
    assert f"needs {library} (package {package})" in line
    assert f"apt-get install {package}" in line or f" {package} (Debian" in line
    assert f"set MUJOCO_GL={'egl' if backend == 'osmesa' else 'osmesa'}" in line


def test_any_library_that_brings_gl_will_do(headless: pytest.MonkeyPatch) -> None:
    without(("libOpenGL.so", "libGL.so", "libGLESv1_CM.so"), headless)
    offscreen._require_libraries("egl")


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"MUJOCO_GL": "off"}, "MUJOCO_GL=off turns drawing off"),
        ({"MUJOCO_GL": "eegl"}, "unknown drawing backend MUJOCO_GL='eegl'; did you mean 'egl'?"),
        ({"MUJOCO_GL": "glfw"}, "MUJOCO_GL=glfw needs a display and there is none; set MUJOCO_GL=egl"),
        ({"PYOPENGL_PLATFORM": "glx"}, "PYOPENGL_PLATFORM=glx contradicts MUJOCO_GL=egl"),
    ],
)
def test_says_which_setting_is_in_the_way(
    environment: dict[str, str], expected: str, headless: pytest.MonkeyPatch
) -> None:
    without((), headless)
    for name, value in environment.items():
        headless.setenv(name, value)
    with pytest.raises(MissingGraphicsError) as failure:
        require_gl.__wrapped__()
    assert str(failure.value).startswith(expected)
    assert "\n" not in str(failure.value)


def test_takes_egl_only_where_there_is_no_display(headless: pytest.MonkeyPatch) -> None:
    assert offscreen._backend() == "egl"
    headless.setenv("MUJOCO_GL", "osmesa")
    assert offscreen._backend() == "osmesa"
    headless.setenv("MUJOCO_GL", "")
    headless.setenv("WAYLAND_DISPLAY", "wayland-0")
    assert offscreen._backend() == ""


@pytest.mark.slow
def test_a_machine_without_egl_reads_one_line_and_can_still_simulate() -> None:
    before = "import robots; print(sorted({'mujoco', 'OpenGL', 'glfw'} & set(sys.modules)))"
    afterwards = "import os, mujoco; print(os.environ.get('MUJOCO_GL'), mujoco.MjModel.from_xml_string('<mujoco/>').nq)"
    loaded, line, physics = python(HIDE.format(hidden=("libEGL.so",)) + before + REQUIRE + afterwards)
    assert loaded == "[]"  # importing the package loads no graphics
    assert line.startswith("drawing with MUJOCO_GL=egl needs libEGL (package libegl1)")
    assert physics == "None 0"


@pytest.mark.slow
def test_a_machine_without_a_driver_reads_one_line() -> None:
    skip_without_gl()
    (line,) = python(REQUIRE, __EGL_VENDOR_LIBRARY_DIRS="/nonexistent")
    assert line.startswith("cannot draw with MUJOCO_GL=egl: ")
    assert "libgl1-mesa-dri" in line


@pytest.mark.slow
def test_draws_even_where_mujoco_was_imported_first() -> None:
    skip_without_gl()
    model = "model = mujoco.MjModel.from_xml_string('<mujoco/>')\n"
    drawn = "print(mujoco.Renderer(model, 16, 16).render().shape)"
    assert python("import mujoco\n" + REQUIRE + model + drawn) == ["draws", "(16, 16, 3)"]


def skip_without_gl() -> None:
    """Skip the test that calls this where no picture can be drawn."""
    try:
        require_gl()
    except MissingGraphicsError as error:
        pytest.skip(str(error))


# imageio leaves the pipes of its reader to the garbage collector
reads_video = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def greys(levels: list[int]) -> Iterator[np.ndarray]:
    for level in levels:
        yield np.full((HEIGHT, WIDTH, 3), level, dtype=np.uint8)


@reads_video
def test_a_video_reads_back_as_written(tmp_path: Path) -> None:
    levels = [int(level) for level in np.random.default_rng(0).permutation(np.arange(20, 240, 20))]
    write_video(tmp_path / "film.mp4", greys(levels), 25)
    film = imageio.mimread(tmp_path / "film.mp4", format="FFMPEG")
    facts = immeta(tmp_path / "film.mp4", plugin="FFMPEG")
    means = [float(frame.mean()) for frame in film]
    shapes = {frame.shape for frame in film}
    assert (facts["codec"], facts["fps"], facts["size"]) == ("h264", 25.0, (WIDTH, HEIGHT))
    assert facts["pix_fmt"].startswith("yuv420p")
    assert shapes == {(HEIGHT, WIDTH, 3)}
    # eleven greys 20 apart: a frame lost, doubled or out of order is off by 20, coding by less than 3
    assert means == pytest.approx(levels, abs=3.0)
    assert [file.name for file in tmp_path.iterdir()] == ["film.mp4"]


@reads_video
def test_rows_columns_and_colours_keep_their_place(tmp_path: Path) -> None:
    picture = np.zeros((HEIGHT, WIDTH, 3), dtype=np.uint8)
    picture[: HEIGHT // 2, :, 0] = 255
    picture[:, : WIDTH // 4, 2] = 255
    write_video(tmp_path / "film.mp4", [np.asfortranarray(picture)] * 3, 10.0)
    read = np.asarray(imageio.mimread(tmp_path / "film.mp4", format="FFMPEG")[1], dtype=float)
    inside = np.s_[8:16, 4:12], np.s_[8:16, 32:56], np.s_[32:40, 4:12], np.s_[32:40, 32:56]
    for area, colour in zip(inside, ((255, 0, 255), (255, 0, 0), (0, 0, 255), (0, 0, 0)), strict=True):
        assert read[area].mean(axis=(0, 1)) == pytest.approx(colour, abs=12)


def test_frames_are_let_go_as_they_are_written(tmp_path: Path) -> None:
    alive: list[weakref.ref[np.ndarray]] = []
    most = 0

    def stream() -> Iterator[np.ndarray]:
        nonlocal most
        for frame in greys([100] * 40):
            alive.append(weakref.ref(frame))
            most = max(most, sum(reference() is not None for reference in alive))
            yield frame

    write_video(tmp_path / "film.mp4", stream(), 50)
    assert most <= 3


def broken(kind: str) -> Iterator[np.ndarray]:
    yield from greys([10] * 5)
    if kind == "shape":
        yield np.zeros((HEIGHT, WIDTH + 2, 3), dtype=np.uint8)
    elif kind == "dtype":
        yield np.zeros((HEIGHT, WIDTH, 3))
    else:
        raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("kind", "error", "message"),
    [
        ("shape", ValueError, r"frame 5 .*uint8 \(48, 64, 3\) .*given uint8 \(48, 66, 3\)"),
        ("dtype", ValueError, r"frame 5 .*given float64 \(48, 64, 3\)"),
        ("interrupt", KeyboardInterrupt, "^$"),
    ],
)
def test_a_video_that_fails_leaves_the_old_one_and_nothing_else(
    kind: str, error: type[BaseException], message: str, tmp_path: Path
) -> None:
    film = tmp_path / "film.mp4"
    film.write_bytes(b"an earlier film")
    with pytest.raises(error, match=message):
        write_video(film, broken(kind), 25)
    assert film.read_bytes() == b"an earlier film"
    assert list(tmp_path.iterdir()) == [film]


@pytest.mark.parametrize(
    ("name", "shape", "fps", "message"),
    [
        ("film.mp4", None, 25, "no frames to write to 'film.mp4'"),
        ("film.mp4", (47, 64, 3), 25, r"even height and width; given \(47, 64, 3\)"),
        ("film.mp4", (48, 64, 4), 25, r"given \(48, 64, 4\)"),
        ("film.mp4", (48, 64), 25, r"given \(48, 64\)"),
        ("film.mp4", (48, 64, 3), 0, "fps .*positive number; given 0"),
        ("film.mp4", (48, 64, 3), float("nan"), "fps .*given nan"),
        ("film.avi", (48, 64, 3), 25, ".mp4; given 'film.avi'"),
    ],
)
def test_what_cannot_be_a_video_is_refused(
    name: str, shape: tuple[int, ...] | None, fps: float, message: str, tmp_path: Path
) -> None:
    frames = [] if shape is None else [np.zeros(shape, dtype=np.uint8)]
    with pytest.raises(ValueError, match=message):
        write_video(tmp_path / name, frames, fps)
    assert list(tmp_path.iterdir()) == []


def test_an_encoder_that_gives_up_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = tmp_path / "encoder"
    encoder.write_text("#!/bin/sh\necho 'No space left on device' >&2\nexit 1\n")
    encoder.chmod(0o755)
    monkeypatch.setattr(offscreen, "_ffmpeg", lambda: str(encoder))
    # 40 frames are 369 kB, more than a pipe holds, so that writing meets the closed end
    with pytest.raises(
        FileError, match=r"^cannot write .*/film.mp4: ffmpeg failed: 'No space left on device'; free some"
    ):
        write_video(tmp_path / "film.mp4", greys([0] * 40), 25)
    assert list(tmp_path.iterdir()) == [encoder]


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"folder '.*absent' of the video does not exist"):
        write_video(tmp_path / "absent" / "film.mp4", greys([0]), 25)
