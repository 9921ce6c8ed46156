"""The exported ROS 2 package: its files, and its node on a stand-in for rclpy and the messages."""

from __future__ import annotations

import importlib.util
import sys
import types
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import robots
from hgrpo_control.config.learning import Network
from hgrpo_control.training.simulation import policy_spec
from policies.actor_critic import ActorCritic
from robots.quadrotor.body.rotation import rotation_rows
from sim2real.export.exportable import ExportError
from sim2real.export.ros2 import PACKAGE, export_ros2
from sim2real.policy.onnx_policy import OnnxPolicy


def policy_for(interface: str, memory: str = "none") -> ActorCritic:
    spec = robots.make("quadrotor-hover", interface=interface).spec
    return ActorCritic(
        policy_spec(spec, Network((8,), memory=memory, memory_size=4), critic=False),
        generator=torch.Generator().manual_seed(2),
    )


class Node:
    """What the exported node uses of rclpy.node.Node; time is that of the test."""

    parameters: dict[str, Any] = {}  # noqa: RUF012  (given by the test)

    def __init__(self, name: str) -> None:
        self.now, self.sent, self.said = 0.0, list[tuple[str, Any]](), list[str]()
        self.callbacks: dict[str, Any] = {}
        self.values: dict[str, Any] = {}

    def declare_parameter(self, name: str, default: Any) -> None:
        self.values[name] = self.parameters.get(name, default)

    def get_parameter(self, name: str) -> SimpleNamespace:
        return SimpleNamespace(value=self.values[name])

    def create_subscription(self, kind: type, topic: str, callback: Any, quality: Any) -> None:
        self.callbacks[topic] = callback

    def create_publisher(self, kind: type, topic: str, depth: int) -> SimpleNamespace:
        return SimpleNamespace(publish=lambda message: self.sent.append((topic, message)))

    def create_timer(self, period: float, callback: Any) -> None:
        self.period, self.callbacks["timer"] = period, callback

    def get_clock(self) -> SimpleNamespace:
        stamp = SimpleNamespace(nanoseconds=round(self.now * 1e9), to_msg=lambda: self.now)
        return SimpleNamespace(now=lambda: stamp)

    def get_logger(self) -> SimpleNamespace:
        return SimpleNamespace(warning=lambda text, **how: self.said.append(text))


def vector(x: float = 0.0, y: float = 0.0, z: float = 0.0) -> SimpleNamespace:
    return SimpleNamespace(x=float(x), y=float(y), z=float(z))


class AttitudeTarget:
    IGNORE_ATTITUDE = 128

    def __init__(self) -> None:
        self.header, self.body_rate = SimpleNamespace(stamp=None), vector()
        self.type_mask, self.thrust = 0, 0.0


class TwistStamped:
    def __init__(self) -> None:
        self.header, self.twist = SimpleNamespace(stamp=None), SimpleNamespace(linear=vector(), angular=vector())


