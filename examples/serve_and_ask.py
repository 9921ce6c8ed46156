"""Serve an exported policy as `hgrpo serve` does, and request actions over a WebSocket with a deadline.

python examples/serve_and_ask.py                              # first trains a policy for some seconds
python examples/serve_and_ask.py --policy runs/hover/policy.onnx
"""

import argparse
import dataclasses
import re
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from sim2real.client.policy_client import PolicyClient
from sim2real.protocol.request_error import RequestError


def trained(path: Path, steps: int) -> Path:
    """Train a policy for a short time and export it; returns its path."""
    import hgrpo_control
    from sim2real.export.onnx import export_onnx

    config = hgrpo_control.preset("hybrid-grpo", "quadrotor-hover")
    export_onnx(hgrpo_control.train(dataclasses.replace(config, num_envs=64, total_steps=steps)).policy, path)
    return path


def ask(url: str, number: int) -> None:
    """Request actions as a control loop does, then one action that the server refuses."""
    with PolicyClient(url, timeout=10.0) as client:  # a control loop would wait for 0.01 s
        names = [entry["name"] for entry in client.metadata["observation"]]
        observation = [1.0 if name == "up_z" else 0.0 for name in names]  # level, at rest, at the target
        began = time.perf_counter()
        for _ in range(number):
            action = client.infer(observation).action
        print(f"{number} answers in {1e3 * (time.perf_counter() - began) / number:.2f} ms each; the last one: {action}")
        try:
            client.infer([float("inf"), *observation[1:]])
        except RequestError as refusal:
            print(f"refused as {refusal.reason}: {refusal}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--policy", type=Path, help="an exported file")
    parser.add_argument("--steps", type=int, default=262_144, help="simulator steps of training, at least 16,384")
    parser.add_argument("--requests", type=int, default=1000)
    given = parser.parse_args()
    with TemporaryDirectory() as folder:
        policy = given.policy or trained(Path(folder) / "policy.onnx", given.steps)
        command = "from hgrpo_control.cli import entry_point; entry_point()"  # the content of the script `hgrpo`
        words = [sys.executable, "-u", "-c", command, "serve", str(policy), "--port", "0"]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as server:
            said = next(line for line in server.stdout if "serving at" in line)
            print(said.strip())
            ask(re.sub(r".*http://([^ /]+)/.*", r"ws://\1/", said.strip()), given.requests)
            server.terminate()
    print(f"server ended with status {server.returncode}")
