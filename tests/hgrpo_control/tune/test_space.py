"""Search spaces: the usual ones of each algorithm, words, files, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("optuna", reason="the extra `tune` is not here: pip install -c constraints.txt '.[tune]'")

from hgrpo_control.config.algorithms import ALGORITHMS
from hgrpo_control.presets.quadrotor import preset
from hgrpo_control.tune.space import SearchError, Span, own_value, read_space, with_values

PPO = preset("ppo", "quadrotor-hover")


def spans(*words: str) -> dict[str, Span]:
    return {span.name: span for span in read_space(PPO, words)[1]}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_usual_space_has_the_size_of_an_update_and_contains_the_preset(algorithm: str) -> None:
    config = preset(algorithm, "quadrotor-hover")
    _, space = read_space(config, ())
    names = {span.name for span in space}
    assert {"learning_rate", "num_envs", "rollout_steps", "num_minibatches"} <= names
    assert ("num_samples" in names) == (algorithm != "ppo")
    assert ("gae_lambda" in names) == (algorithm != "grpo")
    assert all(own_value(config, span) in span for span in space)
    assert with_values(config, {span: own_value(config, span) for span in space}) == config


def test_settings_without_effect_are_not_searched() -> None:
    slopes = preset("hybrid-grpo", "quadrotor-gates")
    assert slopes.algorithm.uses_slopes
    assert "clip_coef" not in {span.name for span in read_space(slopes, ())[1]}


def test_words_replace_add_and_fix(tmp_path: Path) -> None:
    file = tmp_path / "space.toml"
    file.write_text('clip_coef = "0.1:0.2"\nnum_envs = [8, 16]\n')
    config, found = read_space(PPO, ["learning_rate=1e-5:1e-2:log", "activation=tanh,elu", "gamma=0.9", str(file)])
    space = {span.name: span for span in found}
    assert space["learning_rate"] == Span("learning.learning_rate", (), 1e-5, 1e-2, log=True)
    assert space["activation"] == Span("network.activation", ("tanh", "elu"))
    assert space["num_envs"].choices == (8, 16)
    assert (space["clip_coef"].low, space["clip_coef"].high) == (0.1, 0.2)
    assert "gamma" not in space
    assert config == replace(PPO, algorithm=replace(PPO.algorithm, gamma=0.9))
    assert spans("target_kl=None,0.02")["target_kl"].choices == (None, 0.02)
    assert spans("normalize_advantage=true,false")["normalize_advantage"].choices == (True, False)
    assert spans("update_epochs=2:4")["update_epochs"].whole


@pytest.mark.parametrize(
    ("word", "named"),
    [
        ("learning_rat=1e-4:1e-2", "did you mean 'learning_rate'?"),
        ("seed=1,2", "seed"),
        ("num_samples=2,4", "num_samples"),
        ("gamma", "NAME=LOW:HIGH"),
        ("gamma=0.9:1.5", "gamma must be from 0 to 1; given 1.5"),
        ("gamma=1:0.9", "LOW must be below HIGH"),
        ("gamma=0:0.9:log", "above 0 with log"),
        ("gamma=0.9:0.99:lin", "NAME=LOW:HIGH:log"),
        ("num_envs=a,b", "'a'"),
        ("activation=tanh,rel", "did you mean 'relu'?"),
    ],
)
def test_other_spans_are_refused_with_the_setting(word: str, named: str) -> None:
    with pytest.raises(SearchError) as raised:
        spans(word)
    assert named in str(raised.value)
