"""Curricula: settings of a simulator, its difficulty or reward weights, that move during training.

The trainer asks once per iteration, between two rollouts, so that within a rollout nothing changes and branches of one
state are paid alike. A difficulty decides how episodes to come begin; episodes under way keep the one they began with.
Where a curriculum stands is saved with the checkpoint, so a resumed run goes on bit for bit (the same number of
threads, kind of machine and build of torch given).
"""

from __future__ import annotations

from typing import Any

from hgrpo_control.algorithms.rollout import FinishedEpisodes
from hgrpo_control.config.run import ConfigError
from hgrpo_control.config.schedules import Schedule, StepSchedule, read_schedule
from hgrpo_errors import nearest
from robots.simulator import Adjustable, Simulator

JUDGED_EPISODES = 100
"""Episodes after which a success rate is judged; they are counted over as many iterations as it takes."""


class Curriculum:
    """Moves the settings of a simulator; at its beginning it sets each to where its schedule starts.

    Raises ConfigError for a setting that the simulator does not have, or a value that it does not take.
    """

    def __init__(self, words: dict[str, str], simulator: Simulator) -> None:
        self.simulator = simulator
        self.schedules: dict[str, Schedule] = {name: read_schedule(name, word) for name, word in words.items()}
        settings = simulator.settings if isinstance(simulator, Adjustable) else {}
        for name, schedule in self.schedules.items():
            if name not in settings:
                hint = nearest(name, tuple(settings)) if settings else "it has none"
                raise ConfigError(f"{simulator.spec.name} has no setting {name!r} for a curriculum; {hint}")
            self.adjust(name, schedule.end)  # now, and not after hours, if it is not allowed
        self.progress = dict.fromkeys(self.schedules, 0.0)
        """How far each setting has come, from 0 at the start of its schedule to 1 at the end."""
        self.episodes = dict.fromkeys(self.schedules, 0)
        self.successes = dict.fromkeys(self.schedules, 0)
        self._apply()

    def update(self, executed_steps: int, finished: FinishedEpisodes) -> None:
        """Move on after an iteration that brought the run to `executed_steps` and finished some episodes."""
        for name, schedule in self.schedules.items():
            if isinstance(schedule, StepSchedule):
                way = (executed_steps - schedule.begin_step) / (schedule.end_step - schedule.begin_step)
                self.progress[name] = min(1.0, max(0.0, way))
                continue
            self.episodes[name] += len(finished.success)
            self.successes[name] += int(finished.success.sum())
            if self.episodes[name] >= JUDGED_EPISODES:
                if self.successes[name] >= schedule.rate * self.episodes[name]:
                    self.progress[name] = min(1.0, self.progress[name] + schedule.share)
                self.episodes[name] = self.successes[name] = 0
        self._apply()

    def state_dict(self) -> dict[str, Any]:
        """Progress and counts of each setting."""
        return {"progress": dict(self.progress), "episodes": dict(self.episodes), "successes": dict(self.successes)}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Go on exactly where the curriculum that gave this `state_dict` stood; the simulator is set accordingly."""
        self.progress, self.episodes = dict(saved["progress"]), dict(saved["episodes"])
        self.successes = dict(saved["successes"])
        self._apply()

    def value(self, name: str, progress: float) -> float:
        """The value of a setting that has come so far."""
        schedule = self.schedules[name]
        return (1.0 - progress) * schedule.start + progress * schedule.end

    def adjust(self, name: str, value: float) -> None:
        """Change a setting that the simulator has; raises ConfigError for a value that it does not take."""
        assert isinstance(self.simulator, Adjustable)
        try:
            self.simulator.adjust(name, value)
        except ValueError as error:
            raise ConfigError(f"curriculum of {name}: {error}") from error

    def _apply(self) -> None:
        for name, progress in self.progress.items():
            self.adjust(name, self.value(name, progress))


def difficulty_of(simulator: Simulator) -> float:
    """The difficulty that episodes begin at now; NaN for a simulator without one."""
    settings = simulator.settings if isinstance(simulator, Adjustable) else {}
    return settings.get("difficulty", float("nan"))
