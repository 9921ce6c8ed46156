"""Slopes in a diagnosis: on the scalar LQR, where they are exact, and of runs with --pathwise."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from support.analytic_envs import ScalarLQR
from support.lqr_policy import GAMMA, RUN, lqr

from hgrpo_control.algorithms import slopes
from hgrpo_control.cli import main
from hgrpo_control.config.algorithms import GRPO, PPO, Algorithm, HybridGRPO
from hgrpo_control.diagnose import report
from hgrpo_control.diagnose.estimators import estimators, own_estimator
from hgrpo_control.diagnose.fixed_roots import on_policy_states, rollouts
from hgrpo_control.diagnose.measurement import Diagnosis, Row, diagnose
from hgrpo_control.diagnose.mix import Mix
from hgrpo_control.diagnose.replicates import with_best_shares
from hgrpo_control.diagnose.settings import DiagnoseSettings
from policies.actor_critic import ActorCritic

pytestmark = pytest.mark.slow

SEVERAL = DiagnoseSettings(
    roots=64, steps=8, samples=(1, 4), branch_steps=(1, 8), lambdas=(1.0,), gae_lambda=1.0, budget=2**15,
    shares=("auto", "0.03", "1"), reference_branches=256, horizon=10,
)  # fmt: skip
SMALL = replace(
    SEVERAL, roots=4, samples=(2,), branch_steps=(4,), shares=("auto", "0.5", "1"), budget=512, reference_branches=32
)
SLOPES = ("Slope", "Mix auto", "Mix 0.03", "Mix 0.5")


def differentiable(critic: bool = True) -> tuple[ScalarLQR, ActorCritic]:
    simulator, policy = lqr(critic)
    simulator.spec = replace(simulator.spec, differentiable=True)
    return simulator, policy


def measured(settings: DiagnoseSettings, algorithm: Algorithm = RUN.algorithm, critic: bool = True) -> Diagnosis:
    simulator, policy = differentiable(critic)
    return diagnose(policy, simulator, replace(RUN, algorithm=algorithm), settings, lambda done, total: None)


@pytest.fixture(scope="module")
def several() -> Diagnosis:
    return measured(SEVERAL)


def row_of(diagnosis: Diagnosis, name: str, samples: int, length: int) -> Row:
    return next(
        row
        for row in diagnosis.rows
        if (row.estimator.name, row.estimator.num_samples, row.estimator.branch_length) == (name, samples, length)
    )


@pytest.mark.parametrize("length", [1, 8])
@pytest.mark.parametrize("samples", [1, 4])
def test_slope_and_mix_are_unbiased_and_less_noisy_than_the_score(
    samples: int, length: int, several: Diagnosis
) -> None:
    names = ("per_sample" if samples == 1 else "group", *SLOPES[1:3], "Slope")
    rows = [row_of(several, name if name in SLOPES else f"Hybrid {name}", samples, length) for name in names]
    for row in rows:
        bias = row.measurement.relative_bias_squared
        assert bias.value < 3.0 * bias.error, row.estimator.name
        assert bias.error < 0.1, row.estimator.name
    score, best, fixed, slope = (row.measurement.variance for row in rows)
    assert slope.upper < score.value
    assert slope.upper < fixed.value < score.value, "between its terms"
    assert best.value < 1.1 * slope.value + 2.0 * best.error


def test_the_table_has_a_row_per_share(several: Diagnosis) -> None:
    by_pair = {
        (n, length): [r.estimator.name for r in several.rows if _pair(r) == (n, length)]
        for n in (1, 4)
        for length in (1, 8)
    }
    assert by_pair[1, 1] == ["Hybrid per_sample", "Mix auto", "Mix 0.03", "Slope"]
    assert by_pair[1, 8] == ["PPO", *by_pair[1, 1]]
    assert by_pair[4, 8][-3:] == ["Mix auto", "Mix 0.03", "Slope"]
    lines = report.headline(several)
    assert any(line.startswith("Mix auto, mean share of slopes: ") and "(N 4, n 8)" in line for line in lines)
    assert not any("left out" in line for line in lines)
    assert report.cells(row_of(several, "Slope", 4, 8))[1] == "-", "lambda changes nothing of a slope"


def _pair(row: Row) -> tuple[int, int]:
    return row.estimator.num_samples, row.estimator.branch_length


def test_the_automatic_share_comes_from_rollouts_of_its_own() -> None:
    simulator, policy = differentiable()
    roots = on_policy_states(simulator, policy, 4, 0)
    (members,) = estimators(replace(SMALL, lambdas=()), RUN.algorithm, True, policy.sigma.detach())
    steps: list[int] = []
    settled = with_best_shares(policy, simulator, roots, members, RUN, SMALL, steps.append)
    assert steps == [8 * 4 * 2] * 8  # of as many rollouts as the budget of 512 steps holds
    mixes = {member.name: member.mix for member in settled}
    best, fixed = mixes["Mix auto"], mixes["Mix 0.5"]
    assert best is not None
    assert fixed is not None
    assert fixed.share == 0.5
    assert isinstance(best.share, torch.Tensor)
    assert best.share.shape == (4, 1)
    seed = SMALL.seed + 2**32
    drawn = list(rollouts(simulator, policy, roots, 2, 4, 8, 8, seed, slope_gamma=GAMMA))
    moments = []
    for rollout in drawn:
        assert rollout.slope is not None
        assert rollout.noise is not None
        score = fixed.score(rollout).advantage.view_as(rollout.reward).unsqueeze(-1) * rollout.noise
        moments.append(slopes.sibling_moments(score, policy.sigma * rollout.slope, 4))
    mean = slopes.Moments(*(torch.stack(parts).mean(0) for parts in zip(*moments, strict=True)))
    torch.testing.assert_close(best.share, slopes.best_share(mean, 2))


def test_progress_counts_the_rollouts_of_the_automatic_share() -> None:
    seen: list[tuple[int, int]] = []
    simulator, policy = differentiable()
    run = replace(RUN, algorithm=replace(RUN.algorithm, pathwise="auto"))
    diagnose(policy, simulator, run, SMALL, lambda done, total: seen.append((done, total)))
    assert seen[-1][0] == seen[-1][1]


@pytest.mark.parametrize(
    ("algorithm", "differs", "reason"),
    [
        (RUN.algorithm, False, "scalar-lqr is not differentiable"),
        (replace(RUN.algorithm, reward_transform="tanh"), True, "reward transform tanh"),
        (replace(RUN.algorithm, gamma=0.01), True, "gamma 0.01 over branches of 4 steps"),
    ],
)
def test_what_has_no_slopes_has_no_such_rows(algorithm: Algorithm, differs: bool, reason: str) -> None:
    simulator, policy = differentiable() if differs else lqr()
    run = replace(RUN, algorithm=algorithm)
    diagnosis = diagnose(policy, simulator, run, SMALL, lambda done, total: None)
    assert not any(row.estimator.name in SLOPES for row in diagnosis.every_row)
    assert any(line.startswith("Slopes are left out: ") and reason in line for line in report.headline(diagnosis))


def test_rows_of_slopes_change_no_other_row() -> None:
    def figures(diagnosis: Diagnosis) -> dict[str, str]:
        return {row.estimator.name: repr(row.measurement) for row in diagnosis.every_row}  # a NaN differs from itself

    with_slopes, without = figures(measured(SMALL)), figures(measured(replace(SMALL, shares=("off",))))
    assert set(with_slopes) - set(without) == {"Slope", "Mix auto", "Mix 0.5"}
    assert without.items() <= with_slopes.items()


@pytest.mark.parametrize(("share", "name"), [("1", "Slope"), ("0.5", "Mix 0.5"), ("auto", "Mix auto")])
def test_a_run_with_slopes_is_the_same_as_the_row_of_its_settings(share: str, name: str) -> None:
    algorithm = HybridGRPO(GAMMA, 1.0, num_samples=2, branch_steps=4, pathwise=share)
    diagnosis = measured(SMALL, algorithm)
    assert diagnosis.own is not None
    assert repr(diagnosis.own.measurement) == repr(row_of(diagnosis, name, 2, 4).measurement)
    assert f"pathwise {share}" in diagnosis.own.estimator.note
    assert any("; mean share of slopes " in line for line in report.headline(diagnosis))
    score = row_of(diagnosis, "Hybrid group", 2, 4)
    assert repr(diagnosis.own.measurement) != repr(score.measurement)


@pytest.mark.parametrize("algorithm", [PPO(GAMMA, pathwise="0.5"), GRPO(GAMMA, scale="none", pathwise="auto")])
def test_ppo_and_grpo_with_slopes_are_measured(algorithm: Algorithm) -> None:
    diagnosis = measured(SMALL, algorithm, critic=algorithm.needs_critic)
    assert diagnosis.own is not None
    assert diagnosis.own.measurement.variance.value > 0.0
    assert diagnosis.own.estimator.mean_share is not None


@pytest.mark.parametrize(("rollout_steps", "length", "note"), [(4, 4, ""), (8, 8, ""), (60, 8, "cut at 8")])
def test_branches_of_a_run_with_slopes_keep_their_length(rollout_steps: int, length: int, note: str) -> None:
    run = replace(RUN, algorithm=replace(RUN.algorithm, pathwise="1"), rollout_steps=rollout_steps)
    own = own_estimator(SMALL, run, torch.ones(1))
    assert own.branch_length == length
    assert own.note.endswith(f"{note} (--steps)" if note else "estimator group")
    assert note or "branches" not in own.note


def test_a_mix_lies_on_the_line_between_score_and_slope() -> None:
    simulator, policy = differentiable()
    roots = on_policy_states(simulator, policy, 4, 0)
    own = own_estimator(SMALL, replace(RUN, algorithm=replace(RUN.algorithm, pathwise="0.3")), policy.sigma.detach())
    (rollout,) = rollouts(simulator, policy, roots, 4, 8, 8, 1, 0, slope_gamma=GAMMA)
    mix = own.mix
    assert mix is not None
    none, some, all_ = (Mix(mix.score, mix.sigma, share)(rollout).wish for share in (0.0, 0.3, 1.0))
    assert none is not None
    assert some is not None
    assert all_ is not None
    torch.testing.assert_close(some, 0.7 * none + 0.3 * all_)
    with pytest.raises(ValueError, match="slopes"):
        mix(rollout._replace(slope=None))


TRAIN = ("--num-envs", "16", "--rollout-steps", "8", "--hidden-sizes", "8", "--update-epochs", "1")
TRAIN += ("--num-minibatches", "2", "--total-steps", "256", "--num-samples", "1", "--pathwise", "auto")
TINY = ("--roots", "4", "--steps", "4", "--samples", "1", "2", "--branch-steps", "4", "--lambdas", "1")
TINY += ("--budget", "256", "--reference-branches", "32", "--horizon", "5", "--shares", "auto", "0.5")


def test_a_run_with_slopes_is_diagnosed_by_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    assert main(["train", "hybrid-grpo", "quadrotor-hover", *TRAIN, "--out", str(run)]) == 0
    capsys.readouterr()
    assert main(["diagnose", str(run), *TINY]) == 0
    out = capsys.readouterr().out
    assert "This run: hybrid-grpo, pathwise auto, " in out
    with (run / "diagnosis.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    own = rows[0]
    same = next(row for row in rows if row["estimator"] == "Mix auto" and row["num_samples"] == "1")
    assert own["estimator"] == "This run"
    assert 0.0 <= float(own["share"]) <= 1.0
    assert float(same["share"]) == float(own["share"])
    assert {row["share"] for row in rows if row["estimator"] == "Mix 0.5"} == {"0.5"}
    assert {row["share"] for row in rows if row["estimator"] == "Hybrid per_sample"} == {""}
