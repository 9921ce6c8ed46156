"""Which estimators a diagnosis compares, and that its settings do not disturb each other."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from support.lqr_policy import GAMMA, RUN, lqr

from hgrpo_control.config.algorithms import GRPO, PPO
from hgrpo_control.diagnose.estimators import estimators
from hgrpo_control.diagnose.fixed_roots import on_policy_states
from hgrpo_control.diagnose.measurement import Diagnosis, diagnose, draw_reference
from hgrpo_control.diagnose.settings import DiagnoseSettings
from hgrpo_control.rewards.transforms import Elementwise

pytestmark = pytest.mark.slow


def diagnosed(settings: DiagnoseSettings) -> Diagnosis:
    simulator, policy = lqr()
    return diagnose(policy, simulator, RUN, settings, lambda done, total: None)


def test_the_seed_decides_and_settings_do_not_disturb_each_other() -> None:
    small = DiagnoseSettings(
        roots=4,
        steps=4,
        samples=(2, 3),
        branch_steps=(2,),
        lambdas=(0.0,),
        budget=256,
        reference_branches=32,
        horizon=4,
    )

    def figures(settings: DiagnoseSettings, samples: tuple[int, ...] = (1, 2, 3)) -> list[str]:
        # as text, because a NaN differs from itself
        rows = diagnosed(settings).rows
        return [repr(row.measurement) for row in rows if row.estimator.num_samples in samples]

    assert figures(small) == figures(small)
    assert figures(replace(small, samples=(3,), lambdas=())) == figures(small, samples=(3,))
    assert figures(replace(small, seed=1)) != figures(small)


def test_progress_ends_where_it_said_it_would() -> None:
    small = DiagnoseSettings(
        roots=4, steps=4, samples=(2,), branch_steps=(2,), lambdas=(0.0,), budget=256, reference_branches=32, horizon=6
    )
    simulator, policy = lqr()
    seen: list[tuple[int, int]] = []
    diagnose(policy, simulator, RUN, small, lambda done, total: seen.append((done, total)))
    # 32 branches of 10 steps from 4 roots, then three times 256 steps: this run, PPO, groups
    assert seen[-1] == (32 * 10 * 4 + 3 * 256, 32 * 10 * 4 + 3 * 256)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_without_critic_grpo_is_left() -> None:
    simulator, policy = lqr(critic=False)
    run = replace(RUN, algorithm=GRPO(GAMMA))
    small = DiagnoseSettings(roots=4, steps=4, samples=(2,), branch_steps=(2,), budget=256, reference_branches=32)
    diagnosis = diagnose(policy, simulator, run, small, lambda done, total: None)
    assert [row.estimator.name for row in diagnosis.rows] == ["GRPO", "GRPO unscaled"]
    alone = diagnose(policy, simulator, run, replace(small, samples=()), lambda done, total: None)
    assert alone.rows == []
    assert diagnosis.own is not None
    assert alone.own is not None
    assert repr(alone.own.measurement) == repr(diagnosis.own.measurement)


def test_estimators_follow_the_run() -> None:
    ppo = PPO(gamma=0.8, gae_lambda=0.7)
    shared = estimators(DiagnoseSettings(samples=(2, 2), branch_steps=(4,)), ppo, critic=True)
    assert [len(members) for members in shared] == [6, 6]
    lambdas = {member.name: member.gae_lambda for member in shared[1]}
    assert lambdas["Hybrid group"] == 0.7
    assert lambdas["Hybrid paper"] == 1.0
    assert lambdas["GRPO"] is None
    given = estimators(DiagnoseSettings(samples=(2,), branch_steps=(4,), gae_lambda=0.5), ppo, critic=True)
    assert {member.gae_lambda for member in given[1]} == {None, 0.5, 1.0}
    grpo_lambdas = {m.gae_lambda for m in estimators(DiagnoseSettings(samples=(2,)), GRPO(), critic=True)[1]}
    assert grpo_lambdas == {None, 1.0}


def test_gradients_are_those_of_transformed_rewards() -> None:
    simulator, policy = lqr(critic=False)  # without V, twice the reward is twice the gradient
    small = DiagnoseSettings(roots=4, steps=4, samples=(2,), branch_steps=(2,), budget=256, reference_branches=32)
    run, roots = replace(RUN, algorithm=GRPO(GAMMA)), on_policy_states(simulator, policy, 4, 0)
    drawn = (
        draw_reference(policy, simulator, roots, run, small, 6, lambda steps: None, transform).gradients
        for transform in (None, Elementwise(lambda reward: 2.0 * reward))
    )
    plain, doubled = drawn
    torch.testing.assert_close(doubled, 2.0 * plain)
    assert plain.abs().max() > 0.0
