"""Every setting of a training run as frozen dataclasses; importable without torch."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from hgrpo_control.config.algorithms import ALGORITHMS, GRPO, Algorithm
from hgrpo_control.config.argument import IMPORTS, Argument
from hgrpo_control.config.device import device_problem
from hgrpo_control.config.divisors import divisors, near_divisors
from hgrpo_control.config.learning import Learning, Network
from hgrpo_control.config.named_values import TASK_OPTIONS
from hgrpo_control.config.pathwise import LEAST_DISCOUNT
from hgrpo_control.config.roots import EXECUTED, roots_problem
from hgrpo_control.config.schedules import CURRICULUM, curriculum_problem
from hgrpo_control.config_files.tables import TableError, read_table
from hgrpo_errors import HgrpoError, unknown
from hgrpo_fields import Range, field_problem, inert_problem
from hgrpo_imports import imports_problem
from robots.quadrotor.body.vehicle_file.read import with_vehicle


class ConfigError(HgrpoError):
    """Raised for settings that are not allowed or contradict each other."""


@dataclass(frozen=True)
class Config:
    """Settings of one training run."""

    task: Annotated[str, Argument(hidden=True)]  # the command line takes it as an argument, not as an option
    algorithm: Algorithm
    seed: int = 0
    """Seed of the network, the simulator and the minibatches."""
    total_steps: int = 1_000_000
    """Simulator steps of the whole run, counting every step of every branch."""
    num_envs: Annotated[int, Range(least=1)] = 512
    """Number of parallel roots, E."""
    rollout_steps: Annotated[int, Range(least=1)] = 64
    """Executed steps per root between two updates, T."""
    network: Network = field(default_factory=Network)
    learning: Learning = field(default_factory=Learning)
    task_options: Annotated[dict[str, str], TASK_OPTIONS] = field(default_factory=dict)
    """Options of the task, such as quadrotor=cf2x mass=0.3; `hgrpo tasks TASK` lists them. A vehicle file is replaced
    by its numbers.
    """
    curriculum: Annotated[dict[str, str], CURRICULUM] = field(default_factory=dict)
    """Task settings that change during training, such as difficulty=0:1@steps:0:2e6 or difficulty=0:1@success:0.8:0.1.
    """
    checkpoint_every: Annotated[int, Range(least=1)] = 10
    """Iterations between two checkpoints."""
    device: str = "cpu"
    """Device of the networks and the simulator: cpu, cuda or cuda:N."""
    imports: IMPORTS = ()
    """Module of yours to import first; it may register tasks and robots."""
    roots: Annotated[str, Argument("executed|archive:SHARE")] = EXECUTED
    """Roots: the executed path, or also an archive of saved states, from which SHARE of the executed episodes start."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "task_options", with_vehicle(self.task_options))
        problem = self._problem()
        if problem is not None:
            raise ConfigError(problem)

    def _problem(self) -> str | None:
        """One error line for settings that contradict each other; None otherwise."""
        return (
            field_problem(self)
            or self.algorithm.problem()
            or self.network.problem()
            or self.learning.problem(self.network.min_sigma)
            or self._critic_problem()
            or roots_problem(self.roots, self.algorithm.restarts_branches)
            or self._pathwise_problem()
            or self._memory_problem()
            or curriculum_problem(self.curriculum)
            or device_problem(self.device)
            or imports_problem(self.imports)
            or self._size_problem()
        )

    def _critic_problem(self) -> str | None:
        """A setting of the critic given to an algorithm that has none."""
        if self.algorithm.needs_critic:
            return None
        if self.network.privileged_critic:
            return f"{self.algorithm_name} has no critic, so privileged_critic does nothing; leave it out"
        return inert_problem(
            self.learning, ("vf_coef",), f"with {self.algorithm_name}, which has no critic; leave it out"
        )

    def _pathwise_problem(self) -> str | None:
        """A setting that does nothing with slopes, or without them, or that contradicts them."""
        algorithm = self.algorithm
        if not algorithm.uses_slopes:
            return inert_problem(
                self.learning, ("leash",), "with pathwise off; it belongs to pathwise auto or a number"
            )
        given = f"with pathwise {algorithm.pathwise}"
        if algorithm.guided is not None:
            return f"{given} siblings cannot be guided; allowed: guided_candidates 0, or pathwise off"
        if isinstance(algorithm, GRPO) and algorithm.scale != "none":
            return f"{given} advantages must keep the unit of the return: scale {algorithm.scale}; allowed: none"
        if algorithm.gamma**self.branch_length < LEAST_DISCOUNT:
            return (
                f"{given} a branch must not outlast its discount: gamma {algorithm.gamma} over {self.branch_length} "
                f"steps is below {LEAST_DISCOUNT:g}; allowed: a larger gamma or shorter branches"
            )
        if self.num_envs * algorithm.num_samples < 2:
            return f"{given} variances need two samples or two roots; given num_envs 1 and one sample"
        names = ("clip_coef", "clip_high", "normalize_advantage")
        return inert_problem(self.learning, names, f"{given}, which has no clipped surrogate; allowed: pathwise off")

    def _memory_problem(self) -> str | None:
        """A setting that contradicts memory, or needs one."""
        memory, learning = self.network.memory, self.learning
        if memory != "none" and self.algorithm.guided is not None:
            return f"with memory {memory} siblings cannot be guided; allowed: guided_candidates 0, or memory none"
        if memory != "gru":
            return inert_problem(learning, ("sequence_steps", "burn_in"), f"with memory {memory}; allowed: memory gru")
        path, steps = self.path_steps, self.sequence_steps
        if path % steps:
            return (
                f"sequence_steps {steps} does not divide the {path} steps that follow one another; allowed: "
                f"{', '.join(map(str, divisors(path)))}"
            )
        if learning.burn_in and steps == path:
            return f"burn_in {learning.burn_in} does nothing with whole sequences; allowed: sequence_steps below {path}"
        sequences, minibatches = self.batch_rows // steps, learning.num_minibatches
        if sequences % minibatches:
            near = ", ".join(map(str, near_divisors(sequences, minibatches)))
            return (
                f"num_minibatches {minibatches} does not divide the {sequences} sequences of a batch (nearest: {near})"
            )
        return None

    def _size_problem(self) -> str | None:
        """Numbers of steps, rows or minibatches that do not divide each other."""
        if self.rollout_steps % self.branch_length:
            return (
                f"{self.algorithm_name}: branch_steps {self.branch_length} does not divide rollout_steps "
                f"{self.rollout_steps}; allowed: {', '.join(map(str, divisors(self.rollout_steps)))}"
            )
        minibatches = self.learning.num_minibatches
        if self.batch_rows % minibatches:
            near = ", ".join(map(str, near_divisors(self.batch_rows, minibatches)))
            return (
                f"num_minibatches {minibatches} does not divide the batch of {self.batch_rows} rows (nearest: {near})"
            )
        if self.total_steps < self.steps_per_iteration:
            return (
                f"total_steps {self.total_steps} is less than one iteration takes: {self.num_envs} envs x "
                f"{self.algorithm.num_samples} samples x {self.rollout_steps} steps = {self.steps_per_iteration}"
            )
        return None

    @property
    def algorithm_name(self) -> str:
        """Name of the algorithm on the command line."""
        return self.algorithm.name

    @property
    def branch_length(self) -> int:
        """n, steps per branch."""
        return self.algorithm.branch_length(self.rollout_steps)

    @property
    def steps_per_iteration(self) -> int:
        """Simulator steps between two updates, T x E x N."""
        return self.rollout_steps * self.num_envs * self.algorithm.num_samples

    @property
    def batch_rows(self) -> int:
        """Rows of a batch, one per observation; branches of one step share their observation."""
        shared = self.branch_length == 1
        return self.rollout_steps * self.num_envs * (1 if shared else self.algorithm.num_samples)

    @property
    def path_steps(self) -> int:
        """Steps of a batch that follow one another: the executed path, or branches where siblings have their own."""
        whole = self.branch_length == 1 or self.algorithm.num_samples == 1
        return self.rollout_steps if whole and not self.algorithm.restarts_branches else self.branch_length

    @property
    def sequence_steps(self) -> int:
        """Steps of the sequences that a recurrent policy is trained on."""
        return self.learning.sequence_steps or self.path_steps

    @property
    def num_iterations(self) -> int:
        """Updates in the whole run."""
        return self.total_steps // self.steps_per_iteration

    def to_table(self) -> dict[str, Any]:
        """Every setting as nested dictionaries, as a file holds them."""
        fields = dataclasses.asdict(self)
        return fields | {"algorithm": {"name": self.algorithm_name, **fields["algorithm"]}}

    def with_table(self, table: Mapping[str, Any]) -> Config:
        """The config with the values of a table in place of its own.

        Raises:
            TableError: A key is unknown, or a value has the wrong type.
            ConfigError: Another algorithm, or values that are not allowed or contradict each other.
        """
        rest = dict(table)
        if isinstance(rest.get("algorithm"), dict):
            name = named_algorithm(rest)
            if name not in (None, self.algorithm_name):
                raise ConfigError(
                    f"algorithm.name is {name}, and {self.algorithm_name} is wanted; leave one of them out"
                )
            rest["algorithm"] = {key: value for key, value in rest["algorithm"].items() if key != "name"}
        return read_table(rest, self)

    def to_json(self) -> str:
        """JSON that `from_json` reads back to an equal config."""
        return json.dumps(self.to_table(), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Config:
        """Config from its JSON; raises ConfigError if a field is missing, unknown or contradictory."""
        try:
            table = json.loads(text)
            if not isinstance(table, dict):
                raise TableError(f"a table is expected; given {table!r}")
            name, task = named_algorithm(table), table.get("task")
            for key, value in {"algorithm.name": name, "task": task}.items():
                if value is None:
                    raise TableError(f"{key} is missing")
            return cls(str(task), ALGORITHMS[str(name)]()).with_table(table)
        except ConfigError:
            raise
        except ValueError as error:
            raise ConfigError(f"not a config of this release: {error}") from error


def named_algorithm(table: Mapping[str, Any]) -> str | None:
    """The algorithm that a table names, None if it names none; raises ConfigError for an unknown one."""
    algorithm = table.get("algorithm", {})
    name = algorithm.get("name") if isinstance(algorithm, dict) else None
    if name is not None and name not in tuple(ALGORITHMS):  # a tuple, because the name may not be hashable
        raise ConfigError(unknown("algorithm", name, tuple(ALGORITHMS)))
    return name
