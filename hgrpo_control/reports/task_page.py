"""The page of one task, behind `hgrpo tasks TASK`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

import robots
from hgrpo_control.config.algorithms import ALGORITHMS
from hgrpo_control.config.run import Config
from hgrpo_control.presets.quadrotor import preset
from hgrpo_control.reports.tasks import table
from hgrpo_fields import fields_of
from robots.options import parts_of
from robots.simulator import Adjustable, Channel, Simulator, closing


def task_page(name: str) -> Iterator[RenderableType]:
    """Everything that a task has, in parts to print; raises HgrpoError for an unknown task."""
    with closing(robots.make(name)) as simulator:
        spec = simulator.spec
        seconds = spec.max_episode_steps / spec.control_hz
        yield Text(f"{name}{f', robot {spec.robot}' if spec.robot else ''}")
        yield Text(f"Control rate: {spec.control_hz:g} Hz. Time limit: {spec.max_episode_steps} steps, {seconds:g} s.")
        yield Text(f"Success: {spec.goal or 'the task has no success criterion, only its reward'}.")
        if spec.branching_obstacle:
            yield Text(f"No branching: {spec.branching_obstacle}.")
        yield Text(f"Gradients: {'through every step, by autograd' if spec.differentiable else 'none'}.")
        yield Text(f"\nObservation, {spec.observation_size} channels without bounds")
        yield _channels(spec.observation)
        yield Text(f"\nAction, {spec.action_size} channels")
        bounds = [(f"{low:g}", f"{high:g}") for low, high in zip(spec.action_low, spec.action_high, strict=True)]
        yield _channels(spec.action, ("low", "high"), bounds)
        yield from _reward(simulator)
        yield Text(f"\nHidden quantities for a privileged critic: {spec.privileged_size or 'none'} by default")
        if spec.privileged:
            yield _channels(spec.privileged)
        yield from _options(simulator)
    yield Text("\nPresets, where they differ from the defaults of hgrpo train")
    yield table(("algorithm", "options"), [(each, _preset(each, name)) for each in ALGORITHMS], ("options",))


def _reward(simulator: Simulator) -> Iterator[RenderableType]:
    yield Text(f"\nReward{f': {simulator.spec.reward}' if simulator.spec.reward else ''}")
    if isinstance(simulator, Adjustable):
        weights = {name: f"{value:g}" for name, value in simulator.settings.items() if name != "difficulty"}
        yield table(("term", "weight"), list(weights.items()))
    elif not simulator.spec.reward:
        yield Text("The simulator does not describe its reward.")


def _options(simulator: Simulator) -> Iterator[RenderableType]:
    rows = []
    for part in parts_of(simulator):
        for field in fields_of(type(part), part):
            kind = {float: "a number", int: "a whole number"}.get(field.kind, "a word")
            rows.append((field.name, str(field.default), field.allowed or kind, field.text))
    yield Text("\nTask options, given as --task-options NAME=VALUE ...")
    if rows:
        yield table(("option", "default", "allowed", "meaning"), rows, ("allowed", "meaning"))
    if simulator.spec.other_options:
        yield Text(simulator.spec.other_options)
    elif not rows:
        yield Text("The simulator lists no options.")


def _preset(algorithm: str, task: str) -> str:
    """Options of `hgrpo train` that write out a preset; `defaults` if it has none."""
    config = preset(algorithm, task)
    return " ".join(_differences(config, Config(task, ALGORITHMS[algorithm]()))) or "defaults"


def _differences(settings: Any, default: Any) -> Iterator[str]:
    for field in fields_of(type(settings), settings):
        value, usual = field.default, getattr(default, field.name)
        if dataclasses.is_dataclass(value):
            yield from _differences(value, usual)
        elif value != usual:
            flag = f"--{'' if value is not False else 'no-'}{field.name.replace('_', '-')}"
            words = () if isinstance(value, bool) else value if isinstance(value, tuple) else (value,)
            yield " ".join((flag, *map(str, words)))


def _channels(channels: Sequence[Channel], more: tuple[str, ...] = (), values: Sequence[tuple[str, ...]] = ()) -> Table:
    rows = [
        (str(number), each.name, each.unit, each.frame, *(values[number] if values else ()))
        for number, each in enumerate(channels)
    ]
    return table(("", "name", "unit", "frame", *more), rows)
