"""Export of a policy as an out-of-tree controller app for crazyflie-firmware."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from hgrpo_files import writing
from policies.actor_critic import ActorCritic
from policies.spec import PolicySpec, past_action
from sim2real.export.c import CExport, export_c
from sim2real.export.c_source import fill
from sim2real.export.c_text import comment
from sim2real.export.crazyflie_commands import (
    INNER_LOOPS,
    SENT,
    Airframe,
    sending,
)
from sim2real.export.exportable import ExportError
from sim2real.export.own_files import replacing, require_replaceable
from sim2real.policy.metadata import action_type
from sim2real.policy.trained_on import TrainedOn

NAME = "policy"
RATES = (1000, 500, 250, 100, 50, 25)  # [Hz], divisors of the stabilizer's 1 kHz
_FILES = ("Makefile", "Kbuild", "app-config", "README.md", "src/Kbuild", "src/controller_policy.c")
_WRITTEN = (*_FILES, f"src/{NAME}.c", f"src/{NAME}.h")
_SENSED = {
    f"{name}_{axis}": (unit, f"{variable}[{index}]", origin)
    for name, unit, variable, origin in (
        ("position_error", "m", "error", "setpoint->position - state->position, turned into the body frame"),
        ("velocity", "m/s", "velocity", "state->velocity, turned into the body frame"),
        ("up", "1", "rotation[2]", "world z in the body frame, from state->attitudeQuaternion"),
        ("angular_velocity", "rad/s", "rate", "sensors->gyro, from degrees"),
    )
    for index, axis in enumerate("xyz")
}


def export_crazyflie(
    policy: ActorCritic, folder: Path, airframe: Airframe, tanh: str = "libm", trained: TrainedOn | None = None
) -> CExport:
    """Write an app for crazyflie-firmware: controller, policy in C, build files and README.

    Args:
        policy: The policy. Every entry of its observation is mapped by name, unit and frame.
        folder: A new or empty folder, or an app of an earlier export. Its exported files are replaced; others stay.
        airframe: Numbers of the drone preset that the policy was trained for.
        tanh: As for `export_c`.
        trained: Task options and airframe of the training, for the header.

    Raises ExportError for another folder, and for an entry, a type of action or a rate without support.
    """
    folder = Path(folder)
    require_app(folder)
    values = _values(policy.spec, airframe)
    with writing(folder), TemporaryDirectory(dir=folder.parent) as temporary:
        app = Path(temporary) / "app"
        (app / "src").mkdir(parents=True)
        exported = export_c(policy, app / "src" / NAME, tanh=tanh, trained=trained)
        for name in _FILES:
            (app / name).write_text(fill(f"crazyflie/{name}.in", values), encoding="utf-8")
        _move(app, folder)
    source, header = (folder / "src" / path.name for path in (exported.source, exported.header))
    return exported._replace(source=source, header=header)


def require_app(folder: Path) -> None:
    """Raise ExportError unless `folder` is new, empty or an app of an earlier export."""
    if os.path.lexists(folder) and not folder.is_dir():
        raise ExportError(f"cannot write {folder}: it is a file; expected a folder for the app")
    if not folder.parent.is_dir():
        raise ExportError(f"cannot write {folder}: it lies in no existing folder")
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    there = [folder / name for name in _WRITTEN if os.path.lexists(folder / name)]
    if not there:
        raise ExportError(f"{folder} contains files that are not of an app; choose another folder")
    for path in there:
        require_replaceable(path)


def _move(app: Path, folder: Path) -> None:
    """Put a new app in place.

    Files of an earlier one are replaced one by one.
    """
    if not folder.exists():
        app.rename(folder)
        return
    (folder / "src").mkdir(exist_ok=True)
    with ExitStack() as together:
        for name in _WRITTEN:
            (app / name).replace(together.enter_context(replacing(folder / name)))


def sources_of(spec: PolicySpec) -> list[tuple[str, str]]:
    """C expression and origin of every entry of the observation.

    Raises ExportError for an entry without a source on a Crazyflie.
    """
    past = {
        f"{past_action(age)}_{entry.name}": (entry.unit, f"past[{age - 1}][{index}]", f"action of {age} steps ago")
        for age in range(1, spec.action_history + 1)
        for index, entry in enumerate(spec.action)
    }
    known = _SENSED | past
    found = []
    for entry in spec.observation:
        unit, expression, origin = known.get(entry.name, ("", "", ""))
        if unit != entry.unit or (entry.name in _SENSED and entry.frame != "body"):
            raise ExportError(
                f"observation entry {entry.name!r} [{entry.unit}] in {entry.frame or 'no frame'} has no source on a "
                f"Crazyflie; known, all in body: position_error [m], velocity [m/s], up [1], angular_velocity [rad/s], "
                "past actions"
            )
        found.append((expression, origin))
    return found


def _values(spec: PolicySpec, airframe: Airframe) -> dict[str, str]:
    kind = action_type(spec)
    send = sending(kind, airframe)
    if spec.control_hz not in RATES:
        allowed = ", ".join(map(str, RATES))
        raise ExportError(f"the policy acts at {spec.control_hz:g} Hz; allowed on a Crazyflie: {allowed} Hz")
    sources = sources_of(spec)
    lines = (f"    observation[{index}] = {expression};\n" for index, (expression, _) in enumerate(sources))
    past, remembers = spec.action_history, bool(spec.memory_width)
    return {
        "NAME": NAME,
        "MACRO": NAME.upper(),
        "TASK": comment(spec.task),
        "ROBOT": comment(spec.robot).replace("`", "'"),
        "HZ": f"{spec.control_hz:g}",
        "PERIOD": f"{1000.0 / spec.control_hz:g}",
        "INNER_LOOP": INNER_LOOPS[kind],
        "SAFE_ACTION": ", ".join(f"{value:.4g}" for value in spec.safe_action),
        "MAPPING": _mapping(spec, [origin for _, origin in sources], SENT[kind]),
        "OBSERVE": "".join(lines),
        "SEND": send,
        "PAST": "static float past[POLICY_ACTION_HISTORY][POLICY_ACTION_SIZE]; /* newest first */\n" if past else "",
        "REMEMBER": _REMEMBER if past else "",
        "FORGET": _FORGET if past else "",
        "MEMORY": "static policy_memory memory; /* emptied when the policy takes over */\n" if remembers else "",
        "MEMORY_ROW": "| memory of the policy | emptied whenever the policy takes over |\n" if remembers else "",
        "PASS_MEMORY": "&memory, " if remembers else "",
        "RESET": "    policy_reset(&memory);\n" if remembers else "",
    }


_REMEMBER = """    memmove(past[1 % POLICY_ACTION_HISTORY], past[0], (POLICY_ACTION_HISTORY - 1) * sizeof past[0]);
    memcpy(past[0], action, sizeof action);
"""
_FORGET = """    for (int age = 0; age < POLICY_ACTION_HISTORY; ++age) {
        memcpy(past[age], action, sizeof action);
    }
"""


def _mapping(spec: PolicySpec, origins: list[str], sent: str) -> str:
    rows = [("entry", "unit", "frame", "on the Crazyflie"), ("---", "---", "---", "---")]
    rows += [(e.name, e.unit, e.frame, origin) for e, origin in zip(spec.observation, origins, strict=True)]
    rows += [(f"action {e.name}", e.unit, e.frame, sent) for e in spec.action]
    return "\n".join(f"| {' | '.join(comment(cell).replace('|', '/') for cell in row)} |" for row in rows)
