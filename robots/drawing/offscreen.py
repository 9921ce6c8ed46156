"""Drawing without a display, and video files: what every picture of a simulator needs.

MuJoCo decides once, when it is imported, how it draws (MUJOCO_GL), and what it raises where a library is missing
depends on which one: an AttributeError out of PyOpenGL, an ImportError, a FatalError. `require_gl` settles that before
any work is done.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import importlib
import importlib.util
import itertools
import math
import os
import subprocess
import sys
import warnings
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from types import ModuleType

import numpy as np

from hgrpo_errors import HgrpoError, nearest
from hgrpo_files import FileError, replacing, unwritable

_OFF = ("disable", "disabled", "off", "false", "0")
_DEFAULT = ("", "enable", "enabled", "on", "true", "1")
_BACKENDS = ("egl", "osmesa", "glfw", "glx", "cgl", "wgl")
_HEADLESS = ("egl", "osmesa")
# per backend: libraries that PyOpenGL loads (any one of each group will do) and the Debian package of the first
_LIBRARIES = {
    "egl": ((("EGL",), "libegl1"), (("OpenGL", "GL", "GLESv2", "GLESv1_CM"), "libopengl0")),
    "osmesa": ((("OSMesa",), "libosmesa6"),),
}
_REMEDY = {
    "egl": "for software rendering apt-get install libegl1 libegl-mesa0 libgl1-mesa-dri libopengl0 (Debian, Ubuntu), "
    "or set MUJOCO_GL=osmesa (needs libosmesa6)",
    "osmesa": "apt-get install libosmesa6 (Debian, Ubuntu), "
    "or set MUJOCO_GL=egl (needs libegl1, libgl1-mesa-dri and libopengl0)",
}
_OTHER_REMEDY = "set MUJOCO_GL=egl or MUJOCO_GL=osmesa to draw without a display"


class _EncoderError(Exception):
    """Raised for what ffmpeg says where it gives up."""


class MissingGraphicsError(HgrpoError):
    """Raised where no picture can be drawn; one line that says what is missing and how to get it."""


@functools.cache
def require_gl() -> None:
    """Make sure that MuJoCo can draw with backend MUJOCO_GL, or with EGL if that is unset and there is no display.

    Raises MissingGraphicsError where it cannot. MUJOCO_GL is set only once its libraries are found, because without
    them `import mujoco` fails altogether.
    """
    backend = _backend()
    _require_libraries(backend)
    if backend:
        os.environ["MUJOCO_GL"] = backend
    mujoco = _mujoco(backend)
    model = mujoco.MjModel.from_xml_string("<mujoco/>")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # GLFW warns about the display; the error below says so in one line
            mujoco.Renderer(model, 16, 16).close()
    except _graphics_errors(mujoco) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].split(". ")[0].rstrip(".")
        remedy = _REMEDY.get(backend, _OTHER_REMEDY)
        raise MissingGraphicsError(f"cannot draw with MUJOCO_GL={backend or 'glfw'}: {reason}; {remedy}") from error


def write_video(path: str | Path, frames: Iterable[np.ndarray], fps: float) -> None:
    """Write frames (height, width, 3) uint8 of even height and width into an mp4 file (H.264, yuv420p).

    `fps` is frames per second. Frames are taken one at a time, and the file appears under its name only once it is
    complete. Raises ValueError for no frame, for one of another shape or type, for an fps that is not positive and for
    a name without .mp4; FileError where the file cannot be written.
    """
    target = Path(path)
    if target.suffix != ".mp4":
        raise HgrpoError(f"a video's name ends in .mp4, {target.name!r} does not")
    if not (math.isfinite(fps) and fps > 0):
        raise HgrpoError(f"fps is {fps}; a positive number is needed")
    if not target.parent.is_dir():
        raise FileError(f"folder {str(target.parent)!r} of the video does not exist; make it first")
    remaining = iter(frames)
    first = next(remaining, None)
    if first is None:
        raise HgrpoError(f"no frames to write to {target.name!r}; a video needs at least one")
    with replacing(target) as partial:
        try:
            _encode(partial, itertools.chain((first,), remaining), first.shape, fps)
        except _EncoderError as error:
            full = os.strerror(errno.ENOSPC)
            raise unwritable(target, OSError(errno.ENOSPC if full in str(error) else errno.EIO, str(error))) from error


def _encode(path: Path, frames: Iterable[np.ndarray], shape: tuple[int, ...], fps: float) -> None:
    """Feed frames of one shape to an ffmpeg process that writes `path`."""
    if len(shape) != 3 or shape[2] != 3 or 0 in shape or shape[0] % 2 or shape[1] % 2:
        raise HgrpoError(f"frames have shape {shape}; (height, width, 3) with even height and width is needed")
    rate = str(Fraction(fps).limit_denominator(100_000))
    raw = ("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{shape[1]}x{shape[0]}", "-r", rate, "-i", "-")
    h264 = ("-an", "-c:v", "libx264", "-crf", "20", "-pix_fmt", "yuv420p", "-movflags", "+faststart", "-f", "mp4")
    command = (_ffmpeg(), "-y", "-loglevel", "error", *raw, *h264, str(path))
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None  # a pipe was asked for
        try:
            for i, frame in enumerate(frames):
                if frame.shape != shape or frame.dtype != np.uint8:
                    raise HgrpoError(
                        f"frame {i} is {frame.dtype} {frame.shape}; uint8 {shape} like the first is needed"
                    )
                process.stdin.write(np.ascontiguousarray(frame).data)
        except BrokenPipeError:
            pass  # ffmpeg gave up; it says why below
        except BaseException:
            process.kill()
            raise
        _, message = process.communicate()
    if process.returncode != 0:
        lines = message.decode(errors="replace").strip().splitlines() or ["no reason given"]
        raise _EncoderError(f"ffmpeg says {lines[-1]!r}")


def _ffmpeg() -> str:
    import imageio_ffmpeg  # type: ignore[import-untyped]

    return str(imageio_ffmpeg.get_ffmpeg_exe())


def _backend() -> str:
    """MuJoCo's drawing backend: MUJOCO_GL, else egl on Linux without a display, else "" for its own choice."""
    given = os.environ.get("MUJOCO_GL", "").lower().strip()
    if given in _OFF:
        raise MissingGraphicsError(f"MUJOCO_GL={given} switches drawing off; unset it, or {_OTHER_REMEDY}")
    if given not in _DEFAULT and given not in _BACKENDS:
        raise MissingGraphicsError(f"unknown drawing backend MUJOCO_GL={given!r}; {nearest(given, _BACKENDS)}")
    has_display = bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    if given in _DEFAULT:
        return "egl" if sys.platform == "linux" and not has_display and not given else ""
    if given in ("glfw", "glx") and sys.platform == "linux" and not has_display:
        raise MissingGraphicsError(f"MUJOCO_GL={given} needs a display and there is none; {_OTHER_REMEDY}")
    return given


