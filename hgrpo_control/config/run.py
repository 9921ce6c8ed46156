"""Every setting of a training run as frozen dataclasses; importable without torch."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import tyro

from hgrpo_control.config.device import device_problem
from hgrpo_control.config.divisors import divisors, near_divisors
from hgrpo_control.config.entropy import EntropySettings
from hgrpo_control.config.group import GroupSettings
from hgrpo_control.config.guidance import GuidanceSettings
from hgrpo_control.config.imports import IMPORTS
from hgrpo_control.config.inert import inert_problem
from hgrpo_control.config.named_values import TASK_OPTIONS
from hgrpo_control.config.ranges import range_problem
from hgrpo_control.config.reward import RewardSettings
from hgrpo_control.config.schedules import CURRICULUM, curriculum_problem
from hgrpo_errors import HgrpoError, unknown
from hgrpo_imports import imports_problem


class ConfigError(HgrpoError):
    """Raised for settings that contradict each other; the message says what was given and what is allowed."""


@dataclass(frozen=True)
class PPO(RewardSettings):
    """Proximal policy optimisation with generalised advantage estimation (paper eq. 1-4)."""

    gamma: float = 0.99
    """Discount per control step."""
    gae_lambda: float = 0.95
    """0 is the paper's one-step advantage (eq. 2), 1 the Monte-Carlo return minus V."""

    @property
    def num_samples(self) -> int:
        """PPO does not branch."""
        return 1

    @property
    def branch_steps(self) -> None:
        """PPO's only branch is the rollout itself."""
        return None

    @property
    def sibling_noise(self) -> Literal["shared"]:
        """PPO has no siblings."""
        return "shared"


@dataclass(frozen=True)
class GRPO(GroupSettings, RewardSettings):
    """Group relative policy optimisation: no critic, returns compared within the group (paper eq. 5-9, DeepSeek's
    form)."""

    gamma: float = 0.99
    """Discount per control step."""
    num_samples: int = 4
    """N, branches per root; at least 2."""
    branch_steps: int | None = None
    """n, steps per branch; must divide the rollout. None is the whole rollout."""
    sibling_noise: Literal["shared", "split"] = "shared"
    """Whether the branches of a root meet the same randomness to come, such as gusts, or each its own."""


@dataclass(frozen=True)
class HybridGRPO(GuidanceSettings, RewardSettings):
    """Hybrid GRPO: bootstrapped returns of N branches per root, compared within the group (paper eq. 10-16)."""

    gamma: float = 0.99
    """Discount per control step."""
    gae_lambda: float = 1.0
    """Weight of longer returns inside a branch and along the executed path."""
    num_samples: int = 4
    """N, branches per root; 1 is PPO."""
    branch_steps: int | None = None
    """n, steps per branch; must divide the rollout. None is the whole rollout."""
    estimator: Literal["group", "group_shrunk", "per_sample", "paper"] = "group"
    """How branches become advantages; see advantages.py."""
    sibling_noise: Literal["shared", "split"] = "shared"
    """Whether the branches of a root meet the same randomness to come, such as gusts, or each its own."""


Algorithm = Union[PPO, GRPO, HybridGRPO]  # noqa: UP007  (isinstance and typing.get_args on Python 3.10)
ALGORITHMS: dict[str, type[Algorithm]] = {"ppo": PPO, "grpo": GRPO, "hybrid-grpo": HybridGRPO}


@dataclass(frozen=True)
class Network:
    """Shape and start of the policy."""

    hidden_sizes: tuple[int, ...] = (64, 64)
    """Units of the hidden layers of actor and critic each."""
    activation: Literal["tanh", "relu", "elu"] = "tanh"
    init_sigma: float = 0.5
    """Standard deviation of a fresh policy, in normalised action units."""
    min_sigma: float = 0.01
    """Floor under it."""
    privileged_critic: bool = False
    """Let the critic see what the task hides from the policy, such as mass and wind; the policy needs none of it."""


@dataclass(frozen=True)
class Learning(EntropySettings):
    """How a batch is turned into parameter updates."""

    learning_rate: float = 1e-3
    lr_schedule: Literal["constant", "linear"] = "linear"
    """Linear goes to zero at the end of the run."""
    update_epochs: int = 10
    """Passes over each batch."""
    num_minibatches: int = 8
    """Minibatches per pass; must divide the rows of a batch."""
    clip_coef: float = 0.2
    """epsilon of eq. 3, 9 and 14."""
    clip_high: float | None = None
    """epsilon above a ratio of 1 alone; None is clip_coef there too."""
    vf_coef: float = 0.5
    """Weight of the value loss."""
    kl_coef: float = 0.0
    """Weight of the KL divergence to the reference policy."""
    reference: str | None = None
    """Run folder or checkpoint of the reference policy."""
    max_grad_norm: float = 1.0
    """Gradients of actor and critic longer than this are shortened to it, each by itself."""
    target_kl: float | None = None
    """Stop an update early once the mean KL of a pass exceeds this."""
    normalize_advantage: bool = True
    """Scale advantages of a batch to mean 0 and variance 1."""


