"""The watchdog: what is sent to a vehicle without a valid action.

It sends the last action, then a safe one, then it stops.

                    miss                 held too long            safe too long
        flying ------------> holding ------------------> safe ------------------> stopped
           ^                    |                         |
           +--------------------+-------------------------+
                        enough good ticks in a row

A miss is a tick without a valid action in time. Times count on the loop's schedule from the first miss. States change
only at misses and good ticks, so they depend only on which ticks were missed.

- `holding`: a valid action is applied immediately, because a new action is better than an old one. Without this, each
  lost packet would cost a tenth of a second of feedback. The state and the time since the first miss last until
  `recovery_ticks` good ticks in a row. Otherwise a link that passes one packet in ten would fly for ever with a tenth
  of its feedback.
- `safe`: no action of the policy is applied before recovery. Switching between the safe action and an intermittent
  policy is worse than either of them.
- 10 ticks in a row: a link that loses every second packet passes 10 by chance once in 1,024 tries. After a single miss
  the watchdog returns to `flying` within 10 periods, 0.1 s at 100 Hz.
- 0.1 s of holding: at 5 rad/s, half of the limit of interface=ctbr, a held action turns the vehicle by 29 degrees in
  this time. 0.5 s of the safe action: hover thrust without rates keeps a tilt of 30 degrees, which gains 2.8 m/s and
  0.7 m in this time. Vehicles that are commanded by velocity may have more time.
- `stopped` is final, because the target has been stopped.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Annotated

from hgrpo_fields import Range, check


class State(enum.Enum):
    """State of the watchdog."""

    FLYING = "flying"
    HOLDING = "holding"
    SAFE = "safe"
    STOPPED = "stopped"


@dataclass(frozen=True)
class WatchdogOptions:
    """Durations of the watchdog's states."""

    hold_seconds: Annotated[float, Range(least=0)] = 0.1
    """Duration for which the last action is held [s]; 0 sends the safe action immediately."""
    safe_seconds: Annotated[float, Range(least=0, infinite=True)] = 0.5
    """Duration for which the safe action is sent after that [s]; inf never stops."""
    recovery_ticks: Annotated[int, Range(least=1)] = 10
    """Good ticks in a row after which the state is flying again."""

    def __post_init__(self) -> None:
        check(self)


class Watchdog:
    """State machine of this module; called in every tick of the loop, in order."""

    def __init__(self, options: WatchdogOptions = WatchdogOptions()) -> None:
        self.options = options
        self._state = State.FLYING
        self._since = 0.0
        self._good = 0

    @property
    def state(self) -> State:
        """State after the last tick."""
        return self._state

    def good(self) -> State:
        """State after a tick with a valid action, which is applied in FLYING and HOLDING."""
        if self._state in (State.HOLDING, State.SAFE):
            self._good += 1
            if self._good >= self.options.recovery_ticks:
                self._state = State.FLYING
        return self._state

    def miss(self, instant: float) -> State:
        """State after a tick without a valid action at an instant [s]."""
        self._good = 0
        if self._state is State.FLYING:
            self._state, self._since = State.HOLDING, instant
        if self._state is State.HOLDING and instant - self._since >= self.options.hold_seconds:
            # count from the end of holding: after a long sleep both durations are over
            self._state, self._since = State.SAFE, self._since + self.options.hold_seconds
        if self._state is State.SAFE and instant - self._since >= self.options.safe_seconds:
            self._state = State.STOPPED
        return self._state
