"""A worker process:

    python start_worker.py aviary NAME ACTION DRONES
    python start_worker.py vehicle CONTROL_HZ PHYSICS_HZ

It leaves torch out, which no worker needs. `import robots` would bring it along, and with it three times the time to
start and the memory; so the packages above the worker's own modules are put up empty here, and only what the worker
itself imports is loaded.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType


def put_up(package: str, folder: Path) -> None:
    """Make the submodules of a package in `folder` importable without running its __init__.py."""
    module = ModuleType(package)
    module.__path__ = [str(folder)]
    sys.modules[package] = module


if __name__ == "__main__":
    here = Path(__file__).resolve().parent
    sys.path.remove(str(here))  # else `import options` and the like would find this folder's modules
    for name, place in (
        ("robots", here.parent),
        ("robots.pybullet_drones", here),
    ):
        put_up(name, place)
    from robots.pybullet_drones.worker import main

    main()
