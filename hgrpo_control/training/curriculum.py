"""Curricula: settings of a simulator, its difficulty or reward weights, that move during training.

They move once per iteration, between two rollouts, so that nothing changes within a rollout and branches of one state
have the same rewards. A difficulty applies to episodes that begin later; episodes under way keep theirs. A checkpoint
holds the progress of a curriculum, so a resumed run continues bit for bit (the same number of threads, kind of machine
and build of torch given).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from hgrpo_control.algorithms.rollout import FinishedEpisodes
from hgrpo_control.config.run import ConfigError
from hgrpo_control.config.schedules import Schedule, StepSchedule, read_schedule
from hgrpo_errors import nearest
from robots.simulator import Adjustable, Simulator

_DIFFICULTY = "difficulty"
JUDGED_EPISODES = 100
"""Episodes after which a success rate is judged, counted over as many iterations as needed."""


class Curriculum:
    """Moves the settings of a simulator, from the start of each schedule on.

    Raises ConfigError for a setting that the simulator does not have, or a value that it does not take.
    """

    def __init__(self, words: dict[str, str], simulator: Simulator) -> None:
        self.simulator = simulator
        self.schedules: dict[str, Schedule] = {name: read_schedule(name, word) for name, word in words.items()}
        settings = self._settings()
        for name, schedule in self.schedules.items():
            if name not in settings:
                hint = nearest(name, tuple(settings)) if settings else "it has none"
                raise ConfigError(f"{simulator.spec.name} has no setting {name!r} for a curriculum; {hint}")
            self.adjust(name, schedule.end)  # a value that is not allowed fails here, not after hours
        self.progress = dict.fromkeys(self.schedules, 0.0)
        """How far each setting has come, from 0 at the start of its schedule to 1 at the end."""
        self.episodes = dict.fromkeys(self.schedules, 0)
        self.successes = dict.fromkeys(self.schedules, 0)
        self._apply()

    def update(self, executed_steps: int, finished: FinishedEpisodes) -> None:
        """Move on after an iteration.

        `executed_steps` are those of the whole run; `finished` are the iteration's episodes.
        """
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

    def metrics(self) -> dict[str, float]:
        """`difficulty`: that of episodes that begin now; NaN for a task without one."""
        return {_DIFFICULTY: self._settings().get(_DIFFICULTY, math.nan)}

    def state_dict(self) -> dict[str, Any]:
        """Progress and counts of each setting."""
        return {"progress": dict(self.progress), "episodes": dict(self.episodes), "successes": dict(self.successes)}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Continue exactly from a `state_dict`; the simulator is set accordingly."""
        self.progress, self.episodes = dict(saved["progress"]), dict(saved["episodes"])
        self.successes = dict(saved["successes"])
        self._apply()

    def value(self, name: str, progress: float) -> float:
        """The value of a setting at a progress from 0 to 1."""
        schedule = self.schedules[name]
        return (1.0 - progress) * schedule.start + progress * schedule.end

    def adjust(self, name: str, value: float) -> None:
        """Change a setting of the simulator; raises ConfigError for a value that it refuses."""
        assert isinstance(self.simulator, Adjustable)
        try:
            self.simulator.adjust(name, value)
        except ValueError as error:
            raise ConfigError(f"curriculum of {name}: {error}") from error

    def _apply(self) -> None:
        for name, progress in self.progress.items():
            self.adjust(name, self.value(name, progress))

    def _settings(self) -> Mapping[str, float]:
        return self.simulator.settings if isinstance(self.simulator, Adjustable) else {}
