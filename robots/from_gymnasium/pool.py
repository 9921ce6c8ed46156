"""Instances of an environment without snapshots: one per row, each in one current state."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hgrpo_errors import HgrpoError
from robots.from_gymnasium.instance import Instance


class BranchingError(HgrpoError):
    """A state that cannot be stepped, because its instance is no longer in it."""


class Pool:
    """Instances by slot; a slot is free after its episode.

    An episode is over when it has ended or has run for `max_episode_steps`. The pool grows if too few slots are free.

    Args:
        make: Makes an instance.
        first: The first instance.
        max_episode_steps: Time limit in control steps.
        advice: Reason and remedy, for the message of BranchingError.
    """

    def __init__(self, make: Callable[[], Instance], first: Instance, max_episode_steps: int, advice: str) -> None:
        self.instances = [first]
        self._make, self._limit, self._advice = make, max_episode_steps, advice
        self._token, self._elapsed, self._ended = [0], [0], [True]
        self._issued = 0

    def begin(self, num: int) -> list[int]:
        """Take `num` slots for new episodes, each with a new token."""
        free = [slot for slot, ended in enumerate(self._ended) if ended or self._elapsed[slot] >= self._limit]
        while len(free) < num:
            self.instances.append(self._make())
            free.append(len(self.instances) - 1)
            self._token.append(0)
            self._elapsed.append(0)
            self._ended.append(True)
        for slot in free[:num]:
            self._elapsed[slot], self._ended[slot] = 0, False
            self._issue(slot)
        return free[:num]

    def close(self) -> None:
        """Close every instance."""
        for instance in self.instances:
            instance.close()

    def token(self, slot: int) -> int:
        """Token of the state that a slot is in; 0 is none."""
        return self._token[slot]

    def require(self, slots: Sequence[int], tokens: Sequence[int]) -> None:
        """Raise BranchingError unless each slot is in the state of its token and occurs once."""
        for slot, token in zip(slots, tokens, strict=True):
            if slot >= len(self.instances) or self._token[slot] != token:
                raise BranchingError(f"this state is gone and cannot be stepped: {self._advice}")
        if len(set(slots)) != len(slots):
            raise BranchingError(f"one state cannot be stepped twice: {self._advice}")

    def give_up(self, slots: Sequence[int], tokens: Sequence[int]) -> None:
        """Free the slots that are still in the state of their token."""
        for slot, token in zip(slots, tokens, strict=True):
            if self._token[slot] == token:
                self._ended[slot] = True

    def moved(self, slot: int, ended: bool) -> int:
        """Record a step of a slot; returns the token of the new state."""
        self._elapsed[slot] += 1
        self._ended[slot] = ended
        return self._issue(slot)

    def _issue(self, slot: int) -> int:
        self._issued += 1
        self._token[slot] = self._issued
        return self._issued
