"""Training on the device that a config names: what is refused, and, where there is a GPU, that a run on it is sound."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from support.device_variants import ITERATIONS, VARIANTS, tiny
from torch import Tensor

import policies
import robots
from hgrpo_control.api.run import train
from hgrpo_control.cli import main
from hgrpo_control.config.algorithms import PPO, HybridGRPO
from hgrpo_control.config.device import DeviceError, find_device
from hgrpo_control.config.learning import Learning
from hgrpo_control.config.run import Config, ConfigError
from hgrpo_control.runs.run_folder import Metrics, RunFolder
from hgrpo_control.training.resuming import restore_trainer
from hgrpo_control.training.simulation import make_simulator, training_simulator
from hgrpo_control.training.train import run
from hgrpo_control.training.trainer import Trainer
from policies import checkpoint
from robots.simulator import map_state, repeat, select

CLOCKS = {"wall_seconds", "simulator_steps_per_second", "sampling_seconds", "learning_seconds"}
QUADROTORS = [name for name in robots.names() if name.startswith("quadrotor-")]
EVERYTHING_VARIES = VARIANTS["obstacles, all errors, privileged critic"].task_options
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
needs_no_cuda = pytest.mark.skipif(torch.cuda.is_available(), reason="the device asked for exists here")


# What is refused


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("cuda0", "unknown device 'cuda0'; did you mean 'cuda:0'? allowed: cpu, cuda, or cuda:N"),
        ("gpu", "unknown device 'gpu'; did you mean 'cpu'? allowed: cpu, cuda, or cuda:N"),
        ("cuda:01", "unknown device 'cuda:01'; did you mean 'cuda:0'? allowed: cpu, cuda, or cuda:N"),
        ("", "unknown device ''; allowed: cpu, cuda, or cuda:N"),
    ],
)
def test_a_word_that_is_no_device_is_refused_by_the_config(word: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        tiny("quadrotor-hover", PPO(), device=word)
    assert str(caught.value).startswith(message)
    with pytest.raises(DeviceError):
        find_device(word)


@needs_no_cuda
def test_a_gpu_that_is_not_there_is_one_line_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "ppo", "quadrotor-hover", "--device", "cuda", "--out", str(tmp_path / "run")]
    assert main(words) == 2
    complaint = capsys.readouterr().err
    assert complaint.startswith("hgrpo: there is no device 'cuda': torch ")
    assert complaint.endswith("finds no GPU here; allowed: cpu\n")
    assert not (tmp_path / "run").exists()


def test_a_gpu_with_too_high_a_number_is_told_which_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert find_device("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(DeviceError, match=r"there is no device 'cuda:7'; allowed: cpu, cuda:0, cuda:1$"):
        find_device("cuda:7")


@pytest.mark.parametrize(
    ("task", "options", "message"),
    [
        ("Hopper-v5", {}, "Hopper-v5 runs on the CPU only; given device cuda, allowed: cpu"),
        ("gymnasium/Pendulum-v1", {}, "gymnasium/Pendulum-v1 runs on the CPU only; given device cuda, allowed: cpu"),
        ("quadrotor-hover", {"device": "cuda"}, "device is not a task option; given device=cuda"),
        ("quadrotor-hover", {"device": "cpu"}, "device is not a task option; given device=cpu"),
    ],
)
def test_what_runs_on_the_cpu_alone_refuses_a_gpu(
    task: str, options: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ConfigError) as caught:
        training_simulator(tiny(task, PPO(), device="cuda", task_options=options))
    assert str(caught.value).startswith(message)


def test_a_config_names_its_device_and_an_older_one_means_the_cpu() -> None:
    config = tiny("quadrotor-hover", PPO(), device="cuda:1")
    assert Config.from_json(config.to_json()) == config
    fields = json.loads(config.to_json())
    del fields["device"]
    assert Config.from_json(json.dumps(fields)) == replace(config, device="cpu")


# Where there is a GPU


def without_clocks(rows: list[Metrics]) -> list[tuple[str, ...]]:
    return [tuple(repr(v) for name, v in row.items() if name not in CLOCKS) for row in rows]


def longer(config: Config) -> Config:
    """Eight times as many steps per rollout, in which episodes end and restart."""
    return replace(config, device="cuda", rollout_steps=8 * config.rollout_steps, total_steps=8 * config.total_steps)


@needs_cuda
@pytest.mark.parametrize("name", VARIANTS)
def test_a_run_on_a_gpu_resumes_as_if_never_stopped_and_its_policy_flies_on_the_cpu(name: str, tmp_path: Path) -> None:
    config = longer(VARIANTS[name])
    whole, stopped = Trainer.from_config(config), Trainer.from_config(config)
    assert {p.device.type for p in whole.policy.parameters()} == {"cuda"}
    rows = [whole.step() for _ in range(ITERATIONS)]
    folder = RunFolder.create(tmp_path / "run", config)
    folder.append_metrics(stopped.step())
    checkpoint.save(folder.checkpoint, stopped.policy, stopped.state_dict())
    run(restore_trainer(folder), folder)
    assert without_clocks(folder.read_metrics()) == without_clocks(rows)

    policy, saved = checkpoint.restore(folder.path)
    assert policy.device.type == "cpu"
    assert {x.device.type for x in leaves(saved)} == {"cpu"}
    observation = whole.sampler.root_observation[:, : policy.spec.observation_size]
    difference = policy(observation.cpu()) - whole.policy(observation).cpu()
    assert difference.abs().max() < 1e-5


@needs_cuda
def test_a_run_on_a_gpu_is_held_near_a_reference_and_judged_on_the_cpu(tmp_path: Path) -> None:
    train(longer(tiny("quadrotor-hover", HybridGRPO(num_samples=2))), tmp_path / "reference")
    learning = Learning(update_epochs=2, num_minibatches=2, kl_coef=0.1, reference=str(tmp_path / "reference"))
    trained = train(longer(tiny("quadrotor-hover", PPO(), learning=learning)), tmp_path / "run").policy
    assert trained.device.type == "cuda"
    assert policies.load(tmp_path / "run").device.type == "cpu"
    assert main(["evaluate", str(tmp_path / "run"), "--episodes", "2"]) == 0


@needs_cuda
@pytest.mark.parametrize("options", [{}, EVERYTHING_VARIES], ids=["plain", "everything varies"])
@pytest.mark.parametrize("task", QUADROTORS)
def test_a_step_on_a_gpu_is_that_of_the_cpu(task: str, options: dict[str, str]) -> None:
    here = robots.make(task, dtype=torch.float64, **options)
    there = robots.make(task, dtype=torch.float64, device="cuda", **options)
    state = here.reset(64, seed=1)
    generator = torch.Generator().manual_seed(2)
    for _ in range(20):
        action = 2.0 * torch.rand(64, 4, generator=generator, dtype=torch.float64) - 1.0
        ours, theirs = here.step(state, action), there.step(on(state, "cuda"), action.cuda())
        assert theirs.observation.device.type == theirs.reward.device.type == "cuda"
        for a, b in zip(leaves(ours), leaves(theirs), strict=True):
            assert_near(a, b.cpu())
        state = ours.state


@needs_cuda
@pytest.mark.parametrize("task", QUADROTORS)
def test_a_state_on_a_gpu_is_kept_repeated_and_stepped_again_to_the_bit(task: str) -> None:
    simulator = robots.make(task, device="cuda", **EVERYTHING_VARIES)
    state = simulator.reset(16, seed=3)
    action = torch.zeros(16, 4, device="cuda") + 0.1
    for _ in range(5):
        state = simulator.step(state, action).state
    first, again = simulator.step(state, action), simulator.step(state, action)
    branched = simulator.step(repeat(state, 3), action.repeat_interleave(3, dim=0))
    own = select(branched.state, slice(1, None, 3))
    for a, b, c in zip(leaves(first.state), leaves(again.state), leaves(own), strict=True):
        assert torch.equal(a, b)
        assert torch.equal(a, c)


@needs_cuda
def test_the_cpu_is_asked_for_in_spite_of_a_gpu() -> None:
    config = tiny("quadrotor-hover", HybridGRPO(num_samples=2))
    assert Trainer.from_config(config).policy.device.type == "cpu"
    state = make_simulator(replace(config, device="cuda")).reset(2, 0)
    assert state.steps.device.type == "cpu"


def on(state: object, device: str) -> object:
    return map_state(lambda x: x.to(device), state)  # type: ignore[type-var]


def leaves(tree: object) -> list[Tensor]:
    """Every tensor in nested containers."""
    if isinstance(tree, Tensor):
        return [tree]
    parts = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, (list, tuple)) else ()
    return [leaf for part in parts for leaf in leaves(part)]


def assert_near(ours: Tensor, theirs: Tensor) -> None:
    """Equal to 1e-9, relative where values are above 1."""
    assert ours.dtype == theirs.dtype
    torch.testing.assert_close(theirs, ours, rtol=1e-9, atol=1e-9, equal_nan=True)
