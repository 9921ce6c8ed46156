"""`hgrpo fly POLICY TARGET`: every target takes its own options only."""

from __future__ import annotations

import pytest

from hgrpo_control.cli import main


def refusal(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    assert main(["fly", *args]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    return captured.err


@pytest.mark.parametrize("args", [["--help"], ["-h"], ["policy.onnx", "--help"]])
def test_fly_help_lists_the_targets(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fly", *args]) == 0
    out = capsys.readouterr().out
    for target in ("simulated", "mavlink", "crazyflie"):
        assert f"\n  {target} " in out


@pytest.mark.parametrize(
    ("target", "own", "foreign"),
    [
        ("simulated", "--task-options", "--connection"),
        ("mavlink", "--on-stop", "--episodes"),
        ("crazyflie", "--goal-radius", "--vehicle"),
    ],
)
def test_fly_help_of_a_target_has_its_options_only(
    target: str, own: str, foreign: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["fly", "policy.onnx", target, "--help"])
    assert not stopped.value.code
    out = capsys.readouterr().out
    assert own in out
    assert "--hold-seconds" in out
    assert foreign not in out


@pytest.mark.parametrize(
    ("target", "args", "owners"),
    [
        ("mavlink", ("--fast",), "simulated"),
        ("mavlink", ("--import", "my_robot"), "simulated"),
        ("crazyflie", ("--vehicle", "7"), "mavlink"),
        ("crazyflie", ("--on-stop=hold",), "mavlink"),
        ("simulated", ("--connection", "udpin:0.0.0.0:1"), "mavlink and crazyflie"),
        ("simulated", ("--no-arm",), "mavlink and crazyflie"),
    ],
)
def test_fly_names_the_target_of_an_option_of_another(
    target: str, args: tuple[str, ...], owners: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refusal(capsys, "policy.onnx", target, *args)
    assert f"unknown option {args[0].partition('=')[0]} of {target}" in said
    assert said.endswith(f" {owners}\n")


def test_fly_names_the_nearest_option(capsys: pytest.CaptureFixture[str]) -> None:
    said = refusal(capsys, "policy.onnx", "mavlink", "--hover-thrst", "0.4")
    assert "--hover-thrst" in said
    assert "did you mean --hover-thrust?" in said


@pytest.mark.parametrize(
    "args",
    [("policy.onnx", "--target", "mavlink", "--arm"), ("--target=mavlink", "policy.onnx")],
)
def test_fly_shows_the_new_form_for_the_option_target(
    args: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    said = refusal(capsys, *args)
    assert "--target" in said
    assert said.endswith("hgrpo fly policy.onnx mavlink\n")


@pytest.mark.parametrize(
    ("args", "parts"),
    [
        ((), ("POLICY TARGET", "simulated, mavlink, crazyflie")),
        (("policy.onnx",), ("POLICY TARGET", "simulated, mavlink, crazyflie")),
        (("--seconds", "3", "policy.onnx", "mavlink"), ("POLICY TARGET",)),
        (("policy.onnx", "mavlnk"), ("'mavlnk'", "'mavlink'")),
        (("mavlink", "policy.onnx"), ("'policy.onnx'", "POLICY TARGET")),
    ],
)
def test_fly_needs_a_policy_and_a_target(
    args: tuple[str, ...], parts: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    said = refusal(capsys, *args)
    for part in parts:
        assert part in said


def test_spinning_before_slots_is_refused_where_nothing_waits(capsys: pytest.CaptureFixture[str]) -> None:
    said = refusal(capsys, "policy.onnx", "simulated", "--fast", "--spin-seconds", "0.001")
    assert "spin_seconds 0.001 does nothing with --fast" in said
