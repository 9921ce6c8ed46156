"""Targets of the control loop: a simulator, a MAVLink vehicle, a Crazyflie.

This package imports nothing. `simulated` needs the extra `train`; `mavlink` and `crazyflie` need extras of their names.
"""
