"""What the packages load when they are imported, and when Gymnasium has their tasks."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

from robots import catalogue
from robots.gymnasium_ids import environment_id
from robots.mujoco.tasks.catalogue import ROBOTS
from robots.quadrotor.tasks.catalogue import TASKS


def run(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


PACKAGES = ("robots", "robots.mujoco", "robots.quadrotor", "hgrpo_control", "hgrpo_control.config")


def test_packages_load_nothing_heavy() -> None:
    program = f"""
import sys
import {", ".join(PACKAGES)}
print(*[name for name in ("torch", "gymnasium", "mujoco", "pybullet", "warp") if name in sys.modules])
"""
    assert run(program) == "\n"


@pytest.mark.parametrize("name", PACKAGES)
def test_every_public_name_of_a_package_can_be_read(name: str) -> None:
    package = importlib.import_module(name)
    assert set(package.__all__) <= set(dir(package))
    for public in package.__all__:
        getattr(package, public)
    with pytest.raises(AttributeError, match=f"module '{name}' has no attribute 'no_such_name'"):
        _ = package.no_such_name


@pytest.mark.slow
@pytest.mark.parametrize("first", ["robots", "gymnasium"])
def test_gymnasium_has_every_task_whatever_is_imported_first(first: str) -> None:
    second = {"robots": "gymnasium", "gymnasium": "robots"}[first]
    program = f"""
import importlib.util, sys
import {first}
importlib.util.find_spec("gymnasium")  # to look for it is not to import it
import {second}
print(*sorted(name for name in gymnasium.registry if name.startswith("hgrpo/")))
print(*robots.names())
assert "mujoco" not in sys.modules and "robots.quadrotor.tasks.catalogue" not in sys.modules
"""
    ids, tasks = (line.split() for line in run(program).splitlines())
    assert ids == sorted(map(environment_id, tasks))
    assert "quadrotor-hover" in tasks


@pytest.mark.slow
def test_an_id_with_its_module_needs_no_import_of_the_package() -> None:
    run("import gymnasium; gymnasium.make('robots:hgrpo/quadrotor-hover-v0').close()")


@pytest.mark.slow
def test_tasks_registered_before_gymnasium_is_imported_become_environments() -> None:
    program = """
import robots
robots.register("mine", lambda: robots.make("quadrotor-hover"))
import gymnasium
for name in ("mine", "quadrotor-hover"):
    gymnasium.make(f"hgrpo/{name}-v0").close()
"""
    run(program)


def test_listed_names_are_those_that_can_be_made() -> None:
    assert set(catalogue.QUADROTOR_TASKS) == set(TASKS)
    assert set(catalogue.MUJOCO_TASKS) == set(ROBOTS)
