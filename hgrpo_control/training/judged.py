"""Sets a simulator to the difficulty and reward weights that a run is judged at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from hgrpo_control.config.judged import FULL, RUN, JudgedSettings
from hgrpo_control.config.run import Config, ConfigError
from hgrpo_control.training.curriculum import Curriculum
from hgrpo_errors import unknown
from robots.simulator import Adjustable, Simulator

_DIFFICULTY = "difficulty"
_WORDS = {
    "final": "final reward weights of the run",
    "run": "reward weights of the run",
    "default": "default reward weights",
}


class Judged(NamedTuple):
    """The settings of a simulator, and the choice behind them."""

    choice: JudgedSettings
    difficulty: float | None
    """None for a task without one."""
    weights: dict[str, float]
    """Of every term of the reward that can be weighted."""
    default_weights: dict[str, float]

    @property
    def lines(self) -> list[str]:
        """One line to print; none for a task without such settings."""
        parts = []
        if self.difficulty is not None:
            word = self.choice.difficulty
            parts.append(f"difficulty {self.difficulty:g} ({word if word in (FULL, RUN) else 'as given'})")
        if self.weights:
            moved = [f"{name}={value:g}" for name, value in self.weights.items() if value != self.default_weights[name]]
            parts.append(f"{_WORDS[self.choice.weights]} ({', '.join(moved)})" if moved else _WORDS["default"])
        return [f"judged at {', '.join(parts)}"] if parts else []

    def for_json(self) -> dict[str, Any]:
        """The settings and the words that chose them; empty for a task without settings."""
        fields: dict[str, Any] = {}
        if self.difficulty is not None:
            fields |= {_DIFFICULTY: self.difficulty, "difficulty_choice": self.choice.difficulty}
        if self.weights:
            fields |= {"weights": self.weights, "weights_choice": self.choice.weights}
        return fields


def judge_at(simulator: Simulator, config: Config, training: Mapping[str, Any], choice: JudgedSettings) -> Judged:
    """Set a simulator of a run's task to the chosen difficulty and weights.

    Args:
        simulator: Is changed.
        config: Of the run.
        training: Training state in the run's checkpoint.
        choice: Difficulty and weights.

    Raises ConfigError for an unknown word, for a difficulty that the task does not have or take, and where the
    checkpoint does not hold the progress of the curriculum.
    """
    own = dict(simulator.settings) if isinstance(simulator, Adjustable) else {}
    settings = dict(own)
    curriculum = Curriculum(config.curriculum, simulator)
    for name in curriculum.schedules:
        word = choice.difficulty if name == _DIFFICULTY else choice.weights
        if word == "final":
            settings[name] = curriculum.value(name, 1.0)
        elif word == RUN:
            settings[name] = curriculum.value(name, _progress(training, name))
    if choice.difficulty not in (FULL, RUN):
        settings[_DIFFICULTY] = _number(choice.difficulty, simulator)
    for name, value in settings.items():
        curriculum.adjust(name, value)
    weights, default = ({n: v for n, v in s.items() if n != _DIFFICULTY} for s in (settings, own))
    return Judged(choice, settings.get(_DIFFICULTY), weights, default)


def _progress(training: Mapping[str, Any], name: str) -> float:
    """How far the curriculum of a setting had come in a checkpoint."""
    progress = training.get("curriculum", {}).get("progress", {})
    if name not in progress:
        raise ConfigError(
            f"the checkpoint does not hold the progress of the curriculum of {name}; instead of run: "
            "--difficulty full or a number, --weights final or default"
        )
    return float(progress[name])


def _number(word: str, simulator: Simulator) -> float:
    """A difficulty given as a number, which the task has."""
    try:
        value = float(word)
    except ValueError as error:
        allowed = f"{FULL}, {RUN}, or a number from 0 to 1"
        raise ConfigError(unknown(_DIFFICULTY, word, (FULL, RUN), listed=allowed)) from error
    if not isinstance(simulator, Adjustable) or _DIFFICULTY not in simulator.settings:
        raise ConfigError(f"{simulator.spec.name} has no difficulty; given {word}, leave --difficulty out")
    if not 0.0 <= value <= 1.0:
        raise ConfigError(f"difficulty must lie in [0, 1]; given {word}")
    return value
