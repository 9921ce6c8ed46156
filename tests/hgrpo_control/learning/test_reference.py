"""A policy held near a frozen reference: the loss, the metric, what is refused, and what a resumed run needs."""

from __future__ import annotations

import copy
import dataclasses
import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from support.analytic_envs import fresh_policy
from support.replay_env import Ledger
from support.signals import assert_same, press_ctrl_c_in
from torch import Tensor

import policies
from hgrpo_control import algorithms
from hgrpo_control.algorithms.batch import Batch
from hgrpo_control.cli import main
from hgrpo_control.config.algorithms import GRPO, PPO, Algorithm, HybridGRPO
from hgrpo_control.config.learning import Learning, Network
from hgrpo_control.config.run import Config
from hgrpo_control.learning import reference
from hgrpo_control.learning.learner import Learner
from hgrpo_control.runs.run_folder import RunFolder
from hgrpo_control.sampling.sampler import Sampler
from hgrpo_control.training.trainer import Trainer
from policies.actor_critic import ActorCritic
from policies.spec import Channel, PolicySpec

pytestmark = pytest.mark.slow

TINY = ("--num-envs", "8", "--rollout-steps", "16", "--hidden-sizes", "8", "--update-epochs", "1")
TINY += ("--num-minibatches", "2", "--total-steps", str(3 * 128))
ONE_STEP = {"update_epochs": 1, "num_minibatches": 1}


def drawn(algorithm: Algorithm) -> tuple[ActorCritic, Batch]:
    """A policy whose normaliser has seen something, and a batch that it drew itself."""
    ledger = Ledger()
    policy = fresh_policy(ledger, (8,), critic=algorithm.needs_critic)
    policy.normalizer.update(torch.randn(50, 3, generator=torch.Generator().manual_seed(2)))
    sampler = Sampler(ledger, policy, 8, algorithm.num_samples, algorithm.branch_length(8), 8, seed=1)
    return policy, algorithms.make_batch(sampler.collect()[0], algorithm)


def stranger(seed: int = 7) -> ActorCritic:
    """A policy of another shape, width and normaliser."""
    policy = fresh_policy(Ledger(), (4, 4), init_sigma=0.7, seed=seed)
    policy.normalizer.update(3.0 + 2.0 * torch.randn(50, 3, generator=torch.Generator().manual_seed(seed)))
    return policy.requires_grad_(False)


def divergence(policy: ActorCritic, other: ActorCritic, batch: Batch) -> Tensor:
    """(R, M) e^x - x - 1, x = log other - log policy, by another library's density."""
    log_probs = [
        torch.distributions.Normal(p.mean(batch.observation).unsqueeze(1), p.sigma).log_prob(batch.action).sum(-1)
        for p in (other, policy)
    ]
    x = log_probs[0] - log_probs[1]
    return x.exp() - x - 1.0


EVERY_ALGORITHM = pytest.mark.parametrize(
    "algorithm", [PPO(), GRPO(num_samples=2), HybridGRPO(num_samples=2), HybridGRPO(num_samples=2, branch_steps=1)]
)


@EVERY_ALGORITHM
def test_the_first_step_reports_and_follows_the_divergence_from_the_reference(algorithm: Algorithm) -> None:
    policy, batch = drawn(algorithm)
    other = stranger()
    expected = divergence(policy, other, batch)
    actor = [*policy.actor.parameters(), policy.raw_sigma]
    away = torch.autograd.grad((batch.weight * expected).mean(), actor)
    # with advantages of 0 nothing but the reference moves the actor: its gradient's length is kl_coef times that
    empty = batch._replace(advantage=torch.zeros_like(batch.advantage))
    stats = Learner(policy, Learning(kl_coef=0.3, **ONE_STEP), 0, other).update(empty)  # type: ignore[arg-type]
    assert stats["reference_kl"] == pytest.approx(expected.mean().item(), rel=1e-4)
    assert stats["reference_kl"] > 0.01
    length = torch.cat([g.flatten() for g in away]).norm().item()
    assert stats["grad_norm"] == pytest.approx(0.3 * length, rel=1e-3)
    assert stats["policy_loss"] == 0.0


