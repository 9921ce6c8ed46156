"""Command interfaces: motors, collective thrust with body rates, or velocity."""

from robots.quadrotor.interfaces.catalogue import INTERFACES, make_interface
from robots.quadrotor.interfaces.interface import Interface

__all__ = ["INTERFACES", "Interface", "make_interface"]
