"""Settings of stable-baselines3's PPO per task, as its zoo has tuned them; importable without that package.

Values: github.com/DLR-RM/rl-baselines3-zoo, hyperparams/ppo.yml at commit 208b6fdf3a9aa24de44b2e068c6e5f6a07d97fcc,
where they stand under the names given below. What an entry does not name is stable-baselines3's default.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from hgrpo_control.command_line.parsing import parse
from hgrpo_control.config.run import ConfigError
from hgrpo_control.runs.run_folder import RunFolder, RunFolderError
from hgrpo_errors import nearest


@dataclass(frozen=True)
class ZooSettings:
    """What the zoo sets of PPO, by stable-baselines3's own names; the defaults are stable-baselines3's.

    None of these tasks' entries has a schedule, so learning rate and clip range are constant.
    """

    n_envs: int = 1
    n_steps: int = 2048
    batch_size: int = 64
    n_epochs: int = 10
    gamma: float = 0.99
    gae_lambda: float = 0.95
    learning_rate: float = 3e-4
    lr_schedule: Literal["constant", "linear"] = "constant"
    """Linear goes to zero at the end of the run, as the zoo's `lin_`."""
    clip_range: float = 0.2
    ent_coef: float = 0.0
    vf_coef: float = 0.5
    max_grad_norm: float = 0.5
    activation: Literal["tanh", "relu"] = "tanh"
    hidden_sizes: tuple[int, ...] = (64, 64)
    """Of actor and critic each."""
    log_std_init: float = 0.0
    ortho_init: bool = True
    normalize: bool = True
    """Observations by running mean and variance, rewards by the running deviation of the discounted return with the
    same gamma, both clipped to +-10 (VecNormalize)."""


_WIDE = ZooSettings(n_steps=512, activation="relu", hidden_sizes=(256, 256), log_std_init=-2.0, ortho_init=False)

ZOO: dict[str, ZooSettings] = {
    # HalfCheetah-v4
    "HalfCheetah-v5": dataclasses.replace(
        _WIDE,
        batch_size=64,
        n_epochs=20,
        gamma=0.98,
        gae_lambda=0.92,
        learning_rate=2.0633e-05,
        clip_range=0.1,
        ent_coef=0.000401762,
        vf_coef=0.58096,
        max_grad_norm=0.8,
    ),
    # Hopper-v4
    "Hopper-v5": dataclasses.replace(
        _WIDE,
        batch_size=32,
        n_epochs=5,
        gamma=0.999,
        gae_lambda=0.99,
        learning_rate=9.80828e-05,
        clip_range=0.2,
        ent_coef=0.00229519,
        vf_coef=0.835671,
        max_grad_norm=0.7,
    ),
    # Walker2d-v4
    "Walker2d-v5": ZooSettings(
        n_steps=512,
        batch_size=32,
        n_epochs=20,
        gamma=0.99,
        gae_lambda=0.95,
        learning_rate=5.05041e-05,
        clip_range=0.1,
        ent_coef=0.000585045,
        vf_coef=0.871923,
        max_grad_norm=1.0,
    ),
    # Ant-v4: the zoo normalises and leaves the rest to stable-baselines3's defaults
    "Ant-v5": ZooSettings(),
    # InvertedDoublePendulum-v2; a batch of 128 is smaller than the minibatch asked for, so it is taken whole
    "InvertedDoublePendulum-v5": ZooSettings(
        n_steps=128,
        batch_size=512,
        n_epochs=10,
        gamma=0.98,
        gae_lambda=0.8,
        learning_rate=0.000155454,
        clip_range=0.4,
        ent_coef=1.05057e-06,
        vf_coef=0.695929,
        max_grad_norm=0.5,
    ),
}


@dataclass(frozen=True)
class StableBaselines3Config:
    """One training run of stable-baselines3's PPO on gymnasium's own task of that name."""

    algorithm: ClassVar[str] = "ppo"
    model_name: ClassVar[str] = "model.zip"
    normalizer_name: ClassVar[str] = "normalizer.pkl"

    task: str
    seed: int = 0
    total_steps: int = 1_000_000
    settings: ZooSettings = field(default_factory=ZooSettings)

    def __post_init__(self) -> None:
        if self.total_steps < self.steps_per_iteration:
            raise ConfigError(
                f"total_steps {self.total_steps} is less than one iteration takes: {self.steps_per_iteration}"
            )

    @property
    def steps_per_iteration(self) -> int:
        """Simulator steps between two updates."""
        return self.settings.n_envs * self.settings.n_steps

    @property
    def num_iterations(self) -> int:
        """Updates in the whole run; what does not fill an iteration is left out, as in this project's own runs."""
        return self.total_steps // self.steps_per_iteration

    def to_json(self) -> str:
        """JSON that `from_json` reads back to an equal config."""
        fields = dataclasses.asdict(self)
        return json.dumps({"learner": "stable-baselines3", "algorithm": self.algorithm, **fields}, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> StableBaselines3Config:
        """Config from its JSON; raises ConfigError if it is not one."""
        try:
            fields = json.loads(text)
            if (fields.pop("learner"), fields.pop("algorithm")) != ("stable-baselines3", cls.algorithm):
                raise ConfigError("not a config of stable-baselines3's ppo")
            if fields["task"] not in ZOO:  # an id such as MODULE:ID would be imported
                raise ConfigError(f"unknown task {fields['task']!r}; {nearest(str(fields['task']), tuple(ZOO))}")
            settings = dict(fields.pop("settings"))
            settings["hidden_sizes"] = tuple(settings["hidden_sizes"])
            return cls(**fields, settings=ZooSettings(**settings))
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise ConfigError(f"not a config of stable-baselines3's ppo: {error}") from error


def parse_options(algorithm: str, task: str, words: Sequence[str]) -> StableBaselines3Config:
    """Settings of a run from the words behind `train ALGORITHM TASK`, the zoo's where they say nothing.

    Raises UsageError for words that do not parse, ConfigError for a task that the zoo has no settings for.
    """
    if task not in ZOO:
        raise ConfigError(f"stable-baselines3's zoo has no settings here for {task!r}; {nearest(task, tuple(ZOO))}")
    default = StableBaselines3Config(task, settings=ZOO[task])
    return parse(StableBaselines3Config, words, f"stable-baselines3 train {algorithm} {task}", default)


def read_settings(folder: RunFolder) -> StableBaselines3Config:
    """Settings that a run was made with; raises RunFolderError if its config.json cannot be used."""
    try:
        return StableBaselines3Config.from_json(folder.config.read_text(encoding="utf-8"))
    except (ConfigError, UnicodeDecodeError) as error:
        raise RunFolderError(f"{folder.config}: {error}") from error
