"""The tasks that come with the package, registered by name."""

from robots.quadrotor.tasks.hover import QuadrotorHover
from robots.registry import register

register("quadrotor-hover", QuadrotorHover)
