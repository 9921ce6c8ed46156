"""Task names and what they stand for."""

from __future__ import annotations

from pathlib import Path

import pytest

import robots
from robots import registry
from robots.options import OptionError
from robots.quadrotor.tasks.hover import QuadrotorHover
from robots.registry import UnknownTaskError


def test_make_builds_a_task_with_its_options() -> None:
    hover = robots.make("quadrotor-hover", quadrotor="cf2x")
    assert isinstance(hover, QuadrotorHover)
    assert hover.spec.robot == "cf2x"


def test_names_are_sorted_and_all_of_them_can_be_registered_only_once() -> None:
    assert "quadrotor-hover" in robots.names()
    assert list(robots.names()) == sorted(set(robots.names()))
    for name in robots.names():
        with pytest.raises(ValueError, match=f"task '{name}' is registered already"):
            robots.register(name, QuadrotorHover)


def test_a_registered_factory_receives_the_options(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_FACTORIES", dict(registry._FACTORIES))
    built = QuadrotorHover()
    received: list[dict[str, object]] = []

    def factory(**options: object) -> QuadrotorHover:
        received.append(options)
        return built

    robots.register("new-task", factory)
    assert "new-task" in robots.names()
    assert robots.make("new-task", speed=3) is built
    assert received == [{"speed": 3}]


@pytest.mark.parametrize("options", [{"name": "foo"}, {"dtype": "float64"}, {"defaults": 1}])
def test_options_that_a_constructor_cannot_be_called_with_are_one_line(options: dict[str, object]) -> None:
    ((key, value),) = options.items()
    with pytest.raises(OptionError, match=f"^quadrotor-hover cannot be made with {key}={value}: .*'{key}'") as caught:
        robots.make("quadrotor-hover", **options)
    assert "\n" not in str(caught.value)


def test_a_mistake_in_a_constructor_is_no_mistake_in_options(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_FACTORIES", dict(registry._FACTORIES))
    robots.register("broken-task", lambda: len(3))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="has no len"):
        robots.make("broken-task")


def test_an_unknown_name_names_the_nearest_one() -> None:
    with pytest.raises(UnknownTaskError, match=r"^unknown task 'quadrotor-hoover'; did you mean 'quadrotor-hover'\?$"):
        robots.make("quadrotor-hoover")


def test_a_name_near_nothing_lists_what_there_is() -> None:
    families = tuple(f"{prefix}/..." for prefix in robots.families())
    with pytest.raises(UnknownTaskError) as caught:
        robots.make("zzz")
    assert f"unknown task 'zzz'; allowed: {', '.join((*robots.names(), *families))}, " in str(caught.value)
    assert str(caught.value).endswith("--import MODULE")
    assert isinstance(caught.value, ValueError)


def test_a_module_of_that_name_in_the_current_directory_is_pointed_at_and_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "slidr.py").write_text("raise SystemExit('imported')")
    for name in ("slidr", "gymnasium/slidr"):
        with pytest.raises(UnknownTaskError, match=r"module slidr .*--import slidr$"):
            robots.make(name)


def test_whoever_registers_a_task_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_FACTORIES", dict(registry._FACTORIES))
    monkeypatch.setattr(registry, "_REGISTERED_BY", dict(registry._REGISTERED_BY))
    robots.register("mine", lambda: robots.make("quadrotor-hover"))
    assert registry.registered_by("mine") == __name__
    assert registry.registered_by("quadrotor-hover") == registry.registered_by("nothing") == ""


@pytest.mark.slow
@pytest.mark.parametrize("name", robots.names())
def test_the_summary_of_a_task_has_the_values_of_its_specification(name: str) -> None:
    spec = robots.make(name).spec
    assert registry.summary(name)._asdict() == {field: getattr(spec, field) for field in registry.Summary._fields}


def test_a_task_without_a_summary_has_that_of_its_simulator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_FACTORIES", dict(registry._FACTORIES))
    robots.register("mine", lambda: robots.make("quadrotor-hover"))
    assert registry.summary("mine") == registry.summary("quadrotor-hover")


def test_nearest_offers_the_closest_of_several() -> None:
    assert registry.nearest("balanse", ("balance", "valance", "hover")) == "did you mean 'balance'?"
    assert registry.nearest("q", ("balance", "hover")) == "allowed: balance, hover"


def test_a_family_makes_whatever_stands_behind_its_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_FAMILIES", dict(registry._FAMILIES))
    built, received = QuadrotorHover(), []

    def factory(name: str, **options: object) -> QuadrotorHover:
        received.append((name, options))
        return built

    robots.register_family("mine", factory, "anything of mine")
    assert robots.families()["mine"] == "anything of mine"
    assert robots.make("mine/module:Task/v0", speed=3) is built
    assert received == [("module:Task/v0", {"speed": 3})]
    registry.require("mine/other")
    for name in ("mine", "mine/", "yours/other"):
        with pytest.raises(UnknownTaskError):
            registry.require(name)
    with pytest.raises(ValueError, match="task family 'mine' is registered already"):
        robots.register_family("mine", factory, "again")
    with pytest.raises(ValueError, match="without a slash; given 'a/b'"):
        robots.register_family("a/b", factory, "")
