"""Drawing without a display, and video files.

MuJoCo selects its drawing backend (MUJOCO_GL) once, when it is imported. If a library is missing it raises, depending
on the library, an AttributeError of PyOpenGL, an ImportError or a FatalError. `require_gl` checks this before any work.
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
# per backend: groups of libraries, of which PyOpenGL needs one each, and the Debian package of the first
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
    """Message of a failed ffmpeg process."""


class MissingGraphicsError(HgrpoError):
    """No picture can be drawn; the message names the missing part and its installation."""


@functools.cache
def require_gl() -> None:
    """Check that MuJoCo can draw.

    The backend is MUJOCO_GL, or EGL if that is unset and there is no display. MUJOCO_GL is set only after its libraries
    are found, because without them `import mujoco` fails.

    Raises:
        MissingGraphicsError: MuJoCo cannot draw.
    """
    backend = _backend()
    _require_libraries(backend)
    if backend:
        os.environ["MUJOCO_GL"] = backend
    mujoco = _mujoco(backend)
    model = mujoco.MjModel.from_xml_string("<mujoco/>")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # GLFW warns about the display; the error below reports it
            mujoco.Renderer(model, 16, 16).close()
    except _graphics_errors(mujoco) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].split(". ")[0].rstrip(".")
        remedy = _REMEDY.get(backend, _OTHER_REMEDY)
        raise MissingGraphicsError(f"cannot draw with MUJOCO_GL={backend or 'glfw'}: {reason}; {remedy}") from error


def write_video(path: str | Path, frames: Iterable[np.ndarray], fps: float) -> None:
    """Write an mp4 file (H.264, yuv420p); it gets its name only when it is complete.

    Args:
        path: Name of the file, which ends in .mp4.
        frames: Frames (height, width, 3) uint8 with even height and width, at least one; they are read one at a time.
        fps: Frames per second [Hz], above 0.

    Raises:
        HgrpoError: An argument is not allowed.
        FileError: The file cannot be written.
    """
    target = Path(path)
    if target.suffix != ".mp4":
        raise HgrpoError(f"a video's name must end in .mp4; given {target.name!r}")
    if not (math.isfinite(fps) and fps > 0):
        raise HgrpoError(f"fps must be a positive number; given {fps}")
    if not target.parent.is_dir():
        raise FileError(f"folder {str(target.parent)!r} of the video does not exist; create it first")
    remaining = iter(frames)
    first = next(remaining, None)
    if first is None:
        raise HgrpoError(f"no frames to write to {target.name!r}; a video must have at least one")
    with replacing(target) as partial:
        try:
            _encode(partial, itertools.chain((first,), remaining), first.shape, fps)
        except _EncoderError as error:
            full = os.strerror(errno.ENOSPC)
            raise unwritable(target, OSError(errno.ENOSPC if full in str(error) else errno.EIO, str(error))) from error


def _encode(path: Path, frames: Iterable[np.ndarray], shape: tuple[int, ...], fps: float) -> None:
    """Send frames of one shape to an ffmpeg process that writes `path`."""
    if len(shape) != 3 or shape[2] != 3 or 0 in shape or shape[0] % 2 or shape[1] % 2:
        raise HgrpoError(f"frames must have shape (height, width, 3) with even height and width; given {shape}")
    rate = str(Fraction(fps).limit_denominator(100_000))
    raw = ("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{shape[1]}x{shape[0]}", "-r", rate, "-i", "-")
    h264 = ("-an", "-c:v", "libx264", "-crf", "20", "-pix_fmt", "yuv420p", "-movflags", "+faststart", "-f", "mp4")
    command = (_ffmpeg(), "-y", "-loglevel", "error", *raw, *h264, str(path))
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None  # because stdin=PIPE
        try:
            for i, frame in enumerate(frames):
                if frame.shape != shape or frame.dtype != np.uint8:
                    raise HgrpoError(
                        f"frame {i} must be uint8 {shape} like the first; given {frame.dtype} {frame.shape}"
                    )
                process.stdin.write(np.ascontiguousarray(frame).data)
        except BrokenPipeError:
            pass  # ffmpeg has failed; its message is read below
        except BaseException:
            process.kill()
            raise
        _, message = process.communicate()
    if process.returncode != 0:
        lines = message.decode(errors="replace").strip().splitlines() or ["no reason given"]
        raise _EncoderError(f"ffmpeg failed: {lines[-1]!r}")


def _ffmpeg() -> str:
    import imageio_ffmpeg  # type: ignore[import-untyped]

    return str(imageio_ffmpeg.get_ffmpeg_exe())


def _backend() -> str:
    """Drawing backend: MUJOCO_GL, else egl on Linux without a display, else "" for MuJoCo's default."""
    given = os.environ.get("MUJOCO_GL", "").lower().strip()
    if given in _OFF:
        raise MissingGraphicsError(f"MUJOCO_GL={given} turns drawing off; unset it, or {_OTHER_REMEDY}")
    if given not in _DEFAULT and given not in _BACKENDS:
        raise MissingGraphicsError(f"unknown drawing backend MUJOCO_GL={given!r}; {nearest(given, _BACKENDS)}")
    has_display = bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    if given in _DEFAULT:
        return "egl" if sys.platform == "linux" and not has_display and not given else ""
    if given in ("glfw", "glx") and sys.platform == "linux" and not has_display:
        raise MissingGraphicsError(f"MUJOCO_GL={given} needs a display and there is none; {_OTHER_REMEDY}")
    return given


def _require_libraries(backend: str) -> None:
    """Raise MissingGraphicsError if a Python package or a system library of a backend is missing."""
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
                f"drawing with MUJOCO_GL={backend} needs lib{libraries[0]} (package {package}), which is missing; "
                f"{_REMEDY[backend]}"
            )


def _loads(library: str) -> bool:
    """Whether a shared library exists under one of the file names that PyOpenGL tries."""
    for ending in ("", *(f".{version}" for version in range(10))):
        try:
            ctypes.CDLL(f"lib{library}.so{ending}", ctypes.RTLD_GLOBAL)
        except OSError:
            continue
        return True
    return False


def _mujoco(backend: str) -> ModuleType:
    """Import MuJoCo with a drawing backend, even if it was imported with another one before."""
    mujoco = importlib.import_module("mujoco")
    contexts = importlib.import_module(mujoco.Renderer.__module__).gl_context
    loaded = getattr(getattr(contexts, "GLContext", None), "__module__", "")
    if backend in _HEADLESS and loaded != f"mujoco.{backend}":
        importlib.reload(contexts)
    return mujoco


def _graphics_errors(mujoco: ModuleType) -> tuple[type[Exception], ...]:
    """Exceptions that a renderer raises without graphics: those of MuJoCo, its backends and PyOpenGL."""
    errors = (ImportError, AttributeError, RuntimeError, ValueError, ctypes.ArgumentError, mujoco.FatalError)
    if importlib.util.find_spec("OpenGL") is None:
        return errors
    from OpenGL.error import Error

    return (*errors, Error)
