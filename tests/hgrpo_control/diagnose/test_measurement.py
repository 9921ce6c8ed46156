"""Variance and bias on the scalar LQR, where V, the policy gradient and the scatter of its estimates are known.

Under u = mu + s z, mu = -k x, the advantage is l z + q (z^2 - 1) with l = -2 s (r mu + gamma b P (a x + b mu)) and
q = -s^2 (r + gamma b^2 P). Scores are z phi / sigma for the mean's weights and bias, phi = (x, x^2, 1), and
(z^2 - 1) (sigma - sigma_min) / sigma for raw sigma. With E z^2, z^4, z^6, z^8 = 1, 3, 15, 105 the moments are

    f          E f A    E f^2    E f^2 A^2          and E A^2 = l^2 + 2 q^2
    z            l        1      3 l^2 + 10 q^2
    z^2 - 1     2 q       2      10 l^2 + 60 q^2
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pytest
import torch
from support.analytic_envs import ScalarLQR
from support.lqr_policy import GAIN, GAMMA, MIN_SIGMA, NORMALISED, RUN, SIGMA, lqr
from torch import Tensor

from hgrpo_control.config.run import Config
from hgrpo_control.diagnose.estimators import estimators
from hgrpo_control.diagnose.fixed_roots import on_policy_states
from hgrpo_control.diagnose.gradient_statistics import summarise
from hgrpo_control.diagnose.measurement import (
    Diagnosis,
    Reference,
    Row,
    diagnose,
    draw_reference,
)
from hgrpo_control.diagnose.replicates import draw_gradients
from hgrpo_control.diagnose.settings import DiagnoseSettings
from policies.actor_critic import ActorCritic

pytestmark = pytest.mark.slow


def spoil(policy: ActorCritic) -> None:
    """V = 0."""
    assert policy.critic is not None
    with torch.no_grad():
        for parameter in policy.critic.parameters():
            parameter.zero_()


def measured(settings: DiagnoseSettings, run: Config = RUN, exact: bool = True) -> Diagnosis:
    simulator, policy = lqr()
    if not exact:
        spoil(policy)
    return diagnose(policy, simulator, run, settings, lambda done, total: None)


def by_kind(diagnosis: Diagnosis, name: str) -> Iterator[Row]:
    return (row for row in diagnosis.rows if row.estimator.name == name)


class Known(NamedTuple):
    """Closed forms for rollouts of one step with one-step branches from fixed roots."""

    gradient: Tensor
    """(4,) g*."""
    per_sample: float
    """tr Cov of the estimators."""
    paper: float
    group: float


def known(x: Tensor, n: int, discount: float = GAMMA) -> Known:
    """Known figures for roots x (E,) and N = n; with discount 0 the advantage is that of the reward alone."""
    simulator, _ = lqr()
    p, _ = simulator.value_coefficients(GAIN, SIGMA)
    mu = -GAIN * x
    linear = -2.0 * SIGMA * (mu + discount * p * (x + mu))
    quadratic = torch.full_like(x, -(SIGMA**2) * (1.0 + discount * p))
    power = linear**2 + 2.0 * quadratic**2
    features = torch.stack((x, x**2, torch.ones_like(x)), dim=1)
    rise = (NORMALISED - MIN_SIGMA) / NORMALISED
    gradient = torch.cat(((features * linear.unsqueeze(1)).mean(0) / NORMALISED, 2.0 * rise * quadratic.mean()[None]))
    totals = dict.fromkeys(("per_sample", "paper", "group"), 0.0)
    z = (features.square().sum(1) / NORMALISED**2, linear, 1.0, 3.0 * linear**2 + 10.0 * quadratic**2)
    z2 = (torch.full_like(x, rise**2), 2.0 * quadratic, 2.0, 10.0 * linear**2 + 60.0 * quadratic**2)
    for weight, fa, f2, f2a2 in (z, z2):
        # independent samples
        totals["per_sample"] += (weight * (f2a2 - fa**2)).sum().item() / n
        # (sum f) (sum A) / N^2: of four factors that differ in sample, only pairs survive
        product = (n * f2a2 + n * (n - 1) * (f2 * power + 2.0 * fa**2)) / n**4
        totals["paper"] += (weight * (product - fa**2 / n**2)).sum().item()
        # A_i less the mean of N - 1 others; f_i B_i f_m B_m leaves (E f A)^2 / (N - 1)^2
        own, cross = f2a2 + f2 * power / (n - 1), fa**2 * (1.0 + 1.0 / (n - 1) ** 2)
        totals["group"] += (weight * (own / n + (1.0 - 1.0 / n) * cross - fa**2)).sum().item()
    return Known(gradient, **{name: total / len(x) ** 2 for name, total in totals.items()})


ONE_STEP = DiagnoseSettings(
    roots=128, steps=1, samples=(4,), branch_steps=(1,), lambdas=(1.0,), budget=2**16, reference_branches=256,
)  # fmt: skip
Drawn = tuple[Tensor, dict[str, Tensor]]


def one_step_reference(policy: ActorCritic, simulator: ScalarLQR, horizon: int) -> tuple[Tensor, Reference]:
    roots = on_policy_states(simulator, policy, ONE_STEP.roots, 3)
    reference = draw_reference(policy, simulator, roots, RUN, ONE_STEP, horizon, lambda steps: None)
    return roots.state.x.double(), reference


@pytest.mark.parametrize(("critic", "horizon"), [("exact", 3), ("wrong", 60), ("none", 60)])
def test_the_reference_is_the_exact_gradient(critic: str, horizon: int) -> None:
    # Where V is exact, any horizon will do; where it is wrong or missing, 0.9^60 = 0.2 % of the error is left.
    simulator, policy = lqr(critic=critic != "none")
    if critic == "wrong":
        spoil(policy)
    x, reference = one_step_reference(policy, simulator, horizon)
    exact = known(x, 2).gradient
    standard = reference.gradients.double().std(0) / len(reference.gradients) ** 0.5
    assert bool(((reference.gradients.double().mean(0) - exact).abs() < 3.5 * standard).all())
    assert standard.norm().item() < 0.15 * exact.norm().item()
    norm = reference.squared_norm
    assert abs(norm.value - exact.square().sum().item()) < 3.5 * norm.error
    assert reference.relative_error == pytest.approx(standard.norm().item() / exact.norm().item(), rel=0.2)


@pytest.fixture(scope="module")
def one_step() -> Drawn:
    """Roots x and gradients (R, 4) by estimator."""
    simulator, policy = lqr()
    roots = on_policy_states(simulator, policy, ONE_STEP.roots, 3)
    found = {}
    for members in estimators(ONE_STEP, RUN.algorithm, critic=True):
        drawn = draw_gradients(policy, simulator, roots, members, RUN, ONE_STEP, lambda steps: None)
        found |= {member.name: drawn[:, k] for k, member in enumerate(members)}
    return roots.state.x.double(), found


@pytest.mark.parametrize("name", ["PPO", "Hybrid per_sample", "Hybrid group", "Hybrid paper"])
def test_bias_and_variance_of_one_step_are_the_known_ones(name: str, one_step: Drawn) -> None:
    # `paper` keeps 1 / N of the signal. Were A linear in z, its noise-to-signal ratio would be exactly N times that of
    # per_sample: with q = 0 and f = z the variances are 2 l^2 / N^2 and 2 l^2 / N, and the signals (l / N)^2 and l^2.
    x, found = one_step
    closed, drawn = known(x, 4), found[name].double()
    kind = "per_sample" if name == "PPO" else name.split()[1]
    scatter = getattr(closed, kind) * (4.0 if name == "PPO" else 1.0)
    expected = closed.gradient * (0.25 if kind == "paper" else 1.0)
    standard = drawn.std(0) / len(drawn) ** 0.5
    assert bool(((drawn.mean(0) - expected).abs() < 3.5 * standard).all())
    assert standard.norm().item() < 0.15 * expected.norm().item()
    variance = summarise(drawn, expected.repeat(3, 1), passes=1.0).variance
    assert abs(variance.value - scatter) < 3.5 * variance.error
    assert variance.error < 0.2 * scatter


def test_unscaled_grpo_sees_the_reward_of_its_branch_and_a_share_of_itself(one_step: Drawn) -> None:
    # One step of reward and nothing after it; a mean of N = 4 returns that holds one's own takes 1 / 4 of it away.
    x, found = one_step
    expected = 0.75 * known(x, 4, discount=0.0).gradient
    drawn = found["GRPO unscaled"].double()
    standard = drawn.std(0) / len(drawn) ** 0.5
    assert bool(((drawn.mean(0) - expected).abs() < 3.5 * standard).all())
    assert standard.norm().item() < 0.15 * expected.norm().item()


SEVERAL = DiagnoseSettings(
    roots=64, steps=8, samples=(2, 4), branch_steps=(1, 8), lambdas=(0.0, 0.9, 1.0), gae_lambda=0.9, budget=2**15,
    reference_branches=256, horizon=10,
)  # fmt: skip


@pytest.fixture(scope="module")
def several() -> Diagnosis:
    return measured(SEVERAL)


def test_with_the_exact_critic_nothing_but_grpo_and_the_paper_is_biased(several: Diagnosis) -> None:
    for row in several.rows:
        bias = row.measurement.relative_bias_squared
        if row.estimator.name in ("PPO", "Hybrid per_sample", "Hybrid group", "Hybrid group_shrunk"):
            assert bias.value < 3.0 * bias.error, row.estimator
            assert bias.error < 0.1, row.estimator
        else:
            assert bias.value > 3.0 * bias.error, row.estimator


def test_the_paper_is_unbiased_after_multiplying_by_the_number_of_samples() -> None:
    simulator, policy = lqr()
    roots = on_policy_states(simulator, policy, SEVERAL.roots, 0)
    reference = draw_reference(policy, simulator, roots, RUN, SEVERAL, 10, lambda steps: None)
    members = [e for group in estimators(SEVERAL, RUN.algorithm, True) for e in group if e.name == "Hybrid paper"]
    (paper,) = (e for e in members if (e.num_samples, e.branch_length) == (4, 1))
    drawn = draw_gradients(policy, simulator, roots, [paper], RUN, SEVERAL, lambda steps: None)[:, 0]
    scaled = summarise(4.0 * drawn, reference.gradients, passes=1.0).relative_bias_squared
    assert scaled.value < 3.0 * scaled.error
    assert scaled.error < 0.1
    plain = summarise(drawn, reference.gradients, passes=1.0)
    assert plain.best_scale.value == pytest.approx(4.0, rel=0.15)
    assert plain.relative_bias_squared.value == pytest.approx(0.75**2, rel=0.15)


def test_noise_is_ordered_as_it_should_be(several: Diagnosis) -> None:
    # V is exact: longer returns add nothing but the scatter of what follows, and siblings average it.
    ppo = [row.measurement.variance for row in by_kind(several, "PPO")]
    assert ppo[0].upper < ppo[1].value < ppo[2].value
    for name in ("Hybrid group", "Hybrid per_sample"):
        two, four = (row for row in by_kind(several, name) if row.estimator.branch_length == 8)
        assert four.measurement.variance.upper < two.measurement.variance.value
    papers = [row for row in by_kind(several, "Hybrid paper") if row.estimator.branch_length == 1]
    alone = [row for row in by_kind(several, "Hybrid per_sample") if row.estimator.branch_length == 1]
    for paper, per_sample in zip(papers, alone, strict=True):
        assert paper.measurement.variance.value < per_sample.measurement.variance.value
    for row in several.rows:
        assert row.equal_steps.value == pytest.approx(
            row.estimator.num_samples * row.measurement.noise_to_signal.value, nan_ok=True
        )


def test_a_wrong_critic_is_found_out() -> None:
    # V = 0: one-step errors see nothing of the future, and within 8 steps lambda = 1 still misses what comes after.
    settings = DiagnoseSettings(
        roots=64, steps=8, samples=(4,), branch_steps=(8,), lambdas=(0.0, 1.0), budget=2**15, reference_branches=256
    )
    diagnosis = measured(settings, exact=False)
    assert diagnosis.reference.horizon == 44  # 0.9^44 = 0.0097
    one_step, to_the_end = (row.measurement.relative_bias_squared for row in by_kind(diagnosis, "PPO"))
    assert one_step.value - 3.0 * one_step.error > to_the_end.value
    assert one_step.value > 3.0 * one_step.error
    group, alone = (next(by_kind(diagnosis, f"Hybrid {kind}")).measurement for kind in ("group", "per_sample"))
    assert group.variance.upper < alone.variance.value  # siblings take the place of V
