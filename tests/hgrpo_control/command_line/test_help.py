"""Help texts of every command: complete, short sentences that fit a terminal."""

from __future__ import annotations

import re

import pytest

from hgrpo_control.cli import COMMANDS, main
from hgrpo_control.command_line.options import Group, groups_of
from hgrpo_control.command_line.parsing import make_parser
from hgrpo_control.commands import (
    check,
    compare,
    diagnose,
    evaluate,
    fly,
    identify,
    inspect,
    resume,
    serve,
    train_options,
    transfer,
    tune,
    vehicle,
    watch,
)
from hgrpo_control.commands.fly_targets import TARGETS
from hgrpo_control.config.algorithms import ALGORITHMS
from hgrpo_control.config.run import Config
from hgrpo_control.export.settings import ExportOptions

MOST_WORDS = 25
KINDS = {
    "resume": resume.ResumeOptions,
    "evaluate": evaluate.EvaluateOptions,
    "transfer": transfer.TransferOptions,
    "export": ExportOptions,
    "inspect": inspect.InspectOptions,
    "identify": identify.IdentifyOptions,
    "vehicle": vehicle.VehicleOptions,
    "watch": watch.WatchOptions,
    "serve": serve.ServeOptions,
    "check": check.CheckOptions,
    "compare": compare.CompareOptions,
    "diagnose": diagnose.DiagnoseOptions,
} | {f"fly POLICY {name}": kind for name, kind in TARGETS.items()}
GROUPS: dict[str, list[Group]] = {name: groups_of(kind) for name, kind in KINDS.items()} | {
    f"train {name} TASK": groups_of(
        train_options.TrainOptions, train_options.TrainOptions(Config("quadrotor-hover", kind()))
    )
    for name, kind in ALGORITHMS.items()
}
GROUPS["tune ppo TASK"] = groups_of(tune.TuneOptions, tune.TuneOptions(Config("quadrotor-hover", ALGORITHMS["ppo"]())))


def sentences(text: str) -> list[str]:
    return re.split(r"(?<=\.) (?=[A-Z])", " ".join(text.split()))


def test_every_command_with_options_is_here() -> None:
    assert {name.split()[0] for name in GROUPS} == set(COMMANDS) - {"tasks", "zoo"}
    assert fly.TARGETS is TARGETS


@pytest.mark.parametrize("name", GROUPS)
def test_help_texts_are_short_sentences(name: str) -> None:
    texts = {(group.title, option.field.name): option.field.text for group in GROUPS[name] for option in group.options}
    texts |= {(group.title, ""): group.description for group in GROUPS[name]}
    for place, text in texts.items():
        for sentence in sentences(text):
            assert re.match(r"[A-Z]", sentence), (place, sentence)
            assert sentence.endswith("."), (place, sentence)
            assert len(sentence.split()) <= MOST_WORDS, (place, sentence)


@pytest.mark.parametrize("name", GROUPS)
def test_help_fits_a_terminal_and_shows_ranges_and_defaults(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    printed = make_parser(GROUPS[name], f"hgrpo {name}").format_help()
    assert max(map(len, printed.splitlines())) <= 80
    flat = " ".join(printed.split())
    for option in (option for group in GROUPS[name] for option in group.options):
        assert option.flag in flat
        assert option.help in flat or "-" in option.help  # argparse breaks lines at hyphens


def test_help_of_training_shows_ranges_and_points_to_the_options_of_the_task() -> None:
    printed = " ".join(make_parser(GROUPS["train ppo TASK"], "hgrpo train ppo TASK").format_help().split())
    assert "(range: above 0; default: 0.001)" in printed
    assert "`hgrpo tasks TASK`" in printed


def test_the_overview_fits_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    for name, command in COMMANDS.items():
        assert [line for line in lines if line.split()[:1] == [name] and line.endswith(command.purpose)], name
        assert command.purpose[0].isupper()
        assert command.purpose.endswith(".")
