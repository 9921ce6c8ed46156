"""Options of a task: what words become, and which are refused."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import robots
from robots.options import OptionError, read_options
from robots.quadrotor.body.parameters import PRESETS
from robots.quadrotor.tasks.hover import HoverOptions, make_hover


@dataclass(frozen=True)
class Options:
    speed: float = 1.5
    height: float = 2.0
    robot: str = "arm"
    repeats: int = 3
    mirrored: bool = False


def refused(**given: Any) -> str:
    """The one line with which options are refused."""
    with pytest.raises(OptionError) as caught:
        read_options(Options(), given)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message


def test_words_become_the_type_of_their_field() -> None:
    read = read_options(Options(), {"speed": "0.25", "robot": "leg"})
    assert read == Options(speed=0.25, robot="leg")
    assert isinstance(read.speed, float)


@pytest.mark.parametrize(("given", "number"), [("-1e-3", -1e-3), (" 7 ", 7.0), (7, 7.0), (2.5, 2.5)])
def test_numbers_may_be_given_as_words_or_as_numbers(given: Any, number: float) -> None:
    read = read_options(Options(), {"speed": given})
    assert read.speed == number
    assert isinstance(read.speed, float)


@settings(max_examples=50)
@given(number=st.floats(allow_nan=False, allow_infinity=False))
def test_every_finite_number_survives_as_a_word(number: float) -> None:
    assert read_options(Options(), {"height": repr(number)}).height == number


def test_the_defaults_stay_as_they_were() -> None:
    defaults = Options(speed=9.0)
    assert read_options(defaults, {"height": "1"}) == Options(speed=9.0, height=1.0)
    assert read_options(defaults, {}) == defaults == Options(speed=9.0)


@pytest.mark.parametrize("word", ["fast", "", "0,3", "1e", None, [1.0], 10**400])
def test_what_is_no_number_is_refused(word: Any) -> None:
    assert refused(speed=word) == f"task option speed must be a number; given {word!r}"


@pytest.mark.parametrize("word", ["nan", "inf", "-inf", "1e999", float("nan")])
def test_what_is_not_finite_is_refused(word: Any) -> None:
    assert refused(height=word) == f"task option height must be finite; given {word!r}"


def test_an_unknown_option_is_told_with_the_nearest() -> None:
    assert refused(sped="1") == "unknown task option 'sped'; did you mean 'speed'?"
    assert refused(speed="1", hight="2") == "unknown task option 'hight'; did you mean 'height'?"


def test_an_option_near_nothing_lists_what_there_is() -> None:
    assert refused(zzz="1") == "unknown task option 'zzz'; allowed: height, mirrored, repeats, robot, speed"


def test_a_field_of_another_type_is_a_mistake_of_the_task() -> None:
    with pytest.raises(TypeError, match="task option mirrored is of type bool; options are float, int or str"):
        read_options(Options(), {"mirrored": "false"})


def test_whole_numbers_are_read_where_the_field_is_one() -> None:
    assert read_options(Options(), {"repeats": "4"}).repeats == 4
    assert read_options(Options(), {"repeats": 5}).repeats == 5
    assert refused(repeats="4.5") == "task option repeats must be a whole number; given '4.5'"


# Options of the hovering quadrotor


def test_options_reach_the_task() -> None:
    task = robots.make("quadrotor-hover", mass="0.3", wind=1, quadrotor="cf2x")
    assert task.options == HoverOptions(mass=0.3, wind=1.0, quadrotor="cf2x")  # type: ignore[attr-defined]
    assert task.spec.robot == "cf2x"


def test_options_replace_the_defaults_of_their_task_one_by_one() -> None:
    task = robots.make("quadrotor-hover-gusty", gust="2", mass="0")
    assert task.options == HoverOptions(  # type: ignore[attr-defined]
        mass=0.0, rotor_thrust=0.09, inertia=0.3, rotor_lag=0.3, wind=1.0, gust=2.0
    )


def test_name_precision_and_device_are_no_words() -> None:
    task = make_hover("elsewhere", HoverOptions(wind=1.0), torch.float64, "cpu", gust="1")
    assert task.spec.name == "elsewhere"
    assert task.options == HoverOptions(wind=1.0, gust=1.0)
    state = task.reset(2, 0)
    assert {x.dtype for x in (state.last_action, task.observe(state), task.privileged(state))} == {torch.float64}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mas": 0.3}, "unknown task option 'mas'; did you mean 'mass'?"),
        (
            {"payload": 0.3},
            f"unknown task option 'payload'; allowed: {', '.join(sorted(f.name for f in fields(HoverOptions)))}",
        ),
        ({"mass": "heavy"}, "task option mass must be a number; given 'heavy'"),
        ({"gust": "inf"}, "task option gust must be finite; given 'inf'"),
        ({"mass": 1.0}, "mass must be at least 0 and below 1; given 1.0"),
        (
            {"quadrotor": "cf3x"},
            "unknown quadrotor 'cf3x'; did you mean 'cf2x'? allowed: "
            f"{', '.join((*PRESETS, 'any', 'a vehicle file NAME.toml'))}",
        ),
    ],
)
def test_a_mistake_in_the_options_of_a_task_is_one_line(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        robots.make("quadrotor-hover", **options)
    assert str(caught.value) == message
