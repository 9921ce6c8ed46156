"""What an exported policy can fly: a simulator, a vehicle that speaks MAVLink, a Crazyflie.

Nothing is imported here: `simulated` needs the extra `train`, `mavlink` and `crazyflie` the extras of their names.
"""
