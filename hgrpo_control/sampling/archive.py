"""An archive of saved states, in which a share of the executed episodes starts.

Two kinds of states enter: states some steps before a failure, and states late in an episode. The oldest entries are
replaced, so the archive follows the policy. An entry holds the whole state of the simulator, with the hidden parameters
and the random numbers of its episode, and the control steps since the episode began.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from hgrpo_control.ranks.ranks import ALONE, Ranks
from hgrpo_control.sampling.nested_lists import from_lists, to_lists
from robots.episodes import Beginning, Episodes, FreshEpisodes
from robots.simulator import Simulator, map_state, replace, select

STRIDE = 25
"""Control steps between two saves of the executed states, and the fewest between a save and the failure it precedes."""
SAVES = 5
"""Saves that are kept; the oldest is at most STRIDE * SAVES control steps old."""
ENTRIES_PER_ROOT = 4
"""Capacity per root."""
KEPT_FAILURES = 0.25
"""Probability that a failure adds an entry, so that an entry is drawn several times before it is replaced."""
ROOTS_PER_LATE_ENTRY = 16
"""Roots per rollout of which one is looked at for a late entry."""
FLOOR = 0.25
"""Added to every failure rate."""
BOUND = (1.0 + FLOOR) / FLOOR
"""An entry is drawn at most BOUND times, and at least 1 / BOUND times, as often as under uniform probabilities."""


class Archive:
    """Saves states of executed episodes, draws starts among them, and counts how the starts end.

    Args:
        simulator: Of the task; it must be able to restore states.
        roots: E episodes of the executed samples, all at their beginning.
        share: Share of the new executed episodes that start from the archive, once it has an entry.
        seed: Of the archive's own random numbers.
    """

    def __init__(self, simulator: Simulator, roots: Episodes, share: float, seed: int) -> None:
        self.simulator, self.share = simulator, share
        self.num_envs, device = len(roots.elapsed), roots.elapsed.device
        self.capacity = ENTRIES_PER_ROOT * self.num_envs
        self.generator = torch.Generator(device).manual_seed(seed)
        self.entries = _empty(roots, self.capacity)
        self.starts = torch.zeros(self.capacity, dtype=torch.int64, device=device)
        """(capacity,) finished episodes that started from each entry."""
        self.failures = torch.zeros_like(self.starts)
        """(capacity,) those of them that failed."""
        self.added = 0
        """Entries added so far; number k is row k % capacity until number k + capacity replaces it."""
        self.saves = _empty(roots, SAVES * self.num_envs)
        """The last SAVES saves of E rows each; the save at clock c is number c / STRIDE % SAVES."""
        self.clock = 0
        """Control steps that each executed sample has taken."""
        self.began = torch.zeros(self.num_envs, dtype=torch.int64, device=device)
        """(E,) clock at which the episode of each root began or was restored."""
        self.source = torch.full_like(self.began, -1)
        """(E,) number of the entry that the episode of each root started from; -1 for an initial state."""
        self._begun, self._ended, self._failed = torch.zeros(3, dtype=torch.int64, device=device)

    @property
    def size(self) -> int:
        """Number of entries."""
        return min(self.added, self.capacity)

    def probabilities(self) -> Tensor:
        """(size,) float64 probability of each entry to be drawn, proportional to FLOOR + its failure rate.

        The rate is (failures + 1) / (starts + 2), the mean of a uniform prior after these outcomes. So the
        probabilities are a mixture of uniform ones and ones proportional to the rate, and lie within a factor of BOUND
        of the uniform ones.
        """
        failures, starts = self.failures[: self.size].double(), self.starts[: self.size].double()
        weight = FLOOR + (failures + 1.0) / (starts + 2.0)
        return weight / weight.sum()

    def begin_rollout(self) -> None:
        """Set the counters of `metrics` to zero."""
        for counter in (self._begun, self._ended, self._failed):
            counter.zero_()

    @torch.no_grad()
    def watch(self, branches: Episodes, num_samples: int) -> None:
        """Save the executed samples of branches (E N rows) before a step, if it is time to."""
        if self.clock % STRIDE == 0:
            first = self.clock // STRIDE % SAVES * self.num_envs
            rows = slice(first, first + self.num_envs)
            executed = select(branches, slice(None, None, num_samples))
            map_state(lambda saves, now: saves[rows].copy_(now), self.saves, executed)
        self.clock += 1

    @torch.no_grad()
    def finish(self, roots: Tensor, failed: Tensor) -> Tensor:
        """Count how executed episodes ended, and add states from before failures.

        Args:
            roots: (k,) int64 roots whose episodes ended in the last step.
            failed: (k,) bool, ended by a termination without success.

        Returns:
            (k,) bool, episodes that began in an initial state.
        """
        source = self.source[roots]
        started = source >= 0
        held = started & (source >= self.added - self.capacity)  # the entry has not been replaced since
        entry = source.clamp(min=0) % self.capacity
        self.starts.index_add_(0, entry, held.long())
        self.failures.index_add_(0, entry, (held & failed).long())
        self._ended += started.sum()
        self._failed += (started & failed).sum()
        self._add_before(roots, failed)
        return ~started

    def _add_before(self, roots: Tensor, failed: Tensor) -> None:
        """Add the state of a random save of some of the failed episodes, of those STRIDE or more steps old."""
        which, kept = torch.rand(2, len(roots), generator=self.generator, device=roots.device)
        newest = (self.clock - 1) // STRIDE
        first = 0 if self.clock - newest * STRIDE >= STRIDE else 1
        last = ((newest * STRIDE - self.began[roots]) // STRIDE).clamp(max=SAVES - 1)
        count = last + 1 - first
        save = (newest - first - (which * count).long()) % SAVES
        chosen = (failed & (count > 0) & (kept < KEPT_FAILURES)).nonzero().squeeze(1)
        if chosen.numel():
            self._add(select(self.saves, (save * self.num_envs + roots)[chosen]))

    @torch.no_grad()
    def end_rollout(self, roots: Episodes) -> None:
        """Add some of the E roots that are late in their episodes: at least as late as half of all roots."""
        looked_at = max(1, self.num_envs // ROOTS_PER_LATE_ENTRY)
        rows = torch.randperm(self.num_envs, generator=self.generator, device=self.began.device)[:looked_at]
        late = (roots.elapsed >= roots.elapsed.median()) & (roots.elapsed > 0)
        rows = rows[late[rows]]
        if rows.numel():
            self._add(select(roots, rows))

    def _add(self, episodes: Episodes) -> None:
        """Add entries in place of the oldest."""
        num = len(episodes.elapsed)
        rows = torch.arange(self.added, self.added + num, device=episodes.elapsed.device) % self.capacity
        map_state(lambda entries, new: entries.index_copy_(0, rows, new), self.entries, episodes)
        self.starts[rows] = self.failures[rows] = 0
        self.added += num

    @torch.no_grad()
    def draw(self, roots: Tensor, fresh: FreshEpisodes) -> Beginning:
        """New episodes of executed samples, each with probability `share` from the archive.

        Args:
            roots: (k,) int64 roots in which they begin.
            fresh: Source of episodes in initial states.
        """
        begun = fresh.draw(len(roots))
        self.began[roots], self.source[roots] = self.clock, -1
        lot = torch.rand(len(roots), generator=self.generator, device=roots.device)
        chosen = (lot < self.share).nonzero().squeeze(1)
        if not self.size or not chosen.numel():
            return begun
        rows = torch.multinomial(self.probabilities(), len(chosen), replacement=True, generator=self.generator)
        self.source[roots[chosen]] = self.added - 1 - (self.added - 1 - rows) % self.capacity
        self._begun += len(chosen)
        episodes = select(self.entries, rows)
        return replace(begun, chosen, Beginning(episodes, self.simulator.observe(episodes.state)))

    def metrics(self, ranks: Ranks = ALONE) -> dict[str, float]:
        """Figures of the rollout, over the archives of all processes.

        `archive_size`: entries.
        `archive_starts`: executed episodes that started from the archive.
        `archive_failure_rate`: share of failures among such episodes that ended; NaN where none ended.
        """
        own = torch.stack((self._begun.new_tensor(self.size), self._begun, self._ended, self._failed))
        size, begun, ended, failed = ranks.sum(own).tolist()
        return {
            "archive_size": size,
            "archive_starts": begun,
            "archive_failure_rate": failed / ended if ended else math.nan,
        }

    def state_dict(self) -> dict[str, Any]:
        """Entries, their counts, saves and random numbers, as containers of tensors and numbers."""
        return {
            "entries": to_lists(map_state(torch.clone, self.entries)),
            "saves": to_lists(map_state(torch.clone, self.saves)),
            **{name: tensor.clone() for name, tensor in self._tensors().items()},
            "added": self.added,
            "clock": self.clock,
            "generator": self.generator.get_state(),
        }

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Continue exactly from a `state_dict`."""
        for name, states in (("entries", self.entries), ("saves", self.saves)):
            map_state(lambda ours, theirs: ours.copy_(theirs), states, from_lists(states, saved[name]))
        for name, tensor in self._tensors().items():
            tensor.copy_(saved[name])
        self.added, self.clock = saved["added"], saved["clock"]
        self.generator.set_state(saved["generator"])

    def _tensors(self) -> dict[str, Tensor]:
        return {"starts": self.starts, "failures": self.failures, "began": self.began, "source": self.source}


def _empty(episodes: Episodes, rows: int) -> Episodes:
    """Rows of zeros with the layout of episodes."""
    return map_state(lambda x: x.new_zeros((rows, *x.shape[1:])), episodes)
