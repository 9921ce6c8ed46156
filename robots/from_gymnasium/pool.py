"""Instances of an environment without snapshots: one per row, each in one state that lives on and cannot come back."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hgrpo_errors import HgrpoError
from robots.from_gymnasium.instance import Instance


class BranchingError(HgrpoError):
    """Raised where a state is stepped that its instance has left; one line that names the way out."""


class Pool:
    """Instances by slot. A slot is free again once its episode has ended or run for `max_episode_steps`.

    Grows where `begin` finds too few free slots.
    """

    def __init__(self, make: Callable[[], Instance], first: Instance, max_episode_steps: int, advice: str) -> None:
        self.instances = [first]
        self._make, self._limit, self._advice = make, max_episode_steps, advice
        self._token, self._elapsed, self._ended = [0], [0], [True]
        self._issued = 0

    def begin(self, num: int) -> list[int]:
        """Slots (num,) for new episodes, each with a token of its own."""
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
        """The state that a slot is in; 0 is none."""
        return self._token[slot]

    def require(self, slots: Sequence[int], tokens: Sequence[int]) -> None:
        """Raise BranchingError unless every slot is still in the state of its token, and none is asked for twice."""
        for slot, token in zip(slots, tokens, strict=True):
            if slot >= len(self.instances) or self._token[slot] != token:
                raise BranchingError(f"a state was to be stepped that is gone: {self._advice}")
        if len(set(slots)) != len(slots):
            raise BranchingError(f"one state was to be stepped twice: {self._advice}")

    def give_up(self, slots: Sequence[int], tokens: Sequence[int]) -> None:
        """Free the slots that are still in the state of their token."""
        for slot, token in zip(slots, tokens, strict=True):
            if self._token[slot] == token:
                self._ended[slot] = True

    def moved(self, slot: int, ended: bool) -> int:
        """Note a step; returns the token of the state after it."""
        self._elapsed[slot] += 1
        self._ended[slot] = ended
        return self._issue(slot)

    def _issue(self, slot: int) -> int:
        self._issued += 1
        self._token[slot] = self._issued
        return self._issued
