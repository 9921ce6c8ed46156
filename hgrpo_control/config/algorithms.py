"""Settings of the three algorithms; importable without torch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal, Union

from hgrpo_control.config.group import GroupSettings
from hgrpo_control.config.guidance import GuidanceSettings
from hgrpo_control.config.pathwise import PathwiseSettings
from hgrpo_control.config.reward import RewardSettings
from hgrpo_fields import Range, field_problem


@dataclass(frozen=True, kw_only=True)
class AlgorithmSettings(PathwiseSettings, RewardSettings):
    """What the rest of a run needs to know about an algorithm."""

    name: ClassVar[str]
    """On the command line and in config.json."""
    needs_critic: ClassVar[bool] = True

    @property
    def restarts_branches(self) -> bool:
        """Whether every branch starts in a new initial state instead of on the executed path."""
        return False

    @property
    def guided(self) -> HybridGRPO | None:
        """The settings themselves where they ask for guided sampling, else None."""
        return None


@dataclass(frozen=True)
class PPO(AlgorithmSettings):
    """Proximal policy optimisation with generalised advantage estimation (paper eq. 1-4)."""

    name: ClassVar[str] = "ppo"

    gamma: Annotated[float, Range(least=0, most=1)] = 0.99
    """Discount per control step."""
    gae_lambda: Annotated[float, Range(least=0, most=1)] = 0.95
    """Lambda of GAE: 0 is the one-step advantage of eq. 2, 1 the Monte-Carlo return minus V."""

    @property
    def num_samples(self) -> int:
        """PPO does not branch."""
        return 1

    def branch_length(self, rollout_steps: int) -> int:
        """n: PPO's only branch is the rollout itself."""
        return rollout_steps

    @property
    def sibling_noise(self) -> Literal["shared"]:
        """PPO has no siblings."""
        return "shared"

    @property
    def uncompared(self) -> PPO:
        """The same algorithm without a comparison of siblings: PPO compares none."""
        return self

    def problem(self) -> str | None:
        """One error line for values that are not allowed; None otherwise."""
        return field_problem(self) or self.reward_problem() or self.pathwise_problem()


@dataclass(frozen=True)
class GRPO(GroupSettings, AlgorithmSettings):
    """Group relative policy optimisation: no critic, returns are compared within a group (paper eq. 5-9)."""

    name: ClassVar[str] = "grpo"
    needs_critic: ClassVar[bool] = False

    gamma: Annotated[float, Range(least=0, most=1)] = 0.99
    """Discount per control step."""
    num_samples: Annotated[int, Range(least=2)] = 4
    """Branches per root, N."""
    branch_steps: Annotated[int | None, Range(least=1)] = None
    """Steps per branch, n, a divisor of rollout_steps; None is the whole rollout."""
    sibling_noise: Literal["shared", "split"] = "shared"
    """Random numbers of sibling branches after the root: shared by all, or split between them."""

    def branch_length(self, rollout_steps: int) -> int:
        """n: `branch_steps`, or the whole rollout where it is None."""
        return rollout_steps if self.branch_steps is None else self.branch_steps

    @property
    def restarts_branches(self) -> bool:
        """Whether every branch starts in a new initial state instead of on the executed path."""
        return self.groups == "initial_states"

    @property
    def uncompared(self) -> None:
        """GRPO's advantages are nothing but a comparison of siblings."""
        return None

    def problem(self) -> str | None:
        """One error line for values that are not allowed; None otherwise."""
        return field_problem(self) or self.reward_problem() or self.pathwise_problem()


@dataclass(frozen=True)
class HybridGRPO(GuidanceSettings, AlgorithmSettings):
    """Hybrid GRPO: bootstrapped returns of N branches per root, compared within a group (paper eq. 10-16)."""

    name: ClassVar[str] = "hybrid-grpo"

    gamma: Annotated[float, Range(least=0, most=1)] = 0.99
    """Discount per control step."""
    gae_lambda: Annotated[float, Range(least=0, most=1)] = 1.0
    """Lambda of the returns inside a branch and along the executed path."""
    num_samples: Annotated[int, Range(least=1)] = 4
    """Branches per root, N; 1 is PPO."""
    branch_steps: Annotated[int | None, Range(least=1)] = None
    """Steps per branch, n, a divisor of rollout_steps; None is the whole rollout."""
    estimator: Literal["group", "group_shrunk", "per_sample", "paper"] = "group"
    """Advantage estimator of the branches; docs/algorithms.md has the formulas."""
    sibling_noise: Literal["shared", "split"] = "shared"
    """Random numbers of sibling branches after the root: shared by all, or split between them."""

    def branch_length(self, rollout_steps: int) -> int:
        """n: `branch_steps`, or the whole rollout where it is None."""
        return rollout_steps if self.branch_steps is None else self.branch_steps

    @property
    def guided(self) -> HybridGRPO | None:
        """The settings themselves where they ask for guided sampling, else None."""
        return self if self.guided_candidates else None

    @property
    def uncompared(self) -> HybridGRPO:
        """The same algorithm without a comparison of siblings."""
        return replace(self, estimator="per_sample")

    def problem(self) -> str | None:
        """One error line for values that are not allowed; None otherwise."""
        problem = (
            field_problem(self)
            or self.reward_problem()
            or self.pathwise_problem()
            or self.guidance_problem(self.num_samples)
        )
        if problem is None and self.sibling_noise == "split" and self.num_samples == 1:
            problem = "sibling_noise split does nothing with num_samples 1; allowed: shared, or more samples"
        return problem


Algorithm = Union[PPO, GRPO, HybridGRPO]  # noqa: UP007  (typing.get_args on Python 3.10)
ALGORITHMS: dict[str, type[Algorithm]] = {kind.name: kind for kind in (PPO, GRPO, HybridGRPO)}