def node_of(folder: Path, monkeypatch: pytest.MonkeyPatch, **parameters: Any) -> Any:
    """The node of an exported package."""
    modules = {
        "rclpy": {},
        "rclpy.node": {"Node": Node},
        "rclpy.qos": {"qos_profile_sensor_data": None},
        "geometry_msgs": {},
        "geometry_msgs.msg": {"PoseStamped": object, "TwistStamped": TwistStamped},
        "mavros_msgs": {},
        "mavros_msgs.msg": {"AttitudeTarget": AttitudeTarget, "State": object},
        "nav_msgs": {},
        "nav_msgs.msg": {"Odometry": object},
    }
    for name, contents in modules.items():
        module = types.ModuleType(name)
        vars(module).update(contents)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(Node, "parameters", parameters)
    found = importlib.util.spec_from_file_location("exported_node", folder / PACKAGE / "node.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module.PolicyNode()


def odometry(state: Any) -> SimpleNamespace:
    """What MAVROS publishes of a simulated drone: the twist in the body."""
    body = state.body
    rows = rotation_rows(body.quaternion.t())[:, :, 0].numpy()
    w, x, y, z = body.quaternion[0].tolist()
    pose = SimpleNamespace(position=vector(*body.position[0].tolist()), orientation=SimpleNamespace(w=w, x=x, y=y, z=z))
    moving = rows.T @ body.velocity[0].numpy()
    twist = SimpleNamespace(linear=vector(*moving), angular=vector(*body.angular_velocity[0].tolist()))
    return SimpleNamespace(pose=SimpleNamespace(pose=pose), twist=SimpleNamespace(twist=twist))


def engage(node: Any, armed: bool = True, mode: str = "OFFBOARD") -> None:
    node.callbacks["/mavros/state"](SimpleNamespace(armed=armed, mode=mode))


def tick(node: Any, state: Any) -> Any:
    """The message that the node sends for a state; None without one."""
    node.callbacks["/mavros/local_position/odom"](odometry(state))
    before = len(node.sent)
    node.callbacks["timer"]()
    return node.sent[-1][1] if len(node.sent) > before else None


@pytest.mark.parametrize("memory", ["none", "gru"])
def test_node_sends_what_the_policy_does_in_the_simulator(
    memory: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    difference = export_ros2(policy_for("ctbr", memory), tmp_path / "package")
    assert difference < 1e-4
    node = node_of(tmp_path / "package", monkeypatch, goal=[0.0, 0.0, 2.0], goal_from="origin", hover_thrust=0.4)
    assert node.period == pytest.approx(0.01)
    simulator = robots.make("quadrotor-hover", interface="ctbr")
    policy = OnnxPolicy(tmp_path / "package" / PACKAGE / "policy.onnx")
    state = simulator.reset(1, 3)
    node.callbacks["/mavros/local_position/odom"](odometry(state))
    engage(node)
    for step in range(30):
        node.now = 0.01 * step
        expected = policy(simulator.observe(state).numpy())
        message = tick(node, state)
        rates = [message.body_rate.x, message.body_rate.y, message.body_rate.z]
        np.testing.assert_allclose(rates, expected[0, 1:], atol=1e-3)
        assert message.thrust == pytest.approx(min(max(0.4 * expected[0, 0], 0.0), 1.0), abs=1e-4)
        assert message.type_mask == 128
        state = simulator.step(state, torch.from_numpy(expected)).state
    assert {topic for topic, _ in node.sent} == {"/mavros/setpoint_raw/attitude"}


def test_node_sends_velocities_in_the_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export_ros2(policy_for("velocity"), tmp_path / "package")
    node = node_of(tmp_path / "package", monkeypatch)
    state = robots.make("quadrotor-hover", interface="velocity", difficulty=0.0).reset(1, 3)
    node.callbacks["/mavros/local_position/odom"](odometry(state))
    engage(node)
    message = tick(node, state)
    expected = node.policy(node.setpoints.reading(*node.known).observation)
    assert node.sent[-1][0] == "/mavros/setpoint_velocity/cmd_vel"
    assert np.hypot(message.twist.linear.x, message.twist.linear.y) == pytest.approx(np.hypot(*expected[:2]), rel=0.2)


def test_node_sends_the_safe_action_until_the_vehicle_is_in_offboard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export_ros2(policy_for("ctbr"), tmp_path / "package")
    node = node_of(tmp_path / "package", monkeypatch)
    state = robots.make("quadrotor-hover").reset(1, 3)
    engage(node, armed=False)
    message = tick(node, state)
    assert message.thrust == pytest.approx(0.5 * node.spec.safe_action[0])
    assert message.body_rate.x == 0.0
    engage(node)
    assert tick(node, state).body_rate.x != 0.0
    engage(node, mode="POSCTL")
    assert tick(node, state).body_rate.x == 0.0


def test_node_sends_nothing_without_a_fresh_motion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export_ros2(policy_for("ctbr"), tmp_path / "package")
    node = node_of(tmp_path / "package", monkeypatch)
    node.callbacks["timer"]()
    assert node.sent == []
    assert len(node.said) == 1
    state = robots.make("quadrotor-hover").reset(1, 3)
    assert tick(node, state) is not None
    node.now += 0.2
    before = len(node.sent)
    node.callbacks["timer"]()
    assert len(node.sent) == before
    assert "0.2" in node.said[-1]


def test_goal_of_the_topic_replaces_the_parameter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export_ros2(policy_for("ctbr"), tmp_path / "package")
    node = node_of(tmp_path / "package", monkeypatch)
    state = robots.make("quadrotor-hover").reset(1, 3)
    node.callbacks["/mavros/local_position/odom"](odometry(state))
    engage(node)
    first = tick(node, state).body_rate.x
    node.callbacks["~/goal"](SimpleNamespace(pose=SimpleNamespace(position=vector(3.0, -2.0, 1.0))))
    assert tick(node, state).body_rate.x != first
    engage(node, armed=False)
    engage(node)
    assert node.goals.goal == (3.0, -2.0, 1.0)


def test_package_has_the_parts_that_colcon_needs(tmp_path: Path) -> None:
    folder = tmp_path / "package"
    export_ros2(policy_for("ctbr"), folder)
    root = ElementTree.parse(folder / "package.xml").getroot()
    assert (root.tag, root.get("format")) == ("package", "3")
    assert [root.findtext(each) for each in ("name", "license")] == [PACKAGE, "MIT"]
    assert root.find("maintainer") is not None
    assert root.findtext("export/build_type") == "ament_python"
    assert (folder / "resource" / PACKAGE).is_file()
    for name in ("setup.py", f"{PACKAGE}/__init__.py", f"{PACKAGE}/node.py"):
        compile((folder / name).read_text(), name, "exec")
    assert f"$base/lib/{PACKAGE}" in (folder / "setup.cfg").read_text()
    assert "@" not in (folder / "README.md").read_text()
    export_ros2(policy_for("velocity"), folder)  # its own files are replaced
    assert "cmd_vel" in (folder / "README.md").read_text()


def test_other_actions_and_strange_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"motors.*interface=ctbr"):
        export_ros2(policy_for("motors"), tmp_path / "package")
    assert not (tmp_path / "package").exists()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    with pytest.raises(ExportError, match="full"):
        export_ros2(policy_for("ctbr"), tmp_path / "full")
    (tmp_path / "full" / "setup.py").write_text("mine")
    with pytest.raises(ExportError, match=r"setup\.py"):
        export_ros2(policy_for("ctbr"), tmp_path / "full")
