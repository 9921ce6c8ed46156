"""Delays of observations and actions in control steps, and the queue of delayed actions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

import torch
from torch import Tensor

from hgrpo_fields import Range, check
from robots.options import OptionError
from robots.quadrotor.draw import Draw
from robots.simulator import Channel

Steps = Annotated[int, Range(least=0, most=100)]


@dataclass(frozen=True)
class Latency:
    """Delays in whole control steps; raises OptionError for a value that is not allowed."""

    observation_latency: Steps = 0
    """Age of the measurements [control steps]."""
    action_latency: Steps = 0
    """Steps until an action acts [control steps]."""
    latency: Literal["fixed", "drawn"] = "fixed"
    """Whether the delays are these, or drawn for each episode, uniform from 0 to these."""
    action_history: Steps = 1
    """Number of the last actions in the observation, newest first."""

    def __post_init__(self) -> None:
        check(self, OptionError)


class Sent(NamedTuple):
    """Past actions that are delayed or observed."""

    actions: Tensor
    """(B, H, A) actions of the last H steps, newest first."""
    delay: Tensor
    """(B,) int64 delay of actions [control steps]."""


class ActionQueue:
    """Queue of past actions, as long as latency and history need; empty if the last action is enough."""

    def __init__(self, options: Latency) -> None:
        self.latency, self.history = options.action_latency, options.action_history
        self.drawn = options.latency == "drawn" and self.latency > 0
        self.size = max(self.latency, self.history)

    @property
    def needed(self) -> bool:
        """Whether more than the last action is kept."""
        return self.latency > 0 or self.history > 1

    @property
    def channels(self) -> tuple[Channel, ...]:
        """Privileged entries: the delay, if it is drawn."""
        return (Channel("action_delay", "steps"),) if self.drawn else ()

    def shown(self, action: tuple[Channel, ...]) -> tuple[Channel, ...]:
        """Channels of the past actions in the observation."""
        prefixes = ("previous", *(f"previous_{age}" for age in range(2, self.history + 1)))[: self.history]
        return tuple(Channel(f"{prefix}_{q.name}", q.unit, q.frame) for prefix in prefixes for q in action)

    def begin(self, neutral: Tensor, draw: Draw) -> Sent | tuple[()]:
        """Queue of neutral actions (B, A) at the start of an episode; () if none is needed."""
        if not self.needed:
            return ()
        delay = torch.full((draw.num,), self.latency, dtype=torch.int64, device=neutral.device)
        if self.drawn:
            delay = draw.integers(1, 0, self.latency).squeeze(1)
        return Sent(neutral.unsqueeze(1).repeat(1, self.size, 1), delay)

    def push(self, sent: Sent | tuple[()], action: Tensor) -> tuple[Tensor, Sent | tuple[()]]:
        """Add an action (B, A); returns the action (B, A) that acts in this step, and the new queue."""
        if not sent:
            return action, ()
        queue = torch.cat((action.unsqueeze(1), sent.actions), dim=1)
        where = sent.delay.view(-1, 1, 1).expand(-1, 1, action.shape[1])
        return queue.gather(1, where).squeeze(1), sent._replace(actions=queue[:, :-1].contiguous())

    def history_of(self, sent: Sent | tuple[()], last_action: Tensor) -> list[Tensor]:
        """Values of `shown`, (B, A) each."""
        if self.history <= 1 or not sent:
            return [last_action] if self.history == 1 else []
        return list(sent.actions[:, : self.history].unbind(1))

    def hidden(self, sent: Sent | tuple[()], dtype: torch.dtype) -> list[Tensor]:
        """Values of `channels`, component-first."""
        return [sent.delay.to(dtype).unsqueeze(0)] if self.drawn and sent else []
