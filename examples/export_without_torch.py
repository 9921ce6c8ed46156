"""Export a policy as ONNX, then run it with numpy and onnxruntime only.

    python examples/export_without_torch.py
    python examples/export_without_torch.py --run policy.onnx     # only the second process, with any exported file

The file contains the normaliser, the clip and the bounds. Its input is in the units of the sensors, its output in the
units of the motors. The export is refused unless onnxruntime computes the actions of the policy.
"""

import argparse
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory


def train_and_export(path: Path, steps: int) -> None:
    """Train for a short time and write the policy."""
    import dataclasses

    import hgrpo_control
    from sim2real.export.onnx import export_onnx

    config = hgrpo_control.preset("hybrid-grpo", "quadrotor-hover")
    policy = hgrpo_control.train(dataclasses.replace(config, num_envs=64, total_steps=steps)).policy
    difference = export_onnx(policy, path)
    print(f"exported {path.stat().st_size:,} bytes; differs from torch by at most {difference:.1e}", flush=True)


def run(path: Path) -> None:
    """Run the exported policy, without torch."""
    from sim2real import OnnxPolicy

    policy = OnnxPolicy(path)
    print(f"torch imported: {'torch' in sys.modules}; {policy.spec.task} at {policy.spec.control_hz:g} Hz")
    observation = {entry.name: 0.0 for entry in policy.spec.observation}  # at the target, at rest
    observation |= {"up_z": 1.0}  # and level
    for height in (-0.5, 0.0, 0.5):
        observation["position_error_z"] = height  # target minus position [m]
        motors = policy(list(observation.values()))
        print(f"target {height:+.1f} m above: motors {[round(float(motor), 3) for motor in motors]}")
    try:
        policy([float("nan"), *list(observation.values())[1:]])
    except ValueError as error:
        print(f"refused: {error}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=262_144, help="simulator steps of training, at least 16,384")
    parser.add_argument("--run", type=Path, help="an exported file, to be run and nothing else")
    given = parser.parse_args()
    if given.run:
        run(given.run)
    else:
        with TemporaryDirectory() as folder:
            train_and_export(Path(folder) / "policy.onnx", given.steps)
            subprocess.run([sys.executable, __file__, "--run", str(Path(folder) / "policy.onnx")], check=True)