@dataclass(frozen=True)
class Config:
    """One training run."""

    task: Annotated[str, tyro.conf.Suppress]  # the command line takes it as an argument, not as an option
    algorithm: Algorithm
    seed: int = 0
    total_steps: int = 1_000_000
    """Simulator steps after which training ends; every step any branch takes counts."""
    num_envs: int = 512
    """E, roots that run in parallel."""
    rollout_steps: int = 64
    """T, executed steps per root between two updates."""
    network: Network = field(default_factory=Network)
    learning: Learning = field(default_factory=Learning)
    task_options: Annotated[dict[str, str], TASK_OPTIONS] = field(default_factory=dict)
    """Options of the task, such as quadrotor=cf2x mass=0.3, all behind one flag."""
    curriculum: Annotated[dict[str, str], CURRICULUM] = field(default_factory=dict)
    """Settings of the task that move during training, such as difficulty=0:1@steps:0:2e6 or @success:0.8:0.1."""
    checkpoint_every: int = 10
    """Iterations between two checkpoints."""
    device: str = "cpu"
    """Where networks and simulator run: cpu, cuda or cuda:N; tasks that are not made for GPUs take cpu alone."""
    imports: IMPORTS = ()
    """Module of yours to import first: it may register tasks and robots. Other commands take it again."""

    def __post_init__(self) -> None:
        for settings in (self.algorithm, self.network, self.learning):
            _require_choices(settings)
        out_of_range = range_problem(self)
        if out_of_range is not None:
            raise ConfigError(out_of_range)
        if self.network.privileged_critic and isinstance(self.algorithm, GRPO):
            raise ConfigError("grpo has no critic, so privileged_critic means nothing to it")
        name, samples = self.algorithm_name, self.algorithm.num_samples
        if isinstance(self.algorithm, GRPO) and samples < 2:
            raise ConfigError(
                f"grpo compares samples with each other, so num_samples must be at least 2; given {samples}"
            )
        problem = self.algorithm.reward_problem() or self.learning.entropy_problem(self.network.min_sigma)
        if problem is None and isinstance(self.algorithm, HybridGRPO):
            problem = self.algorithm.guidance_problem(samples)
        if problem is None and isinstance(self.algorithm, GRPO):
            problem = inert_problem(self.learning, ("vf_coef",), "with grpo, which has no critic; leave it out")
        if problem is None and self.algorithm.sibling_noise == "split" and samples == 1:
            problem = "sibling_noise split does nothing with num_samples 1; allowed: shared, or more samples"
        problem = problem or curriculum_problem(self.curriculum) or device_problem(self.device)
        problem = problem or imports_problem(self.imports)
        if problem is not None:
            raise ConfigError(problem)
        if self.rollout_steps % self.branch_steps:
            raise ConfigError(
                f"{name}: branch_steps {self.branch_steps} does not divide rollout_steps {self.rollout_steps}; "
                f"allowed: {', '.join(map(str, divisors(self.rollout_steps)))}"
            )
        minibatches = self.learning.num_minibatches
        if self.batch_rows % minibatches:
            near = ", ".join(map(str, near_divisors(self.batch_rows, minibatches)))
            raise ConfigError(
                f"num_minibatches {minibatches} does not divide the batch of {self.batch_rows} rows (nearest: {near})"
            )
        if self.total_steps < self.steps_per_iteration:
            raise ConfigError(
                f"total_steps {self.total_steps} is less than one iteration takes: {self.num_envs} envs x "
                f"{samples} samples x {self.rollout_steps} steps = {self.steps_per_iteration}"
            )

    @property
    def algorithm_name(self) -> str:
        """Name of the algorithm on the command line."""
        return next(name for name, kind in ALGORITHMS.items() if type(self.algorithm) is kind)

    @property
    def branch_steps(self) -> int:
        """n, with None read as the whole rollout."""
        steps = self.algorithm.branch_steps
        return self.rollout_steps if steps is None else steps

    @property
    def steps_per_iteration(self) -> int:
        """Simulator steps between two updates, T x E x N."""
        return self.rollout_steps * self.num_envs * self.algorithm.num_samples

    @property
    def batch_rows(self) -> int:
        """Rows of a batch: one per observation, which all N samples share when branches are one step long."""
        shared = self.branch_steps == 1
        return self.rollout_steps * self.num_envs * (1 if shared else self.algorithm.num_samples)

    @property
    def num_iterations(self) -> int:
        """Updates in the whole run."""
        return self.total_steps // self.steps_per_iteration

    def to_json(self) -> str:
        """JSON that `from_json` reads back to an equal config."""
        fields = dataclasses.asdict(self)
        fields["algorithm"] = {"name": self.algorithm_name, **fields["algorithm"]}
        return json.dumps(fields, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Config:
        """Config from its JSON; raises ConfigError if a field is missing, unknown or contradictory."""
        try:
            fields: dict[str, Any] = json.loads(text)
            algorithm = dict(fields["algorithm"])
            name = algorithm.pop("name")
            if name not in ALGORITHMS:
                raise ConfigError(f"unknown algorithm {name!r}; allowed: {', '.join(ALGORITHMS)}")
            fields["algorithm"] = ALGORITHMS[name](**algorithm)
            network = dict(fields["network"])
            network["hidden_sizes"] = tuple(network["hidden_sizes"])
            fields["network"] = Network(**network)
            fields["learning"] = Learning(**fields["learning"])
            fields["imports"] = tuple(fields.get("imports", ()))  # older runs imported nothing
            return cls(**fields)
        except ConfigError:
            raise
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise ConfigError(f"not a config of this release: {error}") from error


def _require_choices(settings: object) -> None:
    """Raise ConfigError for a field whose value is not among those that its type names."""
    for name, kind in get_type_hints(type(settings)).items():
        value = getattr(settings, name)
        if get_origin(kind) is Literal and value not in get_args(kind):
            raise ConfigError(unknown(name, value, get_args(kind)))
