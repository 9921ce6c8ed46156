"""What is written is the policy: closed forms, torch on random policies, and what must not be written."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from support.exported_policies import make_policy, make_spec
from torch import Tensor, nn

from policies import checkpoint
from policies.actor_critic import ActorCritic
from policies.spec import PolicySpec
from sim2real.export.exportable import ExportError, checkpoint_hash
from sim2real.export.onnx import IR_VERSION, OPSET, export_onnx
from sim2real.policy.metadata import KEYS, SCHEMA_VERSION

LOW, HIGH = (-2.0, 0.1), (0.3, 7.7)


def around_the_mean(policy: ActorCritic, rows: int, seed: int = 1) -> NDArray[np.float32]:
    """(rows, O) observations, the last five 0, +-1e3 and +-1e6."""
    shift, scale = policy.normalizer.shift_and_scale()
    drawn = shift + 3.0 * torch.randn(rows, len(shift), generator=torch.Generator().manual_seed(seed)) / scale
    drawn[-5:] = torch.tensor([0.0, 1e3, -1e3, 1e6, -1e6])[-rows:, None]
    return drawn.numpy()


def run_file(path: Path, observation: NDArray[np.float32]) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    (action,) = session.run(None, {"observation": observation})
    return action


def run_torch(policy: ActorCritic, observation: NDArray[np.float32]) -> NDArray[np.float32]:
    with torch.no_grad():
        return policy(torch.from_numpy(observation)).numpy()


def worst(policy: ActorCritic, action: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """Largest difference as a fraction of the action's range."""
    action_range = np.array(policy.spec.action_high) - np.array(policy.spec.action_low)
    return float((np.abs(action.astype(np.float64) - expected) / action_range).max())


# observation (3, -1) with mean (1, -2) and variance (4, 1/4): normalised ((3-1)/2, (-1+2)/0.5) = (1, 2)
# hidden: (1-2+0.5, 1+2-1) = (-0.5, 2), through the activation f; output 2 f(-0.5) + f(2)/8 + 0.25 =: m
# action in [-1, 3]: -1 + (m+1) * 2 = 1 + 2 m, so for relu m = 0.25 + 0.25 = 0.5 and the action is 2
@pytest.mark.parametrize(
    ("activation", "mean"),
    [
        ("relu", 0.5),
        ("elu", 2.0 * (math.exp(-0.5) - 1.0) + 0.5),
        ("tanh", 2.0 * math.tanh(-0.5) + math.tanh(2.0) / 8.0 + 0.25),
    ],
)
def test_action_by_hand(tmp_path: Path, activation: str, mean: float) -> None:
    policy = ActorCritic(make_spec(2, (-1.0,), (3.0,), hidden_sizes=(2,), activation=activation))
    values = {
        "normalizer.mean": [1.0, -2.0],
        "normalizer.variance": [4.0, 0.25],
        "actor.0.weight": [[1.0, -1.0], [1.0, 1.0]],
        "actor.0.bias": [0.5, -1.0],
        "actor.2.weight": [[2.0, 0.125]],
        "actor.2.bias": [0.25],
    }
    for name, value in values.items():
        policy.state_dict()[name].copy_(torch.tensor(value))
    export_onnx(policy, tmp_path / "policy.onnx")
    action = run_file(tmp_path / "policy.onnx", np.array([[3.0, -1.0]], np.float32))
    np.testing.assert_allclose(action, [[1.0 + 2.0 * mean]], rtol=1e-6)


def test_observations_are_clipped_to_ten_deviations_and_actions_to_their_bounds(tmp_path: Path) -> None:
    # no hidden layer, weight 0.05, mean 0, variance 1: m = 0.05 min(x, 10); the action, in [0, 4], is 2 (m + 1) <= 3
    policy = ActorCritic(make_spec(1, (0.0,), (4.0,), hidden_sizes=()))
    with torch.no_grad():
        policy.actor[0].weight.fill_(0.05)
        policy.actor[0].bias.zero_()
    export_onnx(policy, tmp_path / "policy.onnx")
    observation = np.array([[4.0], [10.0], [11.0], [1e30], [-1e30]], np.float32)
    action = run_file(tmp_path / "policy.onnx", observation)
    np.testing.assert_allclose(action[:, 0], [2.4, 3.0, 3.0, 3.0, 1.0], rtol=1e-6)
    with torch.no_grad():
        policy.actor[0].weight.fill_(0.5)  # m = +-5 at the clip, beyond the bounds
    export_onnx(policy, tmp_path / "policy.onnx")
    np.testing.assert_array_equal(run_file(tmp_path / "policy.onnx", observation)[1:, 0], [4.0, 4.0, 4.0, 0.0])


