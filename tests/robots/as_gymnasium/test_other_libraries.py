"""What docs/guides/other-libraries.md says, run as it stands, and stable-baselines3's PPO on our tasks."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytestmark = pytest.mark.slow

DOCUMENT = Path(__file__).parents[3] / "docs" / "guides" / "other-libraries.md"
SHORTER = {"n_steps=256": "n_steps=16", "total_timesteps=1_000_000": "total_timesteps=256"}


def blocks() -> list[str]:
    """The Python of the document, in order."""
    return re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), flags=re.DOTALL)


def stable_baselines3() -> Any:
    return pytest.importorskip("stable_baselines3", reason="stable-baselines3 comes with the extra 'bench'")


def test_the_document_runs_up_to_other_libraries() -> None:
    ours = [block for block in blocks() if "stable_baselines3" not in block]
    assert len(ours) == 3
    names: dict[str, Any] = {}
    exec("\n".join(ours), names)
    assert names["observations"].shape == (64, 16)
    assert len(set(names["rewards"].tolist())) == 64


def test_the_documents_ppo_trains_on_several() -> None:
    stable_baselines3()
    (block,) = (block for block in blocks() if "stable_baselines3" in block)
    for given, shorter in SHORTER.items():
        assert block.count(given) == 1
        block = block.replace(given, shorter)
    names: dict[str, Any] = {}
    exec(block, names)
    assert names["model"].num_timesteps == 256  # two rollouts of 8 x 16
    names["envs"].close()


def test_ppo_learns_on_a_single_environment() -> None:
    """The weights move and stay finite, and its Monitor reads is_success at the end of an episode."""
    model = stable_baselines3().PPO(
        "MlpPolicy", "hgrpo/quadrotor-hover-v0", n_steps=128, batch_size=64, n_epochs=2, seed=0, device="cpu"
    )
    before = [weights.clone() for weights in model.policy.parameters()]
    model.learn(total_timesteps=384)
    after = list(model.policy.parameters())
    assert not any(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert all(weights.isfinite().all() for weights in after)
    assert len(model.ep_success_buffer) == len(model.ep_info_buffer) > 0
    assert np.isfinite([episode["r"] for episode in model.ep_info_buffer]).all()
