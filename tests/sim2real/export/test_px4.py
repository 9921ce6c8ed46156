"""The archive for PX4's mc_raptor: names, shapes, values, sequences, and rl_tools' own reader where it is present."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch

from hgrpo_errors import HgrpoError
from policies.actor_critic import ActorCritic
from policies.spec import Channel, PolicySpec
from sim2real.export.exportable import ExportError
from sim2real.export.px4 import SHAPES, export_px4, read_px4, run

HEADERS = "RL_TOOLS_INCLUDE"
SELF_TEST = Path(__file__).parents[1] / "px4_self_test.cpp"

RAPTOR = PolicySpec(
    task="quadrotor-any",
    robot="",
    control_hz=100.0,
    observation=tuple(Channel(f"o{i}") for i in range(22)),
    action=tuple(Channel(f"motor_{i}") for i in range(4)),
    action_low=(-1.0,) * 4,
    action_high=(1.0,) * 4,
    safe_action=(0.2,) * 4,
    hidden_sizes=(16,),
    activation="relu",
    memory="gru",
    memory_size=16,
)


def policy(spec: PolicySpec = RAPTOR) -> ActorCritic:
    made = ActorCritic(spec, generator=torch.Generator().manual_seed(3))
    observed = 0.3 * torch.randn(1000, spec.observation_size, generator=torch.Generator().manual_seed(4))
    made.update_normalizers(torch.cat((observed + 0.2, torch.zeros(1000, made.memory_width)), dim=1))
    with torch.no_grad():
        made.actor[-1].weight.mul_(60.0)  # type: ignore[operator]
        for parameter in made.actor.parameters():
            parameter.add_(0.02 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(5)))
    return made


def test_the_archive_has_the_names_shapes_and_weights_that_the_module_loads(tmp_path: Path) -> None:
    made = policy()
    assert export_px4(made, tmp_path / "policy.tar") < 1e-5
    found = read_px4(tmp_path / "policy.tar")
    assert {name: tensor.shape for name, tensor in found.items()} == SHAPES
    assert torch.equal(
        torch.from_numpy(found["actor/layers/1/weights_hidden/parameters"].copy()), made.actor[1 + 1].weight_hh
    )  # type: ignore[arg-type]
    with tarfile.open(tmp_path / "policy.tar") as archive:
        meta = archive.extractfile("actor/meta")
        assert meta is not None
        assert meta.read().startswith(b"checkpoint_name: hgrpo quadrotor-any\n")


def test_scaling_is_folded_into_the_first_layer(tmp_path: Path) -> None:
    made = policy()
    export_px4(made, tmp_path / "policy.tar")
    x = torch.full((22,), 0.4)
    weight, bias = (
        torch.from_numpy(read_px4(tmp_path / "policy.tar")[f"actor/layers/0/{name}/parameters"].copy())
        for name in ("weights", "biases")
    )
    torch.testing.assert_close(weight @ x + bias, made.actor[0](made.normalizer(x)), rtol=1e-4, atol=1e-5)


def test_memory_is_part_of_the_examples(tmp_path: Path) -> None:
    export_px4(policy(), tmp_path / "policy.tar")
    tensors = read_px4(tmp_path / "policy.tar")
    outputs = tensors["example/output"]
    np.testing.assert_allclose(run(tensors, tensors["example/input"]), outputs, atol=1e-5)
    forgetful = np.concatenate([run(tensors, step[np.newaxis]) for step in tensors["example/input"]])
    assert np.abs(forgetful[1:] - outputs[1:]).max() > 0.01


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"hidden_sizes": (32,)}, "layers 16; given 32"),
        ({"activation": "tanh"}, "relu; given tanh"),
        ({"memory_size": 8}, "gru 16; given gru 8"),
        ({"memory": "none", "memory_size": 0}, "given none 0"),
        ({"control_hz": 50.0}, "100 Hz; given 50 Hz"),
        ({"observation": RAPTOR.observation[:-1]}, "22; given 21"),
    ],
)
def test_a_policy_of_another_shape_is_refused(change: dict[str, object], named: str, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=named):
        export_px4(policy(dataclasses.replace(RAPTOR, **change)), tmp_path / "policy.tar")  # type: ignore[arg-type]
    assert not (tmp_path / "policy.tar").exists()


def test_a_foreign_file_is_kept(tmp_path: Path) -> None:
    (tmp_path / "policy.tar").write_bytes(b"mine")
    with pytest.raises(ExportError, match="is kept"):
        export_px4(policy(), tmp_path / "policy.tar")
    assert (tmp_path / "policy.tar").read_bytes() == b"mine"
    with pytest.raises(HgrpoError, match="no archive"):
        read_px4(tmp_path / "policy.tar")


def test_an_archive_is_replaced_by_the_same_bytes(tmp_path: Path) -> None:
    export_px4(policy(), tmp_path / "policy.tar")
    first = (tmp_path / "policy.tar").read_bytes()
    export_px4(policy(), tmp_path / "policy.tar")
    assert (tmp_path / "policy.tar").read_bytes() == first


@pytest.mark.skipif(HEADERS not in os.environ, reason=f"{HEADERS} does not name the include folder of rl_tools")
@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")
def test_the_reader_and_layers_of_rl_tools_accept_the_archive(tmp_path: Path) -> None:
    export_px4(policy(), tmp_path / "policy.tar")
    program = tmp_path / "self_test"
    subprocess.run(
        ["g++", "-std=c++17", "-O1", f"-I{os.environ[HEADERS]}", str(SELF_TEST), "-o", str(program)], check=True
    )
    accepted = subprocess.run([program, tmp_path / "policy.tar"], capture_output=True, text=True)
    assert accepted.returncode == 0, accepted.stdout
    assert accepted.stdout.startswith("hgrpo quadrotor-any ")
    spoiled = bytearray((tmp_path / "policy.tar").read_bytes())
    at = spoiled.index(b"example/output/data")
    spoiled[at + 512 : at + 516] = np.float32(0.9).tobytes()
    (tmp_path / "spoiled.tar").write_bytes(spoiled)
    assert subprocess.run([program, tmp_path / "spoiled.tar"], capture_output=True).returncode == 1
