"""C code is the policy: against onnxruntime, under every flag, and for what must not come in or be written."""

from __future__ import annotations

import ctypes
import math
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from support.exported_policies import make_policy, make_spec, observations_of, torch_actions
from torch import Tensor, nn

from policies.actor_critic import ActorCritic
from sim2real.export.c import export_c
from sim2real.export.c_footprint import footprint
from sim2real.export.c_source import TANH_ERROR
from sim2real.export.exportable import ExportError
from sim2real.export.onnx import export_onnx
from sim2real.policy.c_policy import CompilerError, CPolicy, compile_library
from sim2real.policy.onnx_policy import OnnxPolicy

pytestmark = [pytest.mark.slow, pytest.mark.skipif(shutil.which("gcc") is None, reason="no gcc here to compile C with")]

STRICT = ("-Wconversion", "-Wshadow", "-Wdouble-promotion", "-Wstrict-prototypes", "-Wmissing-prototypes")
RANGE = np.array([2.3, 7.6])


@pytest.fixture(scope="module")
def policy() -> ActorCritic:
    return make_policy(make_spec(24, hidden_sizes=(64, 64)))


@pytest.fixture(scope="module")
def source(policy: ActorCritic, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_c(policy, tmp_path_factory.mktemp("c") / "policy").source


def compiled(source: Path, tmp_path: Path, policy: ActorCritic, *flags: str) -> CPolicy:
    library = tmp_path / "policy.so"
    compile_library(source, library, "gcc", flags)
    return CPolicy(library, source.stem, policy.spec)


@pytest.mark.parametrize(
    ("activation", "hidden", "tanh"),
    [
        ("tanh", (64, 64), "libm"),
        ("tanh", (64, 64), "approximate"),
        ("elu", (32,), "libm"),
        ("elu", (32,), "approximate"),
        ("relu", (16, 8, 40), "libm"),
        ("tanh", (), "libm"),
    ],
)
def test_agrees_with_onnxruntime_on_10000_observations(
    tmp_path: Path, activation: str, hidden: tuple[int, ...], tanh: str
) -> None:
    policy = make_policy(make_spec(24, hidden_sizes=hidden, activation=activation), seed=3)
    exported = export_c(policy, tmp_path / "policy", tanh=tanh)
    export_onnx(policy, tmp_path / "policy.onnx")
    observation = observations_of(policy, 10_000)
    observation[-5:] = np.array([0.0, 1e3, -1e3, 1e6, 3.4e38], np.float32)[:, None]
    action = compiled(exported.source, tmp_path, policy, "-O2", *STRICT)(observation)
    error = np.abs(action - OnnxPolicy(tmp_path / "policy.onnx")(observation)) / RANGE
    assert error.max() <= 1e-5
    assert exported.difference is not None
    assert exported.difference <= 1e-5 * RANGE.max()
    # in double precision, in which the spec's bounds are given
    assert np.all(action.astype(np.float64) >= np.array(policy.spec.action_low))
    assert np.all(action.astype(np.float64) <= np.array(policy.spec.action_high))


@pytest.mark.parametrize("flags", [("-O0",), ("-O3", "-ffast-math"), ("-Os", "-ffast-math", "-flto")])
def test_what_is_not_finite_is_refused_and_nothing_written_whatever_the_flags(
    policy: ActorCritic, source: Path, tmp_path: Path, flags: tuple[str, ...]
) -> None:
    fly = compiled(source, tmp_path, policy, *flags)
    floats = ctypes.POINTER(ctypes.c_float)
    for index in range(24):
        for bits in (0x7FC00000, 0x7F800000, 0xFF800000, 0x7F800001, 0xFFFFFFFF):  # NaNs and infinities of each sign
            observation, action = np.zeros(24, np.uint32), np.array([0.25, 3.0], np.float32)
            observation[index] = bits
            status = fly._act(observation.ctypes.data_as(floats), action.ctypes.data_as(floats))
            assert status == 1
            assert action.tolist() == [0.25, 3.0]
    extreme = np.tile(np.array([[3.4028235e38], [-3.4028235e38], [1e-45], [-0.0]], np.float32), (1, 24))
    np.testing.assert_allclose(fly(extreme), torch_actions(policy, extreme), atol=1e-5)


def test_needs_no_allocation_and_no_libm_but_what_was_asked_for(policy: ActorCritic, tmp_path: Path) -> None:
    for tanh, wanted in (("libm", {"tanhf"}), ("approximate", set())):
        exported = export_c(policy, tmp_path / "policy", tanh=tanh)
        subprocess.run(["gcc", "-std=c99", "-O2", "-c", exported.source, "-o", tmp_path / "policy.o"], check=True)
        report = subprocess.run(["nm", "-u", tmp_path / "policy.o"], capture_output=True, text=True, check=True)
        called = {line.split()[-1].split("@")[0] for line in report.stdout.splitlines()}
        known = {"memcpy", "memcmp", "__stack_chk_fail", "_GLOBAL_OFFSET_TABLE_"}
        assert called - known == wanted
        assert ("math.h" in exported.source.read_text()) == bool(wanted)


@pytest.mark.parametrize("flags", [("-O2",), ("-O3", "-ffast-math")])
def test_the_approximate_tanh_keeps_its_stated_error(tmp_path: Path, flags: tuple[str, ...]) -> None:
    policy = make_policy(make_spec(2, hidden_sizes=(2,)))
    export_c(policy, tmp_path / "policy", tanh="approximate")
    (tmp_path / "probe.c").write_text(
        '#include "policy.c"\nvoid probe(const float *x, float *y, int n);\n'
        "void probe(const float *x, float *y, int n) { for (int i = 0; i < n; ++i) y[i] = policy_tanh(x[i]); }\n"
    )
    compile_library(tmp_path / "probe.c", tmp_path / "probe.so", "gcc", flags)
    magnitudes = np.arange(0, 0x7F800000, 4099, dtype=np.uint32).view(np.float32)  # every 4,099th finite float
    x = np.concatenate([magnitudes, -magnitudes, np.linspace(-10.0, 10.0, 400_001, dtype=np.float32)])
    y = np.empty_like(x)
    floats = ctypes.POINTER(ctypes.c_float)
    probe = ctypes.CDLL(str(tmp_path / "probe.so")).probe
    probe(x.ctypes.data_as(floats), y.ctypes.data_as(floats), len(x))
    error = np.abs(y - np.tanh(x.astype(np.float64)))
    assert error.max() <= TANH_ERROR
    assert np.all(np.abs(y) <= 1.0 + 1.2e-7)
    assert y[np.flatnonzero(x == 0.0)[0]] == 0.0


def test_a_library_compiled_for_speed_leaves_denormal_numbers_to_the_process(
    policy: ActorCritic, source: Path, tmp_path: Path
) -> None:
    compiled(source, tmp_path, policy, "-O3", "-ffast-math")
    assert np.float32(1e-38) * np.float32(1e-3) > 0.0


def test_two_policies_go_into_one_translation_unit(tmp_path: Path) -> None:
    for kinds in (("tanh", "elu"), ("elu", "elu"), ("tanh", "tanh"), ("relu", "tanh")):
        pair = {}
        for seed, (name, activation, tanh) in enumerate(
            zip(("left", "right"), kinds, ("approximate", "libm"), strict=True)
        ):
            spec = make_spec(4 + seed, hidden_sizes=(8 + seed,), activation=activation)
            pair[name] = make_policy(spec, seed=seed)
            export_c(pair[name], tmp_path / name, tanh=tanh)
        (tmp_path / "both.c").write_text('#include "left.c"\n#include "right.c"\n')
        compile_library(tmp_path / "both.c", tmp_path / "both.so", "gcc", ("-O2", "-I.", *STRICT))
        for name, policy in pair.items():
            fly, observation = CPolicy(tmp_path / "both.so", name, policy.spec), observations_of(policy, 50)
            np.testing.assert_allclose(fly(observation), torch_actions(policy, observation), atol=1e-4)


def test_everything_that_a_source_defines_begins_with_its_name(source: Path, tmp_path: Path) -> None:
    for words in (("-c", source, "-o", tmp_path / "policy.o"), ("-dM", "-E", source, "-o", tmp_path / "macros")):
        subprocess.run(["gcc", "-std=c99", "-O0", *words], check=True)
    report = subprocess.run(["nm", "--defined-only", tmp_path / "policy.o"], capture_output=True, text=True, check=True)
    defined = {line.split()[-1] for line in report.stdout.splitlines()}
    assert {"policy_act", "policy_clip", "policy_weight_0"} <= defined
    assert not [name for name in defined if not name.startswith("policy_") and "." not in name]
    # macros that the file has on top of those of the headers that it includes
    subprocess.run(
        ["gcc", "-std=c99", "-dM", "-E", "-", "-o", tmp_path / "system"],
        input="#include <math.h>\n#include <stdint.h>\n#include <string.h>\n",
        text=True,
        check=True,
    )
    macros = {line.split()[1] for line in (tmp_path / "macros").read_text().splitlines()}
    own = macros - {line.split()[1] for line in (tmp_path / "system").read_text().splitlines()}
    assert "POLICY_WIDTH" in own
    assert all(name.startswith("POLICY_") for name in own)


def test_self_test_notices_a_changed_weight(policy: ActorCritic, source: Path, tmp_path: Path) -> None:
    shutil.copy(source.with_suffix(".h"), tmp_path)
    text = re.sub(r"(bias_4\[2\] = \{)[^,]+", r"\g<1>0.123f", source.read_text())
    assert text != source.read_text()
    (tmp_path / "policy.c").write_text(text)
    with pytest.raises(CompilerError, match=r"fails check \d of its self-test"):
        compiled(tmp_path / "policy.c", tmp_path, policy)


def test_footprint_is_the_weights_and_little_else(source: Path) -> None:
    # 24-64-64-2: 24*64+64 + 64*64+64 + 64*2+2 = 5,890 floats of 4 bytes; golden vectors 8 * 26 floats
    size = footprint(source, "", "here", ())
    assert 4 * (5890 + 208) <= size.flash <= 4 * (5890 + 208) + 4000
    assert size.ram == 0
    assert 2 * 64 * 4 <= size.stack <= 2 * 64 * 4 + 600


def test_header_has_what_a_caller_needs(policy: ActorCritic, tmp_path: Path) -> None:
    text = export_c(policy, tmp_path / "hover_2").header.read_text()
    for piece in (
        "#define HOVER_2_OBSERVATION_SIZE 24",
        "#define HOVER_2_CONTROL_HZ 100.0f",
        '#define HOVER_2_ROBOT "cf2x"',
        " *   23  observation_23  [m/s]  in body",
        "0.1 to 7.7, safe 3.9",
        "int hover_2_act(const float observation[HOVER_2_OBSERVATION_SIZE], float action[HOVER_2_ACTION_SIZE]);",
        "int hover_2_self_test(void);",
    ):
        assert piece in text


class Offset(ActorCritic):
    """Is off where the first entry is low, which its layers do not say."""

    def forward(self, observation: Tensor) -> Tensor:
        return super().forward(observation) + torch.where(observation[:, :1] < -1e5, 0.1, 0.0)


def test_a_failing_check_leaves_everything_as_it_was(policy: ActorCritic, tmp_path: Path) -> None:
    export_c(policy, tmp_path / "policy")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(ExportError, match=r"does not reproduce the policy: action 'action_\d' differs by 0\.1"):
        export_c(make_policy(make_spec(), kind=Offset), tmp_path / "policy")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert before.keys() == {"policy.c", "policy.h"}


@pytest.mark.parametrize(
    ("name", "tanh", "message"),
    [
        ("2fast", "libm", "'2fast' cannot begin the name of a C function"),
        ("Policy.c", "libm", "'Policy.c' cannot begin"),
        (
            "stdint",
            "libm",
            r"'stdint' cannot be used: stdint\.h is a header of C; choose another, such as stdint_p",
        ),
        ("string", "libm", r"string\.h is a header of C"),
        ("math", "approximate", r"math\.h is a header of C"),
        ("features", "libm", r"features\.h is a header of C"),
        ("while", "libm", "'while' cannot be used: while is a keyword of C"),
        ("bool", "libm", r"bool is a keyword of C"),
        ("missing/policy", "libm", "lies in no existing folder"),
        ("policy", "sinh", "tanh 'sinh'"),
    ],
)
def test_mistakes_are_one_line(policy: ActorCritic, tmp_path: Path, name: str, tanh: str, message: str) -> None:
    with pytest.raises(ExportError, match=message):
        export_c(policy, tmp_path / name, tanh=tanh)
    assert not list(tmp_path.iterdir())


def test_policies_that_c_cannot_hold_are_refused(tmp_path: Path) -> None:
    wide = make_policy(make_spec())
    wide.normalizer.variance[3] = 1e36  # clipped at 10 standard deviations, 1e19
    with pytest.raises(ExportError, match=r"'observation_3' is clipped at 1e\+19"):
        export_c(wide, tmp_path / "policy")
    other = make_policy(make_spec())
    other.actor[1] = nn.Sigmoid()
    with pytest.raises(ExportError, match=r"actor\.1 is Sigmoid; allowed: Linear, Tanh, ReLU, ELU"):
        export_c(other, tmp_path / "policy")
    broken = make_policy(make_spec())
    broken.state_dict()["actor.0.weight"][0, 0] = math.nan
    with pytest.raises(ExportError, match=r"actor\.0\.weight holds a value that is not finite"):
        export_c(broken, tmp_path / "policy")


def test_without_a_compiler_the_files_are_written_and_said_to_be_unchecked(
    policy: ActorCritic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    exported = export_c(policy, tmp_path / "policy")
    assert exported.difference is None
    assert exported.footprints == []
    with pytest.raises(CompilerError, match="compiler gcc not found"):
        compile_library(exported.source, tmp_path / "policy.so", "gcc")
    monkeypatch.undo()
    assert compiled(exported.source, tmp_path, policy).self_test() == 0


def test_a_compiled_policy_takes_one_and_many(policy: ActorCritic, source: Path, tmp_path: Path) -> None:
    fly, observation = compiled(source, tmp_path, policy), observations_of(policy, 20)
    np.testing.assert_allclose(fly(observation), torch_actions(policy, observation), atol=1e-5)
    np.testing.assert_array_equal(fly(observation[3].tolist()), fly(observation)[3])
    assert fly(observation[::2]).shape == (10, 2)
    with pytest.raises(ValueError, match=r"observation has shape \(3,\); expected \(24,\) or \(B, 24\)"):
        fly(np.zeros(3))
    observation[4, 2] = np.nan
    with pytest.raises(ValueError, match="row 4 of the observation is not finite"):
        fly(observation)
    with pytest.raises(CompilerError, match="no policy 'other'"):
        CPolicy(tmp_path / "policy.so", "other", policy.spec)


def test_a_library_that_was_made_again_is_loaded_again(policy: ActorCritic, tmp_path: Path) -> None:
    other = make_policy(policy.spec, seed=9)
    for each in (policy, other):
        fly = compiled(export_c(each, tmp_path / "policy").source, tmp_path, each)
        observation = observations_of(each, 5)
        np.testing.assert_allclose(fly(observation), torch_actions(each, observation), atol=1e-5)
    wider = make_spec(24, high=(0.3, 9.7), hidden_sizes=(64, 64))
    with pytest.raises(CompilerError, match=r"has the safe action .*; expected"):
        CPolicy(tmp_path / "policy.so", "policy", wider)
