"""The former torch step of quadrotor-hover, quadrotor-gates and quadrotor-obstacles: a fixed yardstick of speed.

Before version 0.2 a control step of the quadrotor was some hundreds of torch operations. This package keeps that step
with its operations unchanged, so that `benchmarks.speed.throughput` can time the shipped step against it in one run, on
any machine. Nothing else uses it. It gives the same numbers as the shipped step within the rounding of float32, which
tests/benchmarks/test_former.py checks; it follows no later change of speed.

It has the default options of each task and the three command interfaces, and no resets: an episode begins in a reset
state of the shipped simulator. From `robots` it reads only the parameters of the airframe.
"""

from benchmarks.speed.former.simulator import TASKS, FormerSimulator

__all__ = ["TASKS", "FormerSimulator"]
