"""What the packages load when they are imported, and when Gymnasium has their tasks."""

from __future__ import annotations

import subprocess
import sys

import pytest

import robots
from robots import catalogue
from robots.gymnasium_ids import environment_id
from robots.mujoco.tasks.catalogue import ROBOTS
from robots.quadrotor.tasks.catalogue import TASKS


def run(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("package", ["robots", "robots.mujoco", "robots.quadrotor", "hgrpo_control"])
def test_packages_load_nothing_heavy_and_every_public_name_can_be_read(package: str) -> None:
    program = f"""
import sys
import {package} as package
heavy = [name for name in ("torch", "gymnasium", "mujoco", "pybullet") if name in sys.modules]
assert not heavy, heavy
assert set(package.__all__) <= set(dir(package))
for name in package.__all__:
    getattr(package, name)
try:
    package.no_such_name
except AttributeError as error:
    print(error)
"""
    assert run(program) == f"module '{package}' has no attribute 'no_such_name'\n"


@pytest.mark.parametrize("first", ["robots", "gymnasium"])
def test_gymnasium_has_every_task_whatever_is_imported_first(first: str) -> None:
    second = {"robots": "gymnasium", "gymnasium": "robots"}[first]
    program = f"""
import importlib.util, sys
import {first}
importlib.util.find_spec("gymnasium")  # to look for it is not to import it
import {second}
print(*sorted(name for name in gymnasium.registry if name.startswith("hgrpo/")))
assert "mujoco" not in sys.modules and "robots.quadrotor.tasks.catalogue" not in sys.modules
gymnasium.make("hgrpo/quadrotor-hover-v0").close()
"""
    assert run(program).split() == sorted(map(environment_id, robots.names()))


def test_an_id_with_its_module_needs_no_import_of_the_package() -> None:
    run("import gymnasium; gymnasium.make('robots:hgrpo/quadrotor-hover-v0').close()")


def test_tasks_registered_before_gymnasium_is_imported_become_environments() -> None:
    program = """
import robots
robots.register("mine", lambda: robots.make("quadrotor-hover"))
import gymnasium
gymnasium.make("hgrpo/mine-v0").close()
"""
    run(program)


def test_listed_names_are_those_that_can_be_made() -> None:
    assert set(catalogue.QUADROTOR_TASKS) == set(TASKS)
    assert set(catalogue.MUJOCO_TASKS) == set(ROBOTS)
