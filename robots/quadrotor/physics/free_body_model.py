"""MuJoCo model of the quadrotor: a free body, four rotor actuators and a floor.

- The thrust of a rotor is the activation of its actuator [N]. It follows the commanded thrust by MuJoCo's exact
  first-order filter. The lag is therefore one of thrust; in kernels.py it is one of speed. Near a working point both
  are the same.
- A physics step uses the activation at its end (`actearly`), so rotors without lag follow at once.
- Drag is linear damping of the three translations, as it was identified; MuJoCo's fluid models describe solid bodies
  with a torque, not rotors. It acts along the axes of the world, in kernels.py along those of the body. The presets'
  coefficients across and along the rotor axis differ by at most an eighth.
- The shape for contacts with the floor is a cylinder with the radius of the rotors' positions.
"""

from __future__ import annotations

import math
from typing import Any

import mujoco

from robots.quadrotor.body.parameters import GRAVITY, QuadrotorParameters

LONGEST_STEP = 1e-3  # s
HALF_HEIGHT = 0.0125  # m
_SIGNS = ((1, -1), (-1, -1), (-1, 1), (1, 1))  # of x and y: front right, back right, back left, front left
_TURNS = (-1, 1, -1, 1)  # of the reaction torque about z


def physics_steps(duration: float) -> int:
    """Number of equal physics steps of at most 1 ms in a period [s]."""
    return max(1, math.ceil(duration / LONGEST_STEP - 1e-6))


def build_model(parameters: QuadrotorParameters, timestep: float) -> Any:
    """MuJoCo model of an airframe with a physics step [s]; its sensor counts contacts with the floor."""
    model = mujoco.MjModel.from_xml_string(_mjcf(parameters, timestep))
    across, along = parameters.drag
    model.dof_damping[:] = (across, across, along, 0.0, 0.0, 0.0)
    return model


def _mjcf(parameters: QuadrotorParameters, timestep: float) -> str:
    p, moments = parameters, " ".join(repr(moment) for moment in parameters.inertia)
    places = "".join(
        f'\n      <site name="rotor_{i}" pos="{x * p.rotor_offset[0]!r} {y * p.rotor_offset[1]!r} 0"/>'
        for i, (x, y) in enumerate(_SIGNS, start=1)
    )
    rotors = "".join(
        f'\n    <general name="rotor_{i}" site="rotor_{i}" gear="0 0 1 0 0 {turn * p.torque_per_thrust!r}" '
        f'dyntype="filterexact" dynprm="{p.rotor_time_up!r}" actearly="true"/>'
        for i, turn in enumerate(_TURNS, start=1)
    )
    return f"""
<mujoco>
  <option timestep="{timestep!r}" gravity="0 0 {-GRAVITY}"/>
  <worldbody>
    <geom name="floor" type="plane" size="0 0 1"/>
    <body name="quadrotor">
      <freejoint/>
      <inertial pos="0 0 0" mass="{p.mass!r}" diaginertia="{moments}"/>
      <geom name="body" type="cylinder" size="{math.hypot(*p.rotor_offset)!r} {HALF_HEIGHT}"/>{places}
    </body>
  </worldbody>
  <actuator>{rotors}
  </actuator>
  <sensor>
    <contact geom1="body" geom2="floor" data="found"/>
  </sensor>
</mujoco>"""
