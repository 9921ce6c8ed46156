"""Task options and privilege on the command line: how they are given, and mistakes told before a run folder exists."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hgrpo_control.cli import main
from hgrpo_control.config.algorithms import GRPO, PPO, HybridGRPO
from hgrpo_control.config.learning import Network
from hgrpo_control.config.named_values import read_named_values, write_named_values
from hgrpo_control.config.run import Config, ConfigError
from hgrpo_control.training.simulation import make_simulator, policy_spec, training_simulator

Refused = Callable[..., str]


@pytest.fixture
def refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Refused:
    """Train in a way that must fail: status 2, one line on stderr, nothing on stdout, no file made."""
    monkeypatch.chdir(tmp_path)

    def run(algorithm: str, task: str, *words: str) -> str:
        assert main(["train", algorithm, task, *words]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("hgrpo: ")
        assert err.endswith("\n")
        assert err.count("\n") == 1, err
        assert list(tmp_path.iterdir()) == []
        return err.removeprefix("hgrpo: ").removesuffix("\n")

    return run


# Words


def test_words_become_options_and_back() -> None:
    options = {"mass": "0.3", "quadrotor": "cf2x", "odd": "a=b", "empty": ""}
    assert write_named_values(options) == ["mass=0.3", "quadrotor=cf2x", "odd=a=b", "empty="]
    assert read_named_values(write_named_values(options)) == options
    assert read_named_values([]) == {}


@settings(max_examples=50)
@given(options=st.dictionaries(st.text("ab-_ 1", min_size=1), st.text("x=-. 1")))
def test_any_options_survive_as_words(options: dict[str, str]) -> None:
    assert read_named_values(write_named_values(options)) == options


@pytest.mark.parametrize("word", ["mass", "", "=0.3", "0.3"])
def test_a_word_of_another_form_is_refused(word: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        read_named_values(["wind=1", word])
    assert str(caught.value) == f"a task option is written NAME=VALUE, such as mass=0.3; given {word!r}"


def test_an_option_given_twice_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^task option mass is given twice: 0\.1 and 0\.2$"):
        read_named_values(["mass=0.1", "wind=1", "mass=0.2"])


# Mistakes


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("mas=0.3",), "unknown task option 'mas'; did you mean 'mass'?"),
        (("quadrator=cf2x",), "unknown task option 'quadrator'; did you mean 'quadrotor'?"),
        (("wind=1", "mass=heavy"), "task option mass must be a number; given 'heavy'"),
        (("mass=nan",), "task option mass must be finite; given 'nan'"),
        (("mass=30",), "mass must be at least 0 and below 1; given 30.0"),
        (("gust=-1",), "gust must be at least 0; given -1.0"),
        (("gust_time=0",), "gust_time must be above 0 s; given 0.0"),
    ],
)
@pytest.mark.parametrize("task", ["quadrotor-hover", "quadrotor-hover-gusty"])
def test_an_option_that_a_task_does_not_take_is_one_line(
    task: str, words: tuple[str, ...], message: str, refused: Refused
) -> None:
    assert refused("hybrid-grpo", task, "--task-options", *words) == message


@pytest.mark.parametrize("task", ["quadrotor-hover", "Hopper-v5", "gymnasium/Pendulum-v1"])
def test_a_checked_task_that_is_given_another_name_is_one_line(task: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", task, "--task-options", "name=foo"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("hgrpo: ")
    assert err.count("\n") == 1
    assert "name='foo'" in err or "name=foo" in err


@pytest.mark.skipif(torch.backends.cuda.is_built(), reason="torch refuses a device that it was not built for")
def test_a_checked_task_on_a_gpu_that_torch_does_not_know_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "quadrotor-hover", "--task-options", "device=cuda"]) == 2
    assert capsys.readouterr().err == (
        "hgrpo: quadrotor-hover cannot be made with device=cuda: Torch not compiled with CUDA enabled\n"
    )


@pytest.mark.parametrize("words", [("mass", "0.3"), ("mass=0.1", "mass=0.2")])
def test_words_that_are_no_options_are_one_line_that_names_the_flag(words: tuple[str, ...], refused: Refused) -> None:
    message = refused("ppo", "quadrotor-hover", "--task-options", *words)
    assert "--task-options" in message
    assert "mass" in message


@pytest.mark.parametrize("algorithm", ["ppo", "hybrid-grpo"])
@pytest.mark.parametrize("words", [(), ("--task-options", "quadrotor=cf2x", "gust_time=1")])
def test_privilege_where_nothing_is_hidden_is_one_line(
    algorithm: str, words: tuple[str, ...], refused: Refused
) -> None:
    message = refused(algorithm, "quadrotor-hover", "--privileged-critic", *words)
    assert message.startswith("quadrotor-hover has no hidden entries")
    assert "--task-options mass=0.3" in message


def test_privilege_without_a_critic_is_one_line(refused: Refused) -> None:
    message = "grpo has no critic, so privileged_critic does nothing"
    assert message in refused("grpo", "quadrotor-hover-gusty", "--privileged-critic")
    with pytest.raises(ConfigError, match=message):
        Config("quadrotor-hover-gusty", GRPO(), network=Network(privileged_critic=True))


# From a config to a simulator and an interface


def test_only_a_privileged_run_is_trained_on_what_is_hidden() -> None:
    for task, options in (("quadrotor-hover-gusty", {}), ("quadrotor-hover", {"mass": "0.3"})):
        plain = Config(task, PPO(), task_options=options)
        privileged = Config(task, HybridGRPO(), task_options=options, network=Network(privileged_critic=True))
        sizes = [training_simulator(config).spec.observation_size for config in (plain, privileged)]
        assert sizes == [16, 31]
        assert make_simulator(privileged).spec.observation_size == 16


def test_the_policy_of_a_privileged_run_reads_what_any_other_reads() -> None:
    network = Network(privileged_critic=True)
    config = Config("quadrotor-hover-gusty", PPO(), network=network)
    spec = policy_spec(training_simulator(config).spec, network, critic=True)
    plain = policy_spec(make_simulator(config).spec, Network(), critic=True)
    assert spec.observation == plain.observation
    assert (spec.observation_size, spec.privileged_size, plain.privileged_size) == (16, 15, 0)
    hidden = make_simulator(config).spec.privileged
    assert [(e.name, e.unit, e.frame) for e in spec.privileged] == [(q.name, q.unit, q.frame) for q in hidden]
    assert policy_spec(make_simulator(config).spec, network, critic=True) == spec


def test_privilege_and_noise_survive_a_config_file_and_older_files_have_neither() -> None:
    config = Config("quadrotor-hover-gusty", HybridGRPO(sibling_noise="split"), network=Network(privileged_critic=True))
    assert Config.from_json(config.to_json()) == config
    older = (
        config.to_json().replace(',\n    "privileged_critic": true', "").replace(',\n    "sibling_noise": "split"', "")
    )
    assert older.count("\n") == config.to_json().count("\n") - 2
    assert Config.from_json(older) == Config("quadrotor-hover-gusty", HybridGRPO())
