"""stable-baselines3 as a learner of the suites: settings, run folders, evaluation, and its place beside ours."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import math
from pathlib import Path

import pytest

from benchmarks.suite.collect import collect
from benchmarks.suite.definition import Suite, SuiteError, Variant
from benchmarks.suite.learners.stable_baselines3_settings import ZOO, StableBaselines3Config, parse_options
from benchmarks.suite.plan import Run, clear_unstarted, next_step, planned_runs, require_agreement
from hgrpo_control.command_line.parsing import UsageError
from hgrpo_control.config.run import ConfigError
from hgrpo_control.runs.run_folder import RunFolder

pytestmark = pytest.mark.slow

PENDULUM = "InvertedDoublePendulum-v5"
SMALL = ("--total-steps", "300", "--n-epochs", "2")

needs_stable_baselines3 = pytest.mark.skipif(
    importlib.util.find_spec("stable_baselines3") is None,
    reason="this learner needs the extra `bench`: pip install -c constraints.txt -e '.[bench]'",
)


def the_run(root: Path, *options: str) -> Run:
    variant = Variant("sb3", "ppo", (*SMALL, *options), learner="stable-baselines3")
    return planned_runs(Suite("trial", "Trial", (PENDULUM,), (variant,), (3,), episodes=4), root)[0]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of two iterations of 128 steps."""
    from benchmarks.suite.learners.stable_baselines3 import main

    run = the_run(tmp_path_factory.mktemp("trained"))
    with pytest.warns(UserWarning, match="mini-batch size of 512"):  # the zoo's, which a batch of 128 does not fill
        main(run.words("train"))
    return run


def test_what_an_option_does_not_name_is_the_zoos() -> None:
    config = parse_options("ppo", PENDULUM, ["--total-steps", "300", "--gamma", "0.5"])
    assert config.settings == dataclasses.replace(ZOO[PENDULUM], gamma=0.5)
    # 300 // 128 whole iterations; what is left over is not run.
    assert (config.steps_per_iteration, config.num_iterations) == (128, 2)
    assert StableBaselines3Config.from_json(config.to_json()) == config


@pytest.mark.parametrize(
    ("task", "words", "message"),
    [
        ("HalfCheeta-v5", [], "no settings here for 'HalfCheeta-v5'; did you mean 'HalfCheetah-v5'"),
        (PENDULUM, ["--total-steps", "100"], "total_steps 100 is less than one iteration takes: 128"),
    ],
)
def test_settings_that_cannot_be_run_are_refused(task: str, words: list[str], message: str) -> None:
    with pytest.raises((ConfigError, UsageError), match=message):
        parse_options("ppo", task, words)


def test_a_stored_task_that_would_be_imported_is_refused() -> None:
    text = parse_options("ppo", PENDULUM, []).to_json().replace(f'"{PENDULUM}"', f'"trap:{PENDULUM}"')
    with pytest.raises(ConfigError, match=f"unknown task 'trap:{PENDULUM}'; did you mean '{PENDULUM}'"):
        StableBaselines3Config.from_json(text)


def test_a_variant_names_a_learner_and_one_of_its_algorithms() -> None:
    with pytest.raises(SuiteError, match=r"variant a names the learner 'stable-baselines'; did you mean 'stable-bas"):
        Variant("a", "ppo", learner="stable-baselines")
    with pytest.raises(SuiteError, match=r"variant a: unknown algorithm 'grpo'; allowed: ppo"):
        Variant("a", "grpo", learner="stable-baselines3")


def test_a_run_killed_before_its_end_begins_again(tmp_path: Path) -> None:
    run = the_run(tmp_path)
    RunFolder.create(run.path, run.config)  # type: ignore[arg-type]
    (run.path / "metrics.csv").write_text("iteration\n", encoding="utf-8")
    require_agreement([run])
    assert next_step(run) == "train"
    clear_unstarted(run)
    assert not run.path.exists()


