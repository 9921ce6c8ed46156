"""Starts from the archive continue the episodes that they came from, in every registered task."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from support.combinations import NAMES, TASKS
from support.states import follow, random_actions, same

import robots
from hgrpo_control.sampling import archive as archives
from hgrpo_control.sampling.archive import Archive
from robots.episodes import Episodes, FreshEpisodes, reset_episodes
from robots.simulator import select

pytestmark = pytest.mark.slow
ROWS, STEPS = 3, 60


@pytest.mark.parametrize(("name", "options"), TASKS, ids=NAMES)
def test_the_same_action_gives_the_same_bits(
    name: str, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "KEPT_FAILURES", 1.0)
    simulator = robots.make(name, **options)
    assert not simulator.spec.branching_obstacle
    begun = reset_episodes(simulator, ROWS, 0)
    actions = random_actions(simulator, STEPS, ROWS)
    steps = follow(simulator, begun.state, actions)
    archive = Archive(simulator, begun, share=0.9, seed=0)
    for clock, state in enumerate([begun.state, *(step.state for step in steps[:-1])]):
        archive.watch(Episodes(state, torch.full((ROWS,), clock), torch.zeros(ROWS, 0)), 1)
    archive.finish(torch.arange(ROWS), torch.ones(ROWS, dtype=torch.bool))
    assert archive.size == ROWS
    fresh = FreshEpisodes(simulator, ROWS, torch.Generator().manual_seed(0))
    compared = 0
    for _ in range(4):
        started = archive.draw(torch.arange(ROWS), fresh)
        for row in (archive.source >= 0).nonzero().squeeze(1).tolist():
            entry, clock = int(archive.source[row]), int(started.episodes.elapsed[row])
            start = torch.tensor([row])
            again = simulator.step(select(started.episodes.state, start), actions[clock, entry : entry + 1])
            assert same(again, select(steps[clock], torch.tensor([entry])))
            if clock:
                assert torch.equal(started.observation[row], steps[clock - 1].observation[entry])
            compared += 1
    assert compared >= ROWS
