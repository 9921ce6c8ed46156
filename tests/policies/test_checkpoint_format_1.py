"""Files of format 1 are read where the policy acts as it did, and refused otherwise."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from support.checkpoints import SPEC, refused, trained_policy

from policies import checkpoint
from policies.actor_critic import ActorCritic
from policies.spec import Channel, PolicySpec


def older(path: Path, policy: ActorCritic, reference: ActorCritic | None = None) -> Path:
    """A file as format 1 had it, which names no format."""
    held = None if reference is None else {"spec": reference.spec.to_json(), "policy": reference.state_dict()}
    content = {"spec": policy.spec.to_json(), "policy": policy.state_dict(), "training": {"reference": held}}
    torch.save(content, path)
    return path


def with_deviation(deviation: float, mean: float = 0.0, spec: PolicySpec = SPEC) -> ActorCritic:
    """A policy whose entry o1, and h1 of what is hidden, has varied by so much."""
    policy = trained_policy(spec)
    for normalizer in (policy.normalizer, policy.privileged_normalizer):
        if normalizer is not None:
            normalizer.mean[1], normalizer.variance[1] = mean, deviation**2
    return policy


# an entry that varied by 1e-4 was left as it is and would be multiplied by 1e4; one at 1e5 that varied by 2e-3, less
# than the rounding of 1e5 x 2^-23 = 0.012, was multiplied by 500 and would be left as it is
@pytest.mark.parametrize(
    ("deviation", "mean", "before", "after"),
    [(1e-4, 0.0, "1", "1e+04"), (1e-6, 0.0, "1", "1e+06"), (2e-3, 1e5, "500", "1")],
)
def test_an_older_file_with_an_entry_that_is_scaled_otherwise_is_refused(
    tmp_path: Path, deviation: float, mean: float, before: str, after: str
) -> None:
    message = refused(older(tmp_path / "old.pt", with_deviation(deviation, mean)))
    assert f"'o1' by {before};" in message
    assert f" by {after}," in message


def test_what_only_a_critic_sees_and_the_reference_of_an_older_file_are_looked_at_too(tmp_path: Path) -> None:
    spec = replace(SPEC, privileged=(Channel("h0"), Channel("h1")))
    policy = with_deviation(1e-5, spec=spec)
    policy.normalizer.variance[1] = 1.0
    assert "'h1'" in refused(older(tmp_path / "critic.pt", policy))
    assert "'o1'" in refused(older(tmp_path / "leashed.pt", trained_policy(), with_deviation(1e-5)))


@pytest.mark.parametrize(("deviation", "mean"), [(0.0, 0.3), (1e-9, 47.4), (1.1e-4, 0.0), (3.0, 7.0)])
def test_other_older_files_act_as_they_did(tmp_path: Path, deviation: float, mean: float) -> None:
    policy = with_deviation(deviation, mean)
    read = checkpoint.load(older(tmp_path / "old.pt", policy))
    x = torch.randn(50, 3)
    assert torch.equal(read(x), policy(x))


def test_small_entries_of_files_written_now_are_read(tmp_path: Path) -> None:
    policy = with_deviation(1e-6)
    checkpoint.save(tmp_path / "new.pt", policy, {"reference": None})
    assert checkpoint.load(tmp_path / "new.pt").normalizer.shift_and_scale()[1][1].item() == pytest.approx(1e6)
