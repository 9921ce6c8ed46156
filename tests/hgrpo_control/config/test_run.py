"""Settings: what contradicts itself is refused with what was given and what is allowed; JSON loses nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hgrpo_control.config.algorithms import GRPO, PPO, Algorithm, HybridGRPO
from hgrpo_control.config.learning import Learning, Network
from hgrpo_control.config.run import Config, ConfigError

ALGORITHMS = [
    PPO(gae_lambda=0.9),
    GRPO(num_samples=3, scale="none", credit="reward_to_go", groups="initial_states", drop_zero_variance=True),
    HybridGRPO(estimator="paper", reward_transform="tanh"),
]
EVERY_ALGORITHM = pytest.mark.parametrize("algorithm", ALGORITHMS, ids=["ppo", "grpo", "hybrid-grpo"])


def config(algorithm: Algorithm | None = None, **changes: Any) -> Config:
    return Config(task="quadrotor-hover", algorithm=algorithm or PPO(), **changes)


def refusal(algorithm: Algorithm | None = None, **changes: Any) -> str:
    """The one line with which settings are refused."""
    with pytest.raises(ConfigError) as raised:
        config(algorithm, **changes)
    assert len(str(raised.value).splitlines()) == 1
    return str(raised.value)


@EVERY_ALGORITHM
def test_json_gives_back_an_equal_config(algorithm: Algorithm) -> None:
    given = config(
        algorithm,
        seed=7,
        num_envs=96,
        rollout_steps=48,
        network=Network(hidden_sizes=(32, 16, 8), activation="elu"),
        learning=Learning(
            learning_rate=1.0 / 3.0, target_kl=0.02, num_minibatches=3, clip_high=0.28, kl_coef=0.1, reference="runs/a"
        ),
        task_options={"quadrotor": "cf2x"},
    )
    again = Config.from_json(given.to_json())
    assert again == given
    assert type(again.algorithm) is type(algorithm)
    assert again.to_json() == given.to_json()


@EVERY_ALGORITHM
def test_the_defaults_fit_together(algorithm: Algorithm) -> None:
    assert Config.from_json(config(algorithm).to_json()) == config(algorithm)


@pytest.mark.parametrize(
    "options", [{}, {"baseline": "leave_one_out"}, {"groups": "initial_states", "credit": "reward_to_go"}]
)
def test_grpo_needs_a_group(options: dict[str, Any]) -> None:
    message = refusal(GRPO(num_samples=1, **options))
    assert "num_samples must be at least 2" in message
    assert "given 1" in message


def test_groups_of_whole_episodes_may_be_shorter_than_an_episode() -> None:
    assert config(GRPO(groups="initial_states", branch_steps=8)).branch_length == 8


def test_hybrid_grpo_with_one_sample_is_allowed() -> None:
    assert config(HybridGRPO(num_samples=1)).batch_rows == config(PPO()).batch_rows


@pytest.mark.parametrize("make", [GRPO, HybridGRPO])
@pytest.mark.parametrize("branch_steps", [5, 24, 128])
def test_branches_have_to_fill_the_rollout(make: type[GRPO] | type[HybridGRPO], branch_steps: int) -> None:
    message = refusal(make(branch_steps=branch_steps), rollout_steps=64)
    assert f"branch_steps {branch_steps} does not divide rollout_steps 64" in message
    assert "allowed: 1, 2, 4, 8, 16, 32, 64" in message


def test_minibatches_have_to_be_equal() -> None:
    # 6 x 10 rows: the divisors of 60 on either side of 7 are 6 and 10
    message = refusal(num_envs=6, rollout_steps=10, learning=Learning(num_minibatches=7))
    assert "num_minibatches 7 does not divide the batch of 60 rows" in message
    assert "6, 10" in message


def test_more_minibatches_than_rows_are_refused() -> None:
    assert "does not divide the batch of 4 rows" in refusal(num_envs=2, rollout_steps=2)


def test_samples_of_one_step_branches_share_their_row() -> None:
    # 6 x 10 roots: 60 rows if the 4 samples of a root share its observation, 240 if each has its own path
    size = {"num_envs": 6, "rollout_steps": 10, "learning": Learning(num_minibatches=1)}
    assert config(HybridGRPO(num_samples=4, branch_steps=1), **size).batch_rows == 60
    assert config(HybridGRPO(num_samples=4, branch_steps=5), **size).batch_rows == 240


def test_a_run_has_to_last_one_iteration() -> None:
    size = {"num_envs": 6, "rollout_steps": 10, "learning": Learning(num_minibatches=1)}
    message = refusal(GRPO(num_samples=4), total_steps=239, **size)
    assert "total_steps 239 is less than one iteration" in message
    assert "6 envs x 4 samples x 10 steps = 240" in message
    assert config(GRPO(num_samples=4), total_steps=240, **size).num_iterations == 1
    assert config(GRPO(num_samples=4), total_steps=719, **size).num_iterations == 2


@pytest.mark.parametrize("name", ["num_envs", "rollout_steps", "checkpoint_every"])
@pytest.mark.parametrize("count", [0, -8])
def test_counts_start_at_one(name: str, count: int) -> None:
    assert refusal(**{name: count}) == f"{name} must be at least 1; given {count}"


@pytest.mark.parametrize("name", ["update_epochs", "num_minibatches"])
@pytest.mark.parametrize("count", [0, -8])
def test_counts_of_the_learner_start_at_one(name: str, count: int) -> None:
    assert refusal(learning=Learning(**{name: count})) == f"{name} must be at least 1; given {count}"


@pytest.mark.parametrize("name", ["num_samples", "branch_steps"])
@pytest.mark.parametrize("count", [0, -1])
def test_counts_of_the_group_start_at_one(name: str, count: int) -> None:
    assert refusal(HybridGRPO(**{name: count})) == f"{name} must be at least 1; given {count}"


def test_hidden_layers_have_units() -> None:
    assert refusal(network=Network(hidden_sizes=(64, 0))) == "hidden_sizes must be at least 1; given 0"


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_gamma_and_lambda_are_shares(value: float) -> None:
    assert refusal(GRPO(gamma=value)) == f"gamma must be from 0 to 1; given {value}"
    assert refusal(PPO(gae_lambda=value)) == f"gae_lambda must be from 0 to 1; given {value}"


@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf")])
def test_the_weight_of_the_reference_is_a_number_from_0(value: float) -> None:
    message = refusal(learning=Learning(kl_coef=value, reference="runs/a"))
    assert message.startswith("kl_coef must be at least 0")
    assert message.endswith(f"; given {value}")


def test_a_reference_and_its_weight_come_together() -> None:
    assert refusal(learning=Learning(kl_coef=0.1)) == (
        "kl_coef 0.1 needs a reference policy: name its run folder with --reference"
    )
    assert refusal(learning=Learning(reference="runs/a")) == (
        "the reference runs/a does nothing with kl_coef 0; allowed: a kl_coef above 0"
    )


@pytest.mark.parametrize("value", [-0.1, 0.0, float("nan")])
def test_the_upper_clip_bound_is_positive(value: float) -> None:
    assert refusal(learning=Learning(clip_high=value)) == f"clip_high must be above 0; given {value}"


@pytest.mark.parametrize("name", ["vf_coef", "ent_coef"])
@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_the_weights_of_the_loss_are_finite_and_not_negative(name: str, value: float) -> None:
    message = refusal(learning=Learning(**{name: value}))
    assert message.startswith(f"{name} must be at least 0")
    assert message.endswith(f"; given {value}")


def test_settings_of_what_an_algorithm_does_not_have_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"^vf_coef 0\.7 does nothing with grpo, which has no critic; leave it out$"):
        Config("quadrotor-hover", GRPO(), learning=Learning(vf_coef=0.7))
    with pytest.raises(ConfigError, match=r"^sibling_noise split does nothing with num_samples 1; allowed: shared, or"):
        Config("quadrotor-hover-gusty", HybridGRPO(num_samples=1, sibling_noise="split"))


@pytest.mark.parametrize("value", [-1.0, 0.0, float("nan")])
def test_no_update_stays_within_a_divergence_of_nothing(value: float) -> None:
    assert refusal(learning=Learning(target_kl=value)) == f"target_kl must be above 0; given {value}"


def test_a_first_policy_and_its_steps_are_finite() -> None:
    infinite = float("inf")
    assert refusal(learning=Learning(learning_rate=infinite)) == "learning_rate must be above 0 and finite; given inf"
    assert refusal(network=Network(init_sigma=infinite)) == "init_sigma must be above 0 and finite; given inf"


def test_an_infinite_bound_is_none() -> None:
    """A gradient is never longer, a ratio never farther from 1."""
    config(learning=Learning(max_grad_norm=float("inf"), clip_coef=float("inf")))


@pytest.mark.parametrize("name", ["learning_rate", "clip_coef", "max_grad_norm"])
def test_step_sizes_are_positive(name: str) -> None:
    assert refusal(learning=Learning(**{name: 0.0})) == f"{name} must be above 0; given 0.0"


def test_sigma_starts_above_its_floor() -> None:
    assert "init_sigma must be above min_sigma 0.5; given 0.4" in refusal(
        network=Network(init_sigma=0.4, min_sigma=0.5)
    )


@pytest.mark.parametrize(
    ("made", "wrong", "allowed"),
    [
        ({"algorithm": HybridGRPO(estimator="grup")}, "grup", "group"),  # type: ignore[arg-type]
        ({"algorithm": GRPO(scale="bach")}, "bach", "did you mean 'batch'? allowed: group, batch, none"),  # type: ignore[arg-type]
        ({"algorithm": GRPO(baseline="median")}, "median", "allowed: mean, leave_one_out"),  # type: ignore[arg-type]
        ({"algorithm": GRPO(credit="outcomes")}, "outcomes", "did you mean 'outcome'?"),  # type: ignore[arg-type]
        ({"algorithm": GRPO(groups="path")}, "path", "allowed: executed_path, initial_states"),  # type: ignore[arg-type]
        ({"network": Network(activation="tan")}, "tan", "tanh"),  # type: ignore[arg-type]
        ({"learning": Learning(lr_schedule="line")}, "line", "linear"),  # type: ignore[arg-type]
    ],
)
def test_unknown_choices_are_refused_with_the_allowed_ones(made: dict[str, Any], wrong: str, allowed: str) -> None:
    message = refusal(**made)
    assert f"'{wrong}'" in message
    assert allowed in message


def changed(**changes: Any) -> str:
    return json.dumps(json.loads(config().to_json()) | changes)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not a config"),
        ("{", "not a config"),
        ("[]", "not a config"),
        ("{}", "algorithm"),
        (changed(algorithm="ppo"), "not a config"),
        (changed(algorithm={"gamma": 0.9}), "name"),
        (changed(algorithm={"name": "pp0"}), "unknown algorithm 'pp0'; did you mean 'ppo'?"),
        (changed(algorithm={"name": ["ppo"]}), "unknown algorithm"),
        (changed(algorithm={"name": "ppo", "gama": 0.9}), "gama"),
        (changed(learning_rate=0.1), "learning_rate"),
        (changed(network=[]), "not a config"),
        (changed(num_envs="many"), "num_envs must be a whole number"),
        (changed(num_envs=0), "num_envs must be at least 1; given 0"),
    ],
)
def test_what_is_not_a_config_is_refused_in_one_line(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        Config.from_json(text)
    assert said in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1


@EVERY_ALGORITHM
def test_a_missing_field_takes_its_default_and_a_missing_task_is_refused(algorithm: Algorithm) -> None:
    fields = json.loads(config(algorithm).to_json())
    del fields["seed"]
    assert Config.from_json(json.dumps(fields)) == config(algorithm)
    del fields["task"]
    with pytest.raises(ConfigError, match="task"):
        Config.from_json(json.dumps(fields))
