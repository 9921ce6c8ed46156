"""Export of a policy as a ROS 2 package: a node that flies it through MAVROS."""

from __future__ import annotations

import os
from pathlib import Path
from xml.sax.saxutils import escape

from hgrpo_files import make_folder
from policies.actor_critic import ActorCritic
from policies.spec import PolicySpec
from sim2real.export.c_source import fill
from sim2real.export.exportable import ExportError
from sim2real.export.onnx import export_onnx, is_own_model
from sim2real.export.own_files import replacing, require_replaceable
from sim2real.policy.metadata import action_type, producer_version
from sim2real.policy.trained_on import TrainedOn

PACKAGE = "hgrpo_policy"
_MODEL = f"{PACKAGE}/policy.onnx"
_TEXTS = {
    name: name.replace(PACKAGE, "package")
    for name in (
        "package.xml",
        "setup.py",
        "setup.cfg",
        "README.md",
        f"resource/{PACKAGE}",
        f"{PACKAGE}/__init__.py",
        f"{PACKAGE}/node.py",
    )
}
"""Template of every text, by its path in the package."""
SENT = {
    "ctbr": "mavros_msgs/AttitudeTarget on /mavros/setpoint_raw/attitude: body rates and a share of full thrust",
    "velocity": "geometry_msgs/TwistStamped on /mavros/setpoint_velocity/cmd_vel: velocity and yaw rate",
}
"""Topic of each type of actions."""


def export_ros2(policy: ActorCritic, folder: Path, trained: TrainedOn | None = None) -> float:
    """Write an ament_python package with the policy as ONNX and a node that flies it.

    Args:
        policy: The policy; it commands ctbr or velocity. Its observation is one of QuadrotorObservation.
        folder: A new or empty folder, or a package of an earlier export. Its exported files are replaced; others stay.
        trained: Task options and airframe of the training, for the ONNX file.

    Returns:
        Largest |action difference| of the ONNX file from the policy, in action units.

    Raises:
        ExportError: For other actions, and for files that no export wrote. Nothing is written then.
        FileError: A file cannot be written.
    """
    values = _values(policy.spec)
    require_package(folder)
    for each in (folder, folder / "resource", folder / PACKAGE):
        make_folder(each)
    for name, template in _TEXTS.items():
        with replacing(folder / name) as path:
            path.write_text(fill(f"ros2/{template}.in", values), encoding="utf-8")
    return export_onnx(policy, folder / _MODEL, trained=trained)


def require_package(folder: Path) -> None:
    """Raise ExportError unless `folder` is new, empty or a package of an earlier export."""
    if os.path.lexists(folder) and not folder.is_dir():
        raise ExportError(f"cannot write {folder}: it is a file; expected a folder for the package")
    if not folder.parent.is_dir():
        raise ExportError(f"cannot write {folder}: it lies in no existing folder")
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    there = [folder / name for name in (*_TEXTS, _MODEL) if os.path.lexists(folder / name)]
    if not there:
        raise ExportError(f"{folder} contains files that are not of a package; choose another folder")
    for path in there:
        require_replaceable(path, *([is_own_model] if path.name == Path(_MODEL).name else []))


def _values(spec: PolicySpec) -> dict[str, str]:
    kind = action_type(spec)
    if kind not in SENT:
        raise ExportError(
            f"actions of type {kind!r} have no topic of MAVROS; train with interface=ctbr or interface=velocity"
        )
    return {
        "PACKAGE": PACKAGE,
        "VERSION": producer_version().partition("+")[0],
        "TASK": escape(spec.task).replace("-->", "").replace('"', "'"),
        "HZ": f"{spec.control_hz:g}",
        "SENT": SENT[kind],
    }