@pytest.fixture
def policy() -> ActorCritic:
    return make_policy(make_spec())


@st.composite
def policies(draw: st.DrawFn) -> ActorCritic:
    actions = draw(st.integers(1, 6))
    low = [draw(st.floats(-5.0, 5.0)) for _ in range(actions)]
    high = [bound + draw(st.floats(0.3, 10.0)) for bound in low]
    hidden = tuple(draw(st.lists(st.integers(1, 40), max_size=3)))
    activation = draw(st.sampled_from(["tanh", "relu", "elu"]))
    critic = draw(st.booleans())
    spec = make_spec(draw(st.integers(1, 24)), low, high, hidden_sizes=hidden, activation=activation, critic=critic)
    policy = make_policy(spec, seed=draw(st.integers(0, 2**31)))
    variances = st.sampled_from([0.0, 1e-30, 1e-9, 1.1e-8, 1e-4, 1.0, 1e8])
    policy.normalizer.variance.copy_(torch.tensor([draw(variances) for _ in spec.observation], dtype=torch.float64))
    return policy


@given(policy=policies())
@settings(max_examples=15)
def test_agrees_with_torch_at_every_batch_size_and_stays_within_bounds(policy: ActorCritic) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "policy.onnx"
        export_onnx(policy, path, checks=50)
        for rows in (1, 17, 1000):
            observation = around_the_mean(policy, rows)
            action = run_file(path, observation)
            assert action.dtype == np.float32
            assert action.shape == (rows, policy.spec.action_size)
            assert worst(policy, action, run_torch(policy, observation)) <= 1e-5
            # in double precision, in which the spec's bounds are given
            assert np.all(action.astype(np.float64) >= np.array(policy.spec.action_low))
            assert np.all(action.astype(np.float64) <= np.array(policy.spec.action_high))


class Offset(ActorCritic):
    """Does not do what its layers say: where the first entry is low, actions are off by a fraction of their range."""

    fraction, below = 0.0, math.inf

    def forward(self, observation: Tensor) -> Tensor:
        offset = self.fraction * (self.action_high - self.action_low)
        return super().forward(observation) + torch.where(observation[:, :1] < self.below, offset, 0.0)


def test_returns_the_largest_difference(tmp_path: Path) -> None:
    policy = make_policy(make_spec(), kind=Offset)
    policy.fraction = 5e-6  # type: ignore[assignment]
    # the widest range is 7.6: 5e-6 * 7.6 = 3.8e-5, give or take the rounding of actions near 7.7 (5e-7)
    assert export_onnx(policy, tmp_path / "policy.onnx") == pytest.approx(3.8e-5, abs=2e-6)


# below -1e5 there is one observation of the check, which is not among the golden ones
@pytest.mark.parametrize(("fraction", "below"), [(2e-5, math.inf), (math.nan, math.inf), (-1.0, -1e5)])
def test_a_failing_check_leaves_everything_as_it_was(tmp_path: Path, fraction: float, below: float) -> None:
    policy = make_policy(make_spec(), kind=Offset)
    old, new = tmp_path / "old.onnx", tmp_path / "new.onnx"
    export_onnx(policy, old)
    content = old.read_bytes()
    policy.fraction, policy.below = fraction, below  # type: ignore[assignment]
    one_line = r"the policy: action 'action_[01]' differs by \S+, allowed \S+\Z"
    for path in (old, new):
        with pytest.raises(ExportError, match=one_line):
            export_onnx(policy, path)
    assert old.read_bytes() == content
    assert list(tmp_path.iterdir()) == [old]


