"""Physical parameters of quadrotors as named presets, each with its source.

Published values of the same Crazyflie differ by factors of two to four. A preset therefore has the values of one source
only. If a source does not have a value, `source` describes the value that is used.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from typing import Any

from hgrpo_errors import HgrpoError, nearest
from robots.quadrotor.body.gains import ControlGains, tuned

GRAVITY = 9.81  # m/s^2
_RPM = 2.0 * math.pi / 60.0  # rad/s


@dataclass(frozen=True)
class QuadrotorParameters:
    """Parameters of one airframe.

    The body frame is x forward, y left, z up. Rotors 1 to 4 are front right, back right, back left, front left. The
    rotor speed u is a fraction of the maximum. A rotor has the thrust c0 + c1 u + c2 u^2 [N] along body z and the yaw
    torque torque_per_thrust times the thrust, negative for rotors 1 and 3, positive for rotors 2 and 4.
    """

    name: str
    source: str
    mass: float
    """[kg]"""
    inertia: tuple[float, float, float]
    """Principal moments Jxx, Jyy, Jzz [kg m^2]."""
    rotor_offset: tuple[float, float]
    """|x| and |y| of every rotor in the body frame [m]."""
    thrust_curve: tuple[float, float, float]
    """c0, c1, c2 [N]."""
    torque_per_thrust: float
    """Yaw torque over thrust [m]."""
    rotor_speed_min: float
    """Idle speed, fraction of the maximum."""
    rotor_time_up: float
    """Time constant of the first-order lag of a rotor that speeds up [s]; 0 is no lag."""
    rotor_time_down: float
    """Time constant of a rotor that slows down [s]; 0 is no lag."""
    drag: tuple[float, float]
    """Linear drag across (body x and y) and along (body z) the rotor axis [N s/m]."""
    gains: ControlGains
    """Gains of the inner loops for rate and velocity commands, tuned by this project, not by the source."""

    def thrust(self, rotor_speed: float) -> float:
        """Thrust of one rotor [N] at a speed in [0, 1]."""
        c0, c1, c2 = self.thrust_curve
        return c0 + (c1 + c2 * rotor_speed) * rotor_speed

    def numbers(self) -> dict[str, Any]:
        """All fields except the source, as JSON values; they identify the airframe."""
        fields: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        del fields["source"]
        return fields

    @property
    def thrust_to_weight(self) -> float:
        """Full thrust of four rotors over weight."""
        return 4.0 * self.thrust(1.0) / (self.mass * GRAVITY)

    @property
    def hover_rotor_speed(self) -> float:
        """Rotor speed, as a fraction of the maximum, at which four rotors carry the weight."""
        c0, c1, c2 = self.thrust_curve
        c0 -= self.mass * GRAVITY / 4.0
        if c2 == 0.0:
            return -c0 / c1
        return (-c1 + math.sqrt(c1 * c1 - 4.0 * c2 * c0)) / (2.0 * c2)


def _quadratic(coefficient_1: float, coefficient_2: float, rpm_max: float) -> tuple[float, float, float]:
    """Thrust curve over the fraction of maximum speed, from coefficients over rpm [N/rpm, N/rpm^2]."""
    return (0.0, coefficient_1 * rpm_max, coefficient_2 * rpm_max**2)


def _rpm_at(thrust: float, coefficient_1: float, coefficient_2: float) -> float:
    """Speed [rpm] at which a rotor pulls with `thrust` [N]."""
    return (-coefficient_1 + math.sqrt(coefficient_1**2 + 4.0 * coefficient_2 * thrust)) / (2.0 * coefficient_2)


def _cf2x() -> QuadrotorParameters:
    kf, km, mass, thrust_to_weight, arm = 3.16e-10, 7.94e-12, 0.027, 2.25, 0.0397
    rpm_max = math.sqrt(thrust_to_weight * mass * GRAVITY / (4.0 * kf))
    # The source's drag grows with the sum of the rotor speeds; it is taken at hover here.
    hover_rate = 4.0 * math.sqrt(mass * GRAVITY / (4.0 * kf)) * _RPM
    return QuadrotorParameters(
        name="cf2x",
        source="gym-pybullet-drones, cf2x.urdf; drag of its rotor model evaluated at hover",
        mass=mass,
        inertia=(1.4e-5, 1.4e-5, 2.17e-5),
        rotor_offset=(arm / math.sqrt(2.0), arm / math.sqrt(2.0)),
        thrust_curve=_quadratic(0.0, kf, rpm_max),
        torque_per_thrust=km / kf,
        rotor_speed_min=0.0,
        rotor_time_up=0.0,
        rotor_time_down=0.0,
        drag=(9.1785e-7 * hover_rate, 10.311e-7 * hover_rate),
        gains=tuned(rotor_time=0.0, bandwidth=30.0, yaw_bandwidth=10.0, attitude=8.0, velocity=3.0),
    )


def _learning_to_fly() -> QuadrotorParameters:
    kf, rpm_max = 3.16e-10, 21702.0
    return QuadrotorParameters(
        name="learning-to-fly",
        source="Eschmann et al., Learning to Fly in Seconds, 2024; it models no drag",
        mass=0.027,
        inertia=(3.85e-6, 3.85e-6, 5.9675e-6),
        rotor_offset=(0.028, 0.028),
        thrust_curve=_quadratic(0.0, kf, rpm_max),
        torque_per_thrust=0.005964552,
        rotor_speed_min=0.0,
        rotor_time_up=0.15,
        rotor_time_down=0.15,
        drag=(0.0, 0.0),
        gains=tuned(rotor_time=0.15, bandwidth=20.0, yaw_bandwidth=8.0, attitude=4.0, velocity=1.5),
    )


def _rl_tools() -> QuadrotorParameters:
    return QuadrotorParameters(
        name="rl-tools",
        source="rl_tools, l2f/parameters/dynamics/crazyflie.h (with SD-card and optical-flow decks); it models no drag",
        mass=0.0306,
        inertia=(9.416556729130406e-06, 9.644051701582312e-06, 1.745951732253285e-05),
        rotor_offset=(0.028, 0.028),
        thrust_curve=(0.00352526, 0.01437313, 0.09223048),
        torque_per_thrust=4.665e-3,
        rotor_speed_min=0.0,
        rotor_time_up=0.05545454545454546,
        rotor_time_down=0.24939393939393945,
        drag=(0.0, 0.0),
        gains=tuned(rotor_time=0.15, bandwidth=20.0, yaw_bandwidth=8.0, attitude=4.0, velocity=1.5),
    )


def _cf21b_500() -> QuadrotorParameters:
    c1, c2 = -3.133427287299859e-7, 4.407354891648379e-10
    rpm_max = _rpm_at(0.2, c1, c2)
    return QuadrotorParameters(
        name="cf21B_500",
        source="drone-models, cf21B_500 (Crazyflie 2.1 Brushless): identified thrust curve, rotor lag and drag",
        mass=0.04338,
        inertia=(2.5e-5, 2.8e-5, 4.9e-5),
        rotor_offset=(0.035355, 0.035355),
        thrust_curve=_quadratic(c1, c2, rpm_max),
        torque_per_thrust=0.00593893393599368,
        rotor_speed_min=_rpm_at(0.02136263065537499, c1, c2) / rpm_max,
        rotor_time_up=1.0 / 15.416891997523813,
        rotor_time_down=1.0 / 15.416891997523813,
        drag=(0.02149163, 0.02359736),
        gains=tuned(
            rotor_time=1.0 / 15.416891997523813, bandwidth=25.0, yaw_bandwidth=10.0, attitude=5.0, velocity=2.0
        ),
    )


def _identified(
    name: str,
    header: str,
    mass: float,
    inertia: tuple[float, float, float],
    rotor_offset: tuple[float, float],
    thrust_curve: tuple[float, float, float],
    torque_per_thrust: float,
    rotor_time: float,
    bandwidth: float,
) -> QuadrotorParameters:
    """An airframe of the raptor repository; the gains are chosen for a bandwidth about x and y [rad/s]."""
    return QuadrotorParameters(
        name=name,
        source=f"rl-tools/raptor, choreo/parameters/{name}.json, with the digits of rl_tools, "
        f"l2f/parameters/dynamics/{header}.h; it models no drag",
        mass=mass,
        inertia=inertia,
        rotor_offset=rotor_offset,
        thrust_curve=thrust_curve,
        torque_per_thrust=torque_per_thrust,
        rotor_speed_min=0.0,
        rotor_time_up=rotor_time,
        rotor_time_down=rotor_time,
        drag=(0.0, 0.0),
        gains=tuned(rotor_time, bandwidth, yaw_bandwidth=0.4 * bandwidth, attitude=5.0, velocity=2.0),
    )


def _flightmare() -> QuadrotorParameters:
    curve = (-1.7689986848125325, 11.50824315802381, 11.968428150335603)
    offset = (0.17 / math.sqrt(2.0), 0.17 / math.sqrt(2.0))
    return _identified("flightmare", "flightmare", 0.73, (0.00791, 0.00791, 0.0123), offset, curve, 0.016, 0.02, 25.0)


def _mrs() -> QuadrotorParameters:
    # the source's curve is over rpm up to 2000
    c0, (c1, c2) = -1.7689986848125325, _quadratic(0.0038360810526746033, 1.3298253500372892e-6, 2000.0)[1:]
    offset, inertia = (0.17 / math.sqrt(2.0), 0.17 / math.sqrt(2.0)), (0.007911375, 0.007911375, 0.012306583333333334)
    return _identified("mrs", "mrs", 1.7, inertia, offset, (c0, c1, c2), 0.016, 0.04, 25.0)


def _race() -> QuadrotorParameters:
    jx, jy = 1.7665e-3, 1.3766e-3
    curve = (-0.5300192490953086, 8.971435376396558, -0.8911788522090669)
    inertia = (jx, jy, 1.879 * (jx + jy) / 2.0)
    return _identified("race", "arpl", 0.782, inertia, (0.0775, 0.0981), curve, 0.005964552, 0.033, 25.0)


def _fs() -> QuadrotorParameters:
    inertia, curve = (7.56e-2, 7.296e-2, 1.879 * 7.296e-2), (0.7846629595902934, 9.15540123440728, 18.005569363583604)
    return _identified("fs", "fs", 3.35, inertia, (0.20895, 0.240666), curve, 0.01492, 0.06532, 20.0)


def _x500() -> QuadrotorParameters:
    # The source's Jxx, 0.1705, is a misprint of 2.1705e-2, the inverse of its inverse.
    offset, inertia = (0.25 / math.sqrt(2.0), 0.25 / math.sqrt(2.0)), (2.1705e-2, 2.1304e-2, 0.039396244)
    curve = (0.0, 0.0, 15.926119900619797)
    return _identified("x500", "x500_real", 2.0, inertia, offset, curve, 0.10847, 0.054, 20.0)


_BUILDERS = (_cf2x, _learning_to_fly, _rl_tools, _cf21b_500, _flightmare, _fs, _mrs, _race, _x500)
PRESETS: dict[str, QuadrotorParameters] = {parameters.name: parameters for parameters in (make() for make in _BUILDERS)}


def preset(name: str) -> QuadrotorParameters:
    """Preset of a name; raises HgrpoError for an unknown name."""
    if name not in PRESETS:
        raise HgrpoError(f"unknown quadrotor preset {name!r}; {nearest(name, tuple(PRESETS))}")
    return PRESETS[name]
