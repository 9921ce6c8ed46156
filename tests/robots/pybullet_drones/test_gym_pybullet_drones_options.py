"""What needs no gym-pybullet-drones: options, messages, attitudes, and the line that says it is missing."""

from __future__ import annotations

import io
import math

import pytest
import torch

import robots
from robots.options import OptionError
from robots.pybullet_drones import frames, worker_pool
from robots.pybullet_drones.options import drone_options
from robots.pybullet_drones.row import WorkerRow
from robots.pybullet_drones.simulator import _quaternion
from robots.pybullet_drones.state import AviaryState, pack
from robots.registry import UnknownTaskError


def test_a_missing_package_is_told_with_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_pool, "_NEEDED", {"no_such_module_at_all": "gym-pybullet-drones"})
    with pytest.raises(worker_pool.MissingDronesError) as caught:
        robots.make("gpd/HoverAviary")
    assert str(caught.value) == (
        "gym-pybullet-drones cannot be used, because gym-pybullet-drones is missing here: "
        "pip install '.[drones]' in a clone of hgrpo-control"
    )


@pytest.mark.parametrize(
    ("aviary", "given", "message"),
    [
        (
            "HoverAviary",
            {"action": "rmp"},
            "unknown action 'rmp'; did you mean 'rpm'?",
        ),
        ("VelocityAviary", {"action": "rpm"}, "gpd/VelocityAviary has no action=rpm; allowed: vel"),
        ("HoverAviary", {"workers": "1.5"}, "task option workers must be a whole number; given '1.5'"),
        ("HoverAviary", {"workers": "0"}, "workers must be at least 1; given 0"),
        ("HoverAviary", {"drones": 2}, "has one drone; given 2; did you mean 'gpd/MultiHoverAviary'"),
        ("HoverAviary", {"start": "fixd"}, "did you mean 'fixed'?"),
        ("HoverAviary", {"worker": 2}, "unknown task option 'worker'; did you mean 'workers'?"),
    ],
)
def test_an_option_that_is_not_taken_is_told(aviary: str, given: dict[str, object], message: str) -> None:
    with pytest.raises(OptionError) as caught:
        drone_options(aviary, given)
    assert message in str(caught.value)


def test_an_unknown_aviary_is_told_with_the_nearest() -> None:
    with pytest.raises(UnknownTaskError, match=r"unknown task 'gpd/HoverAvairy'; did you mean 'gpd/HoverAviary'\?"):
        robots.make("gpd/HoverAvairy")


def test_messages_come_back_whole_and_a_torn_one_is_an_error() -> None:
    stream = io.BytesIO()
    frames.send(stream, frames.ROWS, b"abc")
    frames.send(stream, frames.FAILED, b"")
    whole = stream.getvalue()
    stream.seek(0)
    assert frames.receive(stream) == (frames.ROWS, b"abc")
    assert frames.receive(stream) == (frames.FAILED, b"")
    with pytest.raises(EOFError):
        frames.receive(stream)
    with pytest.raises(EOFError):
        frames.receive(io.BytesIO(whole[:10]))


def test_attitudes_follow_roll_pitch_yaw() -> None:
    # Half a turn about one axis is that axis: q = (axis sin 90, cos 90). Yaw 90 after roll 90: q = q_yaw q_roll with
    # q_roll = (s, 0, 0, s), q_yaw = (0, 0, s, s), s = sqrt(1/2); xyz = s (s, 0, 0) + s (0, 0, s)
    # + (0, 0, s) x (s, 0, 0) = (1/2, 1/2, 1/2), w = s s = 1/2.
    half, quarter = math.pi, math.pi / 2
    angles = torch.tensor([[half, 0, 0], [0, half, 0], [0, 0, half], [quarter, 0, quarter]], dtype=torch.float64)
    expected = torch.tensor([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0.5, 0.5, 0.5, 0.5]], dtype=torch.float64)
    torch.testing.assert_close(_quaternion(angles), expected)


@pytest.mark.parametrize("drones", [1, 3])
def test_a_row_travels_without_loss(drones: int) -> None:
    generator = torch.Generator().manual_seed(0)
    sizes = (3, 4, 3, 3, 4, 16, 3, 4)
    fields = [torch.randn(5, drones, size, generator=generator, dtype=torch.float64) for size in sizes]
    actions, failed = torch.randn(5, 15, drones, 4, generator=generator), torch.zeros(5, dtype=torch.bool)
    state = AviaryState(*fields, actions, failed)
    action, row = torch.randn(5, drones * 4, generator=generator), WorkerRow(drones)
    packed = pack(state, action)
    assert packed.shape == (5, row.width + 4 * drones)
    for field, back in zip(fields[:7], row.unpack(packed), strict=True):
        assert torch.equal(field, torch.from_numpy(back.copy()))
    assert torch.equal(action, torch.from_numpy(packed[:, row.width :]).float())
