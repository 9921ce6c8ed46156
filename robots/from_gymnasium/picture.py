"""Pictures of saved states by an environment's own rgb_array mode."""

from __future__ import annotations

import numpy as np
from gymnasium.envs.mujoco import MujocoEnv

from robots.drawing.offscreen import require_gl
from robots.from_gymnasium.instance import Instance, close_environment
from robots.from_gymnasium.options import AdapterOptions, EnvironmentRefusedError
from robots.from_gymnasium.source import Source, one_line


class Painter:
    """Draws with a separate instance, made for the first picture.

    Where there cannot be a second instance, `only` draws.
    """

    def __init__(self, source: Source, options: AdapterOptions, only: Instance) -> None:
        self._source, self._options, self._only = source, options, only
        self._instances: dict[tuple[int, int], Instance] = {}

    def paint(self, snapshot: np.ndarray, width: int, height: int) -> np.ndarray:
        """Picture of a snapshot.

        Args:
            snapshot: (K,) uint8.
            width: Width of the picture in pixels.
            height: Height of the picture in pixels.

        Returns:
            Picture (height, width, 3) uint8, scaled to fit, with black bars if the aspect ratio differs.

        Raises:
            EnvironmentRefusedError: The environment cannot draw.
            MissingGraphicsError: MuJoCo cannot draw on this machine.
        """
        if (width, height) not in self._instances:
            self.close()
            self._instances = {(width, height): self._instance(width, height)}
        instance = self._instances[width, height]
        instance.restore(snapshot)
        picture = instance.env.render()
        if not isinstance(picture, np.ndarray) or picture.ndim != 3 or picture.shape[2] != 3:
            raise EnvironmentRefusedError(f"{instance.name} draws no picture (h, w, 3) in render mode rgb_array")
        return fitted(picture, width, height)

    def close(self) -> None:
        """Close the instances that were made for drawing."""
        if self._source.only is None:
            for instance in self._instances.values():
                instance.close()
        self._instances = {}

    def _instance(self, width: int, height: int) -> Instance:
        source = self._source
        if source.only is not None:
            if source.only.render_mode != "rgb_array":
                raise EnvironmentRefusedError(
                    f"{source.name} cannot be drawn: it was given as an environment object that was not made with "
                    "render_mode='rgb_array'"
                )
            instance = self._only
        else:
            env = source.make()
            is_mujoco = isinstance(env.unwrapped, MujocoEnv)
            close_environment(env, source.name)
            if is_mujoco:
                require_gl()
            size = {"width": width, "height": height} if is_mujoco else {}
            try:
                instance = Instance.open(source, self._options, render_mode="rgb_array", **size)
            except EnvironmentRefusedError:
                if not size:
                    raise
                # a constructor may have no parameters for the size
                instance = Instance.open(source, self._options, render_mode="rgb_array")
        try:
            instance.reset(0)
            instance.env.render()
        except Exception as error:
            if source.only is None:
                instance.close()
            raise EnvironmentRefusedError(f"{source.name} cannot be drawn: {one_line(error)}") from error
        return instance


def fitted(picture: np.ndarray, width: int, height: int) -> np.ndarray:
    """Scale a picture by the nearest pixel and centre it on black.

    Args:
        picture: (h, w, 3) uint8.
        width: New width in pixels.
        height: New height in pixels.

    Returns:
        (height, width, 3) uint8.
    """
    h, w = picture.shape[:2]
    scale = min(width / w, height / h)
    new_w, new_h = max(1, round(w * scale)), max(1, round(h * scale))
    rows = np.minimum(((np.arange(new_h) + 0.5) * h / new_h).astype(int), h - 1)
    columns = np.minimum(((np.arange(new_w) + 0.5) * w / new_w).astype(int), w - 1)
    out = np.zeros((height, width, 3), dtype=np.uint8)
    top, left = (height - new_h) // 2, (width - new_w) // 2
    out[top : top + new_h, left : left + new_w] = picture[rows][:, columns]
    return out
