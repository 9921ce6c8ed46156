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
    rotor_offset: float
    """|x| and |y| of every rotor in the body frame, arm length / sqrt(2) [m]."""
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
        rotor_offset=arm / math.sqrt(2.0),
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
        rotor_offset=0.028,
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
        rotor_offset=0.028,
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
        rotor_offset=0.035355,
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


PRESETS: dict[str, QuadrotorParameters] = {
    parameters.name: parameters for parameters in (_cf2x(), _learning_to_fly(), _rl_tools(), _cf21b_500())
}


def preset(name: str) -> QuadrotorParameters:
    """Preset of a name; raises HgrpoError for an unknown name."""
    if name not in PRESETS:
        raise HgrpoError(f"unknown quadrotor preset {name!r}; {nearest(name, tuple(PRESETS))}")
    return PRESETS[name]