def test_without_a_reference_there_is_no_divergence() -> None:
    policy, batch = drawn(PPO())
    assert math.isnan(Learner(policy, Learning(**ONE_STEP), 0).update(batch)["reference_kl"])  # type: ignore[arg-type]


def test_a_policy_is_at_no_distance_from_itself() -> None:
    policy, batch = drawn(PPO())
    other = copy.deepcopy(policy).requires_grad_(False)
    empty = batch._replace(advantage=torch.zeros_like(batch.advantage))
    stats = Learner(policy, Learning(kl_coef=1.0, **ONE_STEP), 0, other).update(empty)  # type: ignore[arg-type]
    assert stats["reference_kl"] == pytest.approx(0.0, abs=1e-10)
    assert stats["grad_norm"] < 1e-5


def test_the_reference_pulls_the_policy_towards_itself_and_stays_where_it_is() -> None:
    policy, batch = drawn(PPO())
    other = stranger()
    before = [value.clone() for value in other.state_dict().values()]
    empty = batch._replace(advantage=torch.zeros_like(batch.advantage))
    learning = Learner(policy, Learning(kl_coef=1.0, learning_rate=0.02, lr_schedule="constant"), 0, other)
    far = divergence(policy, other, batch).mean().item()
    for _ in range(3):
        learning.update(empty)
    assert divergence(policy, other, batch).mean().item() < 0.2 * far
    assert all(torch.equal(x, y) for x, y in zip(other.state_dict().values(), before, strict=True))


def test_samples_without_weight_are_not_held_either() -> None:
    policy, batch = drawn(GRPO(num_samples=2))
    weight = torch.zeros_like(batch.weight)
    weight[:16] = 1.0
    action = torch.where(weight.unsqueeze(-1) > 0.0, batch.action, 5.0)  # elsewhere far from what anybody does
    ends = []
    for actions in (batch.action, action):
        ours = copy.deepcopy(policy)
        changed = batch._replace(weight=weight, action=actions)
        Learner(ours, Learning(kl_coef=1.0, **ONE_STEP), 0, stranger()).update(changed)  # type: ignore[arg-type]
        ends.append(torch.cat([p.detach().flatten() for p in ours.parameters()]))
    assert torch.equal(*ends)