def test_an_invalid_graph_is_one_line_and_leaves_no_file(
    policy: ActorCritic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sim2real.export.onnx.OPSET", 5)  # Clip had no inputs for its limits then
    with pytest.raises(ExportError, match=r"is not valid: .*\Z"):
        export_onnx(policy, tmp_path / "policy.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("actor.0.weight", math.nan),
        ("critic.0.weight", -math.inf),
        ("normalizer.mean", math.nan),
        ("normalizer.mean", 1e39),  # finite, but not in single precision
        ("normalizer.variance", math.nan),
        ("normalizer.scale", 1e90),  # reciprocal standard deviation 0 in single precision
    ],
)
def test_non_finite_parameters_are_refused_by_name(
    policy: ActorCritic, tmp_path: Path, name: str, value: float
) -> None:
    policy.state_dict()["normalizer.variance" if name == "normalizer.scale" else name].view(-1)[-1] = value
    with pytest.raises(ExportError, match=name):
        export_onnx(policy, tmp_path / "policy.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"action_low": (-2.0, -3e38), "action_high": (0.3, 3e38)}, "action range"),  # 6e38 is infinite
        # one bound, in single precision
        ({"action_low": (-2.0, 7.7 - 1e-12), "safe_action": (0.0, 7.7)}, "reciprocal of the action range"),
    ],
)
def test_specs_that_single_precision_cannot_hold_are_refused(
    policy: ActorCritic, tmp_path: Path, fields: dict[str, object], named: str
) -> None:
    broken = ActorCritic(replace(policy.spec, **fields))  # type: ignore[arg-type]
    broken.load_state_dict(policy.state_dict())
    with pytest.raises(ExportError, match=named):
        export_onnx(broken, tmp_path / "policy.onnx")


def test_a_layer_that_could_overflow_is_refused(policy: ActorCritic, tmp_path: Path) -> None:
    # |W| |x| of one unit: 5 weights of 1e38 times 10 is 5e39, beyond 3.4e38
    with torch.no_grad():
        policy.actor[0].weight[0] = 1e38
    with pytest.raises(ExportError, match=r"actor\.0 can reach 5e\+39"):
        export_onnx(policy, tmp_path / "policy.onnx")


def test_a_layer_of_another_kind_is_refused(policy: ActorCritic, tmp_path: Path) -> None:
    policy.actor[1] = nn.Sigmoid()
    with pytest.raises(ExportError, match=r"actor\.1 is Sigmoid; allowed: Linear, Tanh, ReLU, ELU"):
        export_onnx(policy, tmp_path / "policy.onnx")


def test_refuses_what_it_cannot_write_to_and_too_few_checks(policy: ActorCritic, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="no existing folder"):
        export_onnx(policy, tmp_path / "missing" / "policy.onnx")
    with pytest.raises(ExportError, match="is a folder"):
        export_onnx(policy, tmp_path)
    with pytest.raises(ValueError, match="checks is 4"):
        export_onnx(policy, tmp_path / "policy.onnx", checks=4)
    export_onnx(policy, tmp_path / "policy.onnx", checks=5)


def test_file_says_all_that_is_needed_to_fly_it(policy: ActorCritic, tmp_path: Path) -> None:
    path = tmp_path / "policy.onnx"
    export_onnx(policy, path)
    model = onnx.load(path)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", OPSET)] == [("", 17)]
    assert model.ir_version == IR_VERSION == 8
    assert {node.domain for node in model.graph.node} == {""}
    for text in ("hover", "cf2x", "100 Hz", "observation_4 [m/s] in body", "action_1 [N]"):
        assert text in model.doc_string
    properties = {entry.key: entry.value for entry in model.metadata_props}
    assert tuple(properties) == KEYS
    assert properties["schema_version"] == SCHEMA_VERSION
    assert PolicySpec.from_json(properties["policy_spec"]) == policy.spec
    assert len(json.loads(properties["already_in_graph"])) == 4
    assert properties["producer_version"] == model.producer_version != ""
    shapes = [port.type.tensor_type.shape.dim for port in (*model.graph.input, *model.graph.output)]
    assert [size.dim_param or size.dim_value for shape in shapes for size in shape] == ["batch", 5, "batch", 2]


def test_hash_follows_every_tensor_and_survives_a_checkpoint(policy: ActorCritic, tmp_path: Path) -> None:
    checkpoint.save(tmp_path / checkpoint.CHECKPOINT_NAME, policy)
    assert checkpoint_hash(checkpoint.load(tmp_path)) == checkpoint_hash(policy)
    seen = {checkpoint_hash(policy)}
    for tensor in policy.state_dict().values():
        tensor.view(-1)[0].add_(1e-3)
        seen.add(checkpoint_hash(policy))
    assert len(seen) == len(policy.state_dict()) + 1


def test_the_same_policy_gives_the_same_bytes(policy: ActorCritic, tmp_path: Path) -> None:
    for name in ("first.onnx", "second.onnx"):
        export_onnx(policy, tmp_path / name)
    assert (tmp_path / "first.onnx").read_bytes() == (tmp_path / "second.onnx").read_bytes()
