"""C code that executes an action on a Crazyflie, for each type of action."""

from __future__ import annotations

from typing import NamedTuple

from sim2real.export.c_text import literal
from sim2real.export.exportable import ExportError

_SIGNATURE = """static void send(control_t *control, const setpoint_t *setpoint, const sensorData_t *sensors,
                 const state_t *state, const uint32_t tick) {
"""
_MOTORS = """    (void)setpoint;
    (void)sensors;
    (void)state;
    (void)tick;
    memset(control, 0, sizeof *control);
    control->controlMode = controlModeForce;
    for (int i = 0; i < 4; ++i) {{
        const float speed = {idle} + {half_range} * (action[i] + 1.0f); /* fraction of the maximum */
        const float thrust = {c0} + ({c1} + {c2} * speed) * speed; /* [N] */
        control->normalizedForces[i] = thrust / THRUST_MAX;
    }}
}}
"""
_RATES = """    setpoint_t rates = *setpoint;
    memset(&rates.mode, 0, sizeof rates.mode); /* modeDisable */
    rates.mode.roll = modeVelocity;
    rates.mode.pitch = modeVelocity;
    rates.mode.yaw = modeVelocity;
    rates.attitudeRate.roll = action[1] / DEGREE;
    rates.attitudeRate.pitch = -action[2] / DEGREE; /* legacy setpoints have the opposite sign of pitch */
    rates.attitudeRate.yaw = action[3] / DEGREE;
    rates.thrust = action[0] * {weight} / (4.0f * THRUST_MAX) * 65535.0f;
    controllerPid(control, &rates, sensors, state, tick);
}}
"""
_VELOCITY = """    setpoint_t velocity = *setpoint;
    memset(&velocity.mode, 0, sizeof velocity.mode); /* modeDisable */
    velocity.mode.x = modeVelocity;
    velocity.mode.y = modeVelocity;
    velocity.mode.z = modeVelocity;
    velocity.mode.yaw = modeVelocity;
    velocity.velocity.x = action[0];
    velocity.velocity.y = action[1];
    velocity.velocity.z = action[2];
    velocity.velocity_body = true; /* in the heading frame: x is the direction of the nose, seen from above */
    velocity.attitudeRate.yaw = action[3] / DEGREE;
    controllerPid(control, &velocity, sensors, state, tick);
}}
"""
_CODE = {"motors": _MOTORS, "ctbr": _RATES, "velocity": _VELOCITY}
INNER_LOOPS = {
    "motors": "It commands the motors directly.",
    "ctbr": "The firmware's rate loop controls the body rates at 500 Hz; its gains are not those of training.",
    "velocity": "The firmware controls velocity at 100 Hz and attitude at 500 Hz; its gains are not those of training.",
}
SENT = {
    "motors": "normalised force of the rotor: the preset's thrust at the commanded speed over THRUST_MAX",
    "ctbr": "collective thrust over 4 THRUST_MAX; body rates in degrees per second",
    "velocity": "velocity setpoint in the heading frame, yaw rate in degrees per second",
}


class Airframe(NamedTuple):
    """Numbers of the drone preset that are needed to execute its actions."""

    mass: float
    """[kg]"""
    gravity: float
    """[m/s^2]"""
    thrust_curve: tuple[float, float, float]
    """c0, c1, c2 [N] of thrust = c0 + c1 u + c2 u^2 of a rotor, u its speed over the maximum."""
    idle_speed: float
    """u at the action -1; the action 1 is u = 1."""


def sending(kind: str, airframe: Airframe) -> str:
    """C function `send`, which executes an action of this type.

    Raises ExportError for a type without support.
    """
    if kind not in _CODE:
        raise ExportError(f"actions of type {kind!r} cannot be sent to a Crazyflie; allowed: {', '.join(_CODE)}")
    c0, c1, c2 = map(literal, airframe.thrust_curve)
    return _SIGNATURE + _CODE[kind].format(
        idle=literal(airframe.idle_speed),
        half_range=literal(0.5 * (1.0 - airframe.idle_speed)),
        c0=c0,
        c1=c1,
        c2=c2,
        weight=literal(airframe.mass * airframe.gravity),
    )