# In a run of its own


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, not to be changed."""
    folder = tmp_path_factory.mktemp("reference") / "run"
    assert main(["train", "ppo", "quadrotor-hover", *TINY, "--out", str(folder)]) == 0
    return folder


@pytest.fixture
def home(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with a copy of the finished run under the relative path `old`."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(trained, "old")
    return tmp_path


def command(algorithm: str, out: str, path: str = "old") -> list[str]:
    samples = () if algorithm == "ppo" else ("--num-samples", "2")
    steps = () if algorithm == "ppo" else ("--total-steps", str(3 * 256))
    words = [*TINY, *samples, *steps, "--kl-coef", "0.1", "--reference", path, "--seed", "5", "--out", out]
    return ["train", algorithm, "quadrotor-hover", *words]


@pytest.mark.parametrize("algorithm", ["ppo", "grpo", "hybrid-grpo"])
def test_a_run_resumes_bit_for_bit_though_its_reference_is_gone(
    home: Path, algorithm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(command(algorithm, "whole")) == 0
    with monkeypatch.context() as patched:
        press_ctrl_c_in(1, patched)
        assert main(command(algorithm, "stopped")) == 130
    shutil.rmtree("old")
    assert main(["resume", "stopped"]) == 0
    assert_same(Path("stopped"), Path("whole"))
    rows = RunFolder("stopped").read_metrics()
    assert len(rows) == 3
    assert all(row["reference_kl"] > 0.0 for row in rows)


def test_a_run_keeps_its_reference_as_it_was(home: Path, trained: Path) -> None:
    assert main(command("ppo", "new", "old/checkpoint.pt")) == 0  # the checkpoint's own path will do as well
    policy, training = policies.restore("new")
    kept, original = reference.from_state(training["reference"]), policies.load(trained)
    assert kept.spec == original.spec
    for name, value in original.state_dict().items():
        assert torch.equal(kept.state_dict()[name], value), name
    assert not any(parameter.requires_grad for parameter in kept.parameters())
    assert not torch.equal(policy.normalizer.mean, kept.normalizer.mean)
    assert math.isnan(RunFolder(trained).read_metrics()[0]["reference_kl"])
    assert policies.restore(trained)[1]["reference"] is None


def test_a_checkpoint_without_the_reference_that_its_config_names_is_not_resumed(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patched:
        press_ctrl_c_in(1, patched)
        assert main(command("ppo", "stopped")) == 130
    path = Path("stopped/checkpoint.pt")
    policy, training = policies.restore(path)
    policies.save(path, policy, training | {"reference": None})
    capsys.readouterr()
    assert main(["resume", "stopped"]) == 2
    assert capsys.readouterr().err == (
        "hgrpo: stopped/checkpoint.pt does not hold the training state that config.json needs\n"
    )


def test_a_privileged_critic_sees_more_than_the_reference() -> None:
    config = Config(
        task="quadrotor-hover",
        algorithm=PPO(),
        total_steps=64,
        num_envs=4,
        rollout_steps=8,
        network=Network(hidden_sizes=(8,), privileged_critic=True),
        learning=Learning(num_minibatches=2, update_epochs=1),
        task_options={"mass": "0.3"},
    )
    trainer = Trainer.from_config(config)
    batch = algorithms.make_batch(trainer.sampler.collect()[0], config.algorithm)
    size = trainer.policy.spec.observation_size
    assert batch.observation.shape[1] > size
    other = ActorCritic(dataclasses.replace(trainer.policy.spec, privileged=(), hidden_sizes=(4,)))
    learner = Learner(trainer.policy, Learning(kl_coef=0.1, num_minibatches=1), 0, other.requires_grad_(False))
    seen = batch._replace(observation=batch.observation[:, :size])
    expected = divergence(trainer.policy, other, seen).mean().item()
    first = learner.update(batch, progress=1.0)  # a learning rate of 0
    assert first["reference_kl"] == pytest.approx(expected, rel=1e-4)


def renamed(spec: PolicySpec) -> PolicySpec:
    return dataclasses.replace(spec, task="quadrotor-race")


def other_frame(spec: PolicySpec) -> PolicySpec:
    first = dataclasses.replace(spec.observation[0], frame="world")
    return dataclasses.replace(spec, observation=(first, *spec.observation[1:]))


def fewer_observations(spec: PolicySpec) -> PolicySpec:
    return dataclasses.replace(spec, observation=spec.observation[1:])


def other_action(spec: PolicySpec) -> PolicySpec:
    return dataclasses.replace(spec, action=(*spec.action[:-1], Channel("thrust", "N")))


def other_bounds(spec: PolicySpec) -> PolicySpec:
    return dataclasses.replace(spec, action_high=(2.0,) * len(spec.action))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (renamed, "the reference old was trained for 'quadrotor-race'; this run trains 'quadrotor-hover'"),
        (other_frame, "the reference old reads 'position_error_x' [m, world frame] as entry 0; here it is "),
        (fewer_observations, "the reference old reads 15 entries; the policy of this run has 16"),
        (other_action, "the reference old commands 'thrust' [N] as entry 3; here it is 'motor_4'"),
        (other_bounds, "the reference old commands actions in "),
    ],
)
def test_a_reference_of_another_interface_is_one_line(
    home: Path, capsys: pytest.CaptureFixture[str], change: Callable[[PolicySpec], PolicySpec], told: str
) -> None:
    policies.save(Path("old/checkpoint.pt"), ActorCritic(change(policies.load("old").spec)))
    assert refusal(command("ppo", "new"), capsys).startswith(told)


def test_a_reference_that_is_not_there_or_damaged_is_one_line(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refusal(command("ppo", "new", "older"), capsys) == "no checkpoint at older"
    Path("old/checkpoint.pt").write_bytes(b"nothing")
    assert refusal(command("ppo", "new"), capsys).startswith("old/checkpoint.pt is damaged or not a checkpoint")


def refusal(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line with which a command is refused; it leaves no folder."""
    capsys.readouterr()
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert not Path("new").exists()
    return err.removeprefix("hgrpo: ").removesuffix("\n")


def test_a_config_names_its_reference(home: Path) -> None:
    assert main(command("ppo", "new")) == 0
    learning = json.loads(Path("new/config.json").read_text())["learning"]
    assert (learning["reference"], learning["kl_coef"]) == ("old", 0.1)