def _require_libraries(backend: str) -> None:
    """Raise MissingGraphicsError where a Python package or a system library of a backend is missing."""
    packages = {"mujoco": "mujoco"} | ({"OpenGL": "PyOpenGL"} if backend in _HEADLESS else {})
    for module, package in packages.items():
        if importlib.util.find_spec(module) is None:
            raise MissingGraphicsError(f"drawing needs the Python package {package}; pip install {package}")
    platform = os.environ.get("PYOPENGL_PLATFORM", "").lower()
    if backend in _HEADLESS and platform not in ("", backend):
        raise MissingGraphicsError(f"PYOPENGL_PLATFORM={platform} contradicts MUJOCO_GL={backend}; unset one of them")
    for libraries, package in _LIBRARIES.get(backend, ()):
        if not any(_loads(name) for name in libraries):
            raise MissingGraphicsError(
                f"drawing with MUJOCO_GL={backend} needs lib{libraries[0]} (package {package}), which is not there; "
                f"{_REMEDY[backend]}"
            )


def _loads(library: str) -> bool:
    """Whether a shared library is found under one of the file names that PyOpenGL tries."""
    for ending in ("", *(f".{version}" for version in range(10))):
        try:
            ctypes.CDLL(f"lib{library}.so{ending}", ctypes.RTLD_GLOBAL)
        except OSError:
            continue
        return True
    return False


def _mujoco(backend: str) -> ModuleType:
    """MuJoCo, set to draw with a backend even if it was imported before the backend was chosen."""
    mujoco = importlib.import_module("mujoco")
    contexts = importlib.import_module(mujoco.Renderer.__module__).gl_context
    loaded = getattr(getattr(contexts, "GLContext", None), "__module__", "")
    if backend in _HEADLESS and loaded != f"mujoco.{backend}":
        importlib.reload(contexts)
    return mujoco


def _graphics_errors(mujoco: ModuleType) -> tuple[type[Exception], ...]:
    """What creating a renderer raises where graphics do not work, as MuJoCo, its backends and PyOpenGL have it."""
    errors = (ImportError, AttributeError, RuntimeError, ValueError, ctypes.ArgumentError, mujoco.FatalError)
    if importlib.util.find_spec("OpenGL") is None:
        return errors
    from OpenGL.error import Error

    return (*errors, Error)
