"""What a policy spec accepts, refuses, and survives on its way through JSON."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from typing import Any

import pytest

from hgrpo_errors import HgrpoError
from policies.spec import ACTIVATIONS, SCHEMA_VERSION, Channel, PolicySpec


def spec(**changes: Any) -> PolicySpec:
    fields: dict[str, Any] = {
        "task": "reach",
        "robot": "arm",
        "control_hz": 50.0,
        "observation": (
            Channel("angle", "rad", "joint"),
            Channel("rate", "rad/s", "joint"),
            Channel("error", "m", "world"),
        ),
        "action": (Channel("shoulder", "N m", "joint"), Channel("elbow", "N m", "joint")),
        "action_low": (-1.0, 0.1),
        "action_high": (2.0, 0.3),
        "safe_action": (0.0, 0.2),
    }
    return PolicySpec(**(fields | changes))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"hidden_sizes": (), "activation": "elu", "min_sigma": 0.1, "critic": False},
        {"control_hz": 1.0 / 3.0},
        {"privileged": (Channel("mass_factor"), Channel("wind_x", "m/s^2", "body"))},
    ],
)
def test_json_gives_back_an_equal_spec(changes: dict[str, Any]) -> None:
    assert PolicySpec.from_json(spec(**changes).to_json()) == spec(**changes)


def test_json_holds_the_schema_version_and_every_field() -> None:
    names = {field.name for field in dataclasses.fields(PolicySpec)}
    assert set(json.loads(spec().to_json())) == names | {"schema_version"}


def test_a_spec_from_before_there_were_privileged_critics_has_none() -> None:
    fields = json.loads(spec().to_json())
    del fields["privileged"]
    old = PolicySpec.from_json(json.dumps(fields))
    assert old == spec()
    assert (old.privileged, old.privileged_size) == ((), 0)


@pytest.mark.parametrize("name", ["observation", "action", "action_low", "hidden_sizes"])
def test_a_spec_that_lacks_another_field_is_refused(name: str) -> None:
    fields = json.loads(spec().to_json())
    del fields[name]
    with pytest.raises(ValueError, match=f"^not a policy spec: '{name}'$"):
        PolicySpec.from_json(json.dumps(fields))


@pytest.mark.parametrize("privileged", [None, 3, ["mass"], [{"nam": "mass"}]])
def test_privileged_entries_that_are_none_are_refused(privileged: Any) -> None:
    fields = json.loads(spec().to_json()) | {"privileged": privileged}
    with pytest.raises(ValueError, match=r"^not a policy spec: .+$"):
        PolicySpec.from_json(json.dumps(fields))


@pytest.mark.parametrize("version", [None, 0, SCHEMA_VERSION + 1, "1"])
def test_another_schema_version_is_refused(version: Any) -> None:
    fields = json.loads(spec().to_json()) | {"schema_version": version}
    with pytest.raises(ValueError, match=f"schema version {version}; .* {SCHEMA_VERSION}$"):
        PolicySpec.from_json(json.dumps(fields))


def test_sizes_follow_from_the_entries() -> None:
    assert (spec().observation_size, spec().action_size, spec().privileged_size) == (3, 2, 0)
    assert spec(privileged=(Channel("mass"), Channel("wind"))).privileged_size == 2


@pytest.mark.parametrize("name", ["observation", "action"])
def test_a_policy_sees_and_does_something(name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name} has no entries"):
        spec(**{name: (), "action_low": (), "action_high": (), "safe_action": ()} if name == "action" else {name: ()})


TEXTS = {  # what says it, and a spec that has it
    "task": lambda text: {"task": text},
    "robot": lambda text: {"robot": text},
    "name of observation entry 1": lambda text: {"observation": (Channel("a"), Channel(text))},
    "unit of action entry 0": lambda text: {"action": (Channel("shoulder", text), Channel("elbow"))},
    "frame of privileged entry 0": lambda text: {"privileged": (Channel("mass", "kg", text),)},
}


@pytest.mark.parametrize("where", TEXTS)
@pytest.mark.parametrize(
    "text", ["a\nb", "a\\b", "\x1b[2J", "\x00", "\u202e", "\u2028", "\ud800", 3, None, b"a", ["a"]]
)
def test_what_could_become_something_else_than_a_name_is_refused(where: str, text: Any) -> None:
    with pytest.raises(HgrpoError) as raised:
        spec(**TEXTS[where](text))
    assert str(raised.value) == f"{where} is {text!r}; allowed: printable text without backslashes"


def test_a_refused_text_is_shown_in_one_short_line() -> None:
    with pytest.raises(HgrpoError) as raised:
        PolicySpec.from_json(spec().to_json().replace('"arm"', json.dumps("arm\n" * 1000)))
    assert len(str(raised.value)) < 120
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize("where", TEXTS)
@pytest.mark.parametrize(
    "text", ["", "m/s^2", "°/s", "µ-tesla", "gymnasium/my_module:make", "N m", 'a "b" <c> */ ?', "高度", "x[0, 1]"]
)
def test_printable_text_is_taken(where: str, text: str) -> None:
    assert PolicySpec.from_json(spec(**TEXTS[where](text)).to_json()) == spec(**TEXTS[where](text))


@pytest.mark.parametrize("name", ["action_low", "action_high", "safe_action"])
def test_a_missing_number_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} has 1 entries for 2 actions"):
        spec(**{name: (0.0,)})


@pytest.mark.parametrize("low", [2.0, 3.0, float("nan"), float("-inf")])
def test_bounds_without_room_between_them_are_refused(low: float) -> None:
    with pytest.raises(ValueError, match=rf"'shoulder' has bounds \[{low}, 2\.0\]; allowed: finite"):
        spec(action_low=(low, 0.1))


@pytest.mark.parametrize("safe", [-1.5, 2.5, float("nan")])
def test_a_safe_action_beyond_its_bounds_is_refused(safe: float) -> None:
    with pytest.raises(ValueError, match=rf"safe action of 'shoulder' is {safe}; allowed: \[-1\.0, 2\.0\]"):
        spec(safe_action=(safe, 0.2))


@pytest.mark.parametrize("rate", [0.0, -50.0, float("nan"), float("inf")])
def test_a_rate_that_is_none_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match=f"control_hz .* given {rate}"):
        spec(control_hz=rate)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "3", '{"schema_version": 1}', '{"schema_version": 1, "observation": [1], "action": []}']
)
def test_what_is_not_a_spec_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".") as raised:
        PolicySpec.from_json(text)
    assert len(str(raised.value).splitlines()) == 1


def test_an_unknown_activation_is_refused() -> None:
    with pytest.raises(ValueError, match=r"activation 'sigmoid'.* tanh, relu, elu"):
        spec(activation="sigmoid")


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_allowed_activation_is_accepted(activation: str) -> None:
    assert spec(activation=activation).activation == activation


def test_specs_are_read_without_torch() -> None:
    program = (
        "import sys; sys.modules['torch'] = None\n"
        "from policies.spec import PolicySpec\n"
        "import policies\n"
        "print(policies.PolicySpec.from_json(sys.stdin.read()).to_json(), end='')\n"
        "try:\n    policies.ActorCritic\nexcept ImportError:\n    sys.exit(7)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], input=spec().to_json(), capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stdout == spec().to_json(), done.stderr
    assert done.returncode == 7  # what needs torch says so, and only when it is asked for


def test_past_actions_in_the_observation_are_counted() -> None:
    def history(*names: str) -> int:
        observation = tuple(Channel(name) for name in ("height", *names))
        actions = (Channel("thrust", "N"), Channel("turn", "rad/s"))
        limits = {"action_low": (-1.0, -1.0), "action_high": (1.0, 1.0), "safe_action": (0.0, 0.0)}
        return spec(observation=observation, action=actions, **limits).action_history

    newest, older = ("previous_thrust", "previous_turn"), ("previous_2_thrust", "previous_2_turn")
    assert history() == 0
    assert history(*newest) == 1
    assert history(*newest, *older) == 2
    assert history(*newest, older[0]) == 1  # not every action
    assert history(*older) == 0  # the newest is missing
