"""C code of policies with memory: torch and onnxruntime over 1,000 steps, resets, and what is refused."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from support.policies_with_memory import MEMORIES, actions_over, remembering, sequences_of, shares

from hgrpo_errors import HgrpoError
from policies.actor_critic import ActorCritic
from sim2real.export.c import export_c
from sim2real.export.onnx import export_onnx
from sim2real.policy.c_policy import CompilerError, CPolicy, compile_library
from sim2real.policy.onnx_policy import OnnxPolicy

pytestmark = [pytest.mark.slow, pytest.mark.skipif(shutil.which("gcc") is None, reason="no gcc here to compile C with")]

STRICT = ("-O2", "-Wconversion", "-Wshadow", "-Wdouble-promotion", "-Wstrict-prototypes", "-Wmissing-prototypes")


def compiled(source: Path, policy: ActorCritic, *flags: str) -> CPolicy:
    library = source.with_suffix(".so")
    compile_library(source, library, "gcc", flags)
    return CPolicy(library, source.stem, policy.spec)


@pytest.mark.parametrize(
    ("memory", "fields", "tanh", "flags"),
    [
        ("gru", {}, "libm", STRICT),
        ("gru", {"activation": "relu"}, "approximate", ("-O3", "-ffast-math")),
        ("gru", {"activation": "elu", "hidden_sizes": ()}, "libm", STRICT),
        ("history", {}, "approximate", STRICT),
        ("history", {"activation": "elu"}, "libm", ("-O3", "-ffast-math")),
    ],
)
def test_c_memory_agrees_over_a_thousand_steps(
    tmp_path: Path, memory: str, fields: dict[str, object], tanh: str, flags: tuple[str, ...]
) -> None:
    policy = remembering(memory, **fields)
    exported = export_c(policy, tmp_path / "policy", checks=20, tanh=tanh)
    export_onnx(policy, tmp_path / "policy.onnx", checks=20)
    fly, reference = compiled(exported.source, policy, *flags), OnnxPolicy(tmp_path / "policy.onnx")
    observation = sequences_of(policy, 1000, 2)
    action = np.stack([fly(rows) for rows in observation])
    assert shares(policy, action, actions_over(policy, observation)).max() <= 1e-5
    assert shares(policy, action, np.stack([reference(rows) for rows in observation])).max() <= 1e-5
    fly.reset()
    np.testing.assert_array_equal(fly(observation[0]), action[0])


@pytest.fixture(scope="module", params=MEMORIES)
def policy(request: pytest.FixtureRequest) -> ActorCritic:
    return remembering(request.param)


@pytest.fixture(scope="module")
def source(policy: ActorCritic, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_c(policy, tmp_path_factory.mktemp("c") / "policy", checks=20, tanh="approximate").source


def test_c_memory_is_left_alone_by_what_is_not_finite(policy: ActorCritic, source: Path) -> None:
    fly, observation = compiled(source, policy, "-O3", "-ffast-math"), sequences_of(policy, 2, 2)
    expected = actions_over(policy, observation)
    fly(observation[0])
    broken = observation[1].copy()
    broken[1, 2] = np.nan  # the first row is valid
    with pytest.raises(HgrpoError, match="row 1"):
        fly(broken)
    assert shares(policy, fly(observation[1]), expected[1]).max() <= 1e-5


@pytest.mark.parametrize("rows", [np.array([0, 2]), np.array([True, False, True])])
def test_c_memory_of_some_episodes_begins_anew(policy: ActorCritic, source: Path, rows: NDArray[np.integer]) -> None:
    observation, fly = sequences_of(policy, 4, 3), compiled(source, policy, "-O2")
    for step in observation[:3]:
        fly(step)
    fly.reset(rows)
    before, fresh = actions_over(policy, observation)[3], actions_over(policy, observation[3:])[0]
    expected = np.stack([fresh[0], before[1], fresh[2]])
    assert shares(policy, fly(observation[3]), expected).max() <= 1e-5


def test_c_memory_refuses_another_number_of_episodes_until_reset(policy: ActorCritic, source: Path) -> None:
    fly, observation = compiled(source, policy, "-O2"), sequences_of(policy, 1, 3)[0]
    fly(observation)
    with pytest.raises(HgrpoError, match=r"2 observations after 3; .*reset\(\)"):
        fly(observation[:2])


def test_c_memory_needs_no_static_variable_and_no_allocation(policy: ActorCritic, source: Path, tmp_path: Path) -> None:
    subprocess.run(["gcc", "-std=c99", "-O2", "-c", source, "-o", tmp_path / "policy.o"], check=True)
    report = subprocess.run(["nm", tmp_path / "policy.o"], capture_output=True, text=True, check=True)
    symbols = [line.split()[-2:] for line in report.stdout.splitlines()]
    assert not [name for kind, name in symbols if kind in "bBdD"]
    called = {name.split("@")[0] for kind, name in symbols if kind == "U"}
    assert called <= {"memcpy", "memcmp", "memset", "memmove", "__stack_chk_fail", "_GLOBAL_OFFSET_TABLE_"}


def test_c_memory_size_is_in_the_header_and_the_footprint(policy: ActorCritic, source: Path, tmp_path: Path) -> None:
    width = policy.spec.memory_width
    assert f"#define POLICY_MEMORY_SIZE {width} " in source.with_suffix(".h").read_text()
    sizes = export_c(policy, tmp_path / "policy", checks=20).footprints
    assert {size.memory for size in sizes} == {4 * width}
    assert f"{4 * width} B of memory" in str(sizes[0])


def test_c_self_test_notices_a_memory_that_is_not_fed_on(policy: ActorCritic, source: Path, tmp_path: Path) -> None:
    text = source.read_text()
    shutil.copy(source.with_suffix(".h"), tmp_path)
    (tmp_path / "policy.c").write_text(text.replace("if (k % 5 == 0)", "if (k % 2 == 0)"))
    with pytest.raises(CompilerError, match="fails check"):
        compiled(tmp_path / "policy.c", policy, "-O2")


def test_c_memory_of_two_callers_is_their_own(policy: ActorCritic, source: Path) -> None:
    fly, observation = compiled(source, policy, "-O2"), sequences_of(policy, 20, 2)
    floats = ctypes.POINTER(ctypes.c_float)
    memories = np.full((2, policy.spec.memory_width), np.nan, np.float32)
    action = np.empty((20, 2, policy.spec.action_size), np.float32)
    for memory in memories:
        fly._reset(memory.ctypes.data_as(floats))
    for step in range(20):
        for row in range(2):
            pointers = (observation[step, row], memories[row], action[step, row])
            assert fly._act(*(each.ctypes.data_as(floats) for each in pointers)) == 0
    assert shares(policy, action, actions_over(policy, observation)).max() <= 1e-5