@needs_stable_baselines3
def test_a_run_leaves_metrics_of_every_iteration(trained: Run) -> None:
    rows = trained.folder.read_metrics()
    assert [(row["iteration"], row["simulator_steps"], row["executed_steps"]) for row in rows] == [
        (1, 128, 128),
        (2, 256, 256),
    ]
    assert 0.0 < rows[0]["wall_seconds"] < rows[1]["wall_seconds"]
    for row in rows:
        assert "success_rate" not in row
        # An upright pendulum earns at most 10 a step; normalised rewards would be of another size.
        assert 5.0 * row["episode_length"] < row["episode_return"] < 10.0 * row["episode_length"]
        assert math.isfinite(row["policy_loss"] + row["value_loss"] + row["entropy"] + row["approx_kl"] + row["sigma"])
        assert row["learning_rate"] == pytest.approx(ZOO[PENDULUM].learning_rate)
    assert next_step(trained) == "evaluate"


@needs_stable_baselines3
def test_the_same_seed_trains_the_same(trained: Run, tmp_path: Path) -> None:
    from benchmarks.suite.learners.stable_baselines3 import train

    with pytest.warns(UserWarning, match="mini-batch size"):
        train(trained.config, tmp_path / "again")  # type: ignore[arg-type]
    returns = [
        [row["episode_return"] for row in RunFolder(p).read_metrics()] for p in (trained.path, tmp_path / "again")
    ]
    assert returns[0] == returns[1]


@needs_stable_baselines3
def test_an_evaluation_counts_raw_returns_of_as_many_episodes_as_asked_for(trained: Run) -> None:
    from benchmarks.suite.learners.stable_baselines3 import main

    main(trained.words("evaluate"))
    first = trained.folder.evaluation.read_text(encoding="utf-8")
    figures = json.loads(first)
    assert (figures["task"], figures["episodes"], figures["seed"]) == (PENDULUM, 4, 1)
    assert 5.0 * figures["length_mean"] < figures["return_mean"] < 10.0 * figures["length_mean"]
    assert (figures["terminated_rate"], figures["success_rate"]) == (1.0, None)
    main(trained.words("evaluate"))
    assert trained.folder.evaluation.read_text(encoding="utf-8") == first
    assert next_step(trained) is None
    root = trained.path.parents[3]
    (final,) = collect(trained.suite, root, root / "stored").finals
    assert (final.return_mean, final.simulator_steps) == (figures["return_mean"], 256)
    assert math.isnan(final.success_rate)


@needs_stable_baselines3
def test_a_run_made_with_other_settings_is_refused_by_name(trained: Run) -> None:
    require_agreement([trained])
    changed = the_run(trained.path.parents[3], "--gamma", "0.5")
    with pytest.raises(SuiteError, match=r"was made with settings.gamma = 0.98, suite trial asks for 0.5"):
        require_agreement([changed])


@needs_stable_baselines3
def test_the_settings_reach_the_learner() -> None:
    from benchmarks.suite.learners.stable_baselines3 import build

    model = build(StableBaselines3Config("HalfCheetah-v5", seed=2, settings=ZOO["HalfCheetah-v5"]))
    zoo = ZOO["HalfCheetah-v5"]
    given = (model.n_steps, model.batch_size, model.n_epochs, model.gamma, model.gae_lambda, model.ent_coef)
    assert given == (zoo.n_steps, zoo.batch_size, zoo.n_epochs, zoo.gamma, zoo.gae_lambda, zoo.ent_coef)
    assert (model.vf_coef, model.max_grad_norm) == (zoo.vf_coef, zoo.max_grad_norm)
    assert model.clip_range(1.0) == zoo.clip_range  # type: ignore[operator]
    assert [model.lr_schedule(share) for share in (1.0, 0.5)] == [zoo.learning_rate] * 2
    assert [tuple(p.shape) for p in model.policy.mlp_extractor.policy_net.parameters()][::2] == [(256, 17), (256, 256)]
    assert "ReLU" in str(model.policy.mlp_extractor.value_net)
    assert model.policy.log_std.tolist() == [-2.0] * 6
    normalizer = model.get_vec_normalize_env()
    assert normalizer is not None
    assert (normalizer.gamma, normalizer.norm_obs, normalizer.norm_reward) == (zoo.gamma, True, True)


@needs_stable_baselines3
def test_a_linear_schedule_ends_at_zero() -> None:
    from benchmarks.suite.learners.stable_baselines3 import build

    settings = dataclasses.replace(ZOO[PENDULUM], lr_schedule="linear", learning_rate=0.5, batch_size=64)
    model = build(StableBaselines3Config(PENDULUM, settings=settings))
    assert [model.lr_schedule(remaining) for remaining in (1.0, 0.5, 0.0)] == [0.5, 0.25, 0.0]
