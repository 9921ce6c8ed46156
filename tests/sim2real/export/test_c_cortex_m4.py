"""The C export on the flight controller's processor: cross-compiled, measured, and run in an emulator."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from support.exported_policies import make_policy, make_spec, observations_of, torch_actions
from support.policies_with_memory import actions_over, remembering, sequences_of, shares

from sim2real.export.c import export_c
from sim2real.export.c_footprint import CORTEX_M4F, footprint
from sim2real.policy.c_policy import WARNINGS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        shutil.which("arm-none-eabi-gcc") is None, reason="no arm-none-eabi-gcc (Debian: gcc-arm-none-eabi)"
    ),
]
BOARD = Path(__file__).parent / "cortex_m4"


def build(folder: Path, flags: tuple[str, ...]) -> Path:
    """Bare-metal program of policy.c in the folder and the harness."""
    gcc = ("arm-none-eabi-gcc", *CORTEX_M4F)
    for name, source, words in (
        ("policy.o", folder / "policy.c", ("-std=c99", *WARNINGS, *flags)),
        ("harness.o", BOARD / "harness.c", ("-O2", f"-I{folder}")),
    ):
        subprocess.run([*gcc, *words, "-c", source, "-o", folder / name], check=True)
    script = ("-nostartfiles", "--specs=nosys.specs", "-Wl,--gc-sections", "-T", BOARD / "memory.ld")
    program = folder / "flight.elf"
    subprocess.run([*gcc, *script, folder / "harness.o", folder / "policy.o", "-lm", "-o", program], check=True)
    return program


def run(program: Path) -> dict[str, int]:
    """What the program reports from an emulated Cortex-M4F."""
    machine = ("-M", "mps2-an386", "-display", "none", "-monitor", "none", "-serial", "none", "-icount", "shift=0")
    words = ["qemu-system-arm", *machine, "-semihosting-config", "enable=on,target=native", "-kernel", program]
    result = subprocess.run(words, cwd=program.parent, capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    lines = (line.split() for line in (result.stdout + result.stderr).splitlines())
    return {name: int(value) for name, value in lines}


@pytest.mark.skipif(shutil.which("qemu-system-arm") is None, reason="no qemu-system-arm (Debian: qemu-system-arm)")
@pytest.mark.parametrize(
    ("activation", "tanh", "flags"),
    [("tanh", "libm", ("-O2",)), ("tanh", "approximate", ("-O3", "-ffast-math")), ("elu", "libm", ("-Os",))],
)
def test_acts_like_torch_on_an_emulated_flight_controller(
    tmp_path: Path, activation: str, tanh: str, flags: tuple[str, ...]
) -> None:
    policy = make_policy(make_spec(24, hidden_sizes=(32, 32), activation=activation))
    export_c(policy, tmp_path / "policy", tanh=tanh)
    observation = observations_of(policy, 200)
    observation[0] = 1e6
    observation.tofile(tmp_path / "observation.bin")
    report = run(build(tmp_path, flags))
    assert (report["self_test"], report["rows"]) == (0, 200)
    action = np.fromfile(tmp_path / "action.bin", np.float32).reshape(200, 2)
    np.testing.assert_allclose(action, torch_actions(policy, observation), atol=2.3e-5)  # 1e-5 of the narrower range
    assert 2 * 32 * 4 <= report["stack"] <= 800  # two buffers of the widest layer, and some for the calls


@pytest.mark.skipif(shutil.which("qemu-system-arm") is None, reason="no qemu-system-arm (Debian: qemu-system-arm)")
@pytest.mark.parametrize(
    ("memory", "tanh", "flags", "stack"),
    # two buffers of the widest layer: 16 floats, or 5 + 3 (5 + 2) of the history; and some for the calls
    [("gru", "libm", ("-O2",), 2 * 16 * 4), ("history", "approximate", ("-O3", "-ffast-math"), 2 * 26 * 4)],
)
def test_memory_on_an_emulated_flight_controller(
    tmp_path: Path, memory: str, tanh: str, flags: tuple[str, ...], stack: int
) -> None:
    policy = remembering(memory)
    exported = export_c(policy, tmp_path / "policy", checks=20, tanh=tanh)
    observation = sequences_of(policy, 1000, 1)
    observation.tofile(tmp_path / "observation.bin")
    report = run(build(tmp_path, flags))
    assert (report["self_test"], report["rows"]) == (0, 1000)
    action = np.fromfile(tmp_path / "action.bin", np.float32).reshape(1000, 1, 2)
    assert shares(policy, action, actions_over(policy, observation)).max() <= 1e-5
    assert stack <= report["stack"] <= stack + 400
    assert 0 < report["ticks"] < 25 * 1000 * 1000
    (size,) = (size for size in exported.footprints if size.target == "Cortex-M4F")
    assert (size.ram, size.memory) == (0, 4 * policy.spec.memory_width)


def test_footprint_on_a_cortex_m4f(tmp_path: Path) -> None:
    # 24-64-64-4: 24*64+64 + 64*64+64 + 64*4+4 = 6,020 floats, 24,080 bytes; golden vectors 8 * 28 floats, 896 bytes
    policy = make_policy(make_spec(24, low=(-1.0,) * 4, high=(1.0,) * 4, hidden_sizes=(64, 64)))
    exported = export_c(policy, tmp_path / "policy")
    size = footprint(exported.source, "arm-none-eabi-", "Cortex-M4F", CORTEX_M4F)
    assert size in exported.footprints
    assert 24_976 <= size.flash <= 26_500
    assert size.ram == 0
    assert 512 <= size.stack <= 800
    assert str(size).startswith("Cortex-M4F: 2")
