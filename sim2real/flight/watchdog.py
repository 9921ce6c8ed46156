"""What is sent to a vehicle when there is no valid action: the last one, then a safe one, then nothing.

                    miss                 held too long            safe too long
        flying ------------> holding ------------------> safe ------------------> stopped
           ^                    |                         |
           +--------------------+-------------------------+
                        enough good ticks in a row

A miss is a tick without a valid action in time. Times run on the loop's schedule from the first miss, and states change
at misses and good ticks only, so the outcome is a function of which ticks were missed.

- In `holding` a valid action is applied at once: a fresh action is better than an old one, and a loop that held the old
  one through recovery would turn each lost packet into a tenth of a second without feedback. But the state, and the
  time since the first miss, last until `recovery_ticks` good ones in a row. Otherwise a link that lets one packet in
  ten through would stay airborne on a tenth of its feedback for ever.
- In `safe` nothing of the policy is applied before that: a vehicle that is switched back and forth between the safe
  action and a policy that comes and goes is worse off than with either.
- 10 ticks in a row: a link that loses every other packet passes 10 by chance once in 1,024 tries, while after a single
  hiccup the watchdog is back in `flying` within 10 periods, 0.1 s at 100 Hz.
- 0.1 s of holding: at 5 rad/s, half of what interface=ctbr allows, an action that is held turns the vehicle by 29
  degrees in that time. 0.5 s of the safe action: hovering thrust without rates keeps a tilt of 30 degrees, which gains
  2.8 m/s and 0.7 m in that time. Vehicles that are commanded by velocity may be given longer.
- There is no way back from `stopped`: whoever was asked to take over has done so.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Annotated

from hgrpo_fields import Range, check


class State(enum.Enum):
    """Of the watchdog."""

    FLYING = "flying"
    HOLDING = "holding"
    SAFE = "safe"
    STOPPED = "stopped"


@dataclass(frozen=True)
class WatchdogOptions:
    """How long the watchdog waits before it does more; raises ValueError for what means nothing."""

    hold_seconds: Annotated[float, Range(least=0)] = 0.1
    """For how long the last action is held [s]; 0 goes to the safe action at once."""
    safe_seconds: Annotated[float, Range(least=0, infinite=True)] = 0.5
    """For how long the safe action is sent after that [s]; inf never stops."""
    recovery_ticks: Annotated[int, Range(least=1)] = 10
    """Good ticks in a row that lead back to flying."""

    def __post_init__(self) -> None:
        check(self)


class Watchdog:
    """The states of this module; told of every tick of the loop, in order, with its instant [s]."""

    def __init__(self, options: WatchdogOptions = WatchdogOptions()) -> None:
        self.options = options
        self._state = State.FLYING
        self._since = 0.0
        self._good = 0

    @property
    def state(self) -> State:
        """As the last tick left it."""
        return self._state

    def good(self) -> State:
        """State after a tick with a valid action; it is to be applied in FLYING and HOLDING."""
        if self._state in (State.HOLDING, State.SAFE):
            self._good += 1
            if self._good >= self.options.recovery_ticks:
                self._state = State.FLYING
        return self._state

    def miss(self, instant: float) -> State:
        """State after a tick without one, whose instant is given."""
        self._good = 0
        if self._state is State.FLYING:
            self._state, self._since = State.HOLDING, instant
        if self._state is State.HOLDING and instant - self._since >= self.options.hold_seconds:
            # from the end of holding, not from this tick: after a long sleep both times are over
            self._state, self._since = State.SAFE, self._since + self.options.hold_seconds
        if self._state is State.SAFE and instant - self._since >= self.options.safe_seconds:
            self._state = State.STOPPED
        return self._state
