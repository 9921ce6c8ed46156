"""What stands still in the observations of the MuJoCo robots stands still in Gymnasium's own."""

from __future__ import annotations

import numpy as np
import pytest
from support.inherited_observations import ALWAYS, SELDOM, matches
from support.mujoco_beside_gymnasium import action, environment

import robots

STEPS = 300


@pytest.mark.parametrize("name", sorted({*ALWAYS, *SELDOM}))
def test_gymnasiums_own_entries_stand_still_where_the_table_says_so(name: str) -> None:
    env, rng = environment(name), np.random.default_rng(0)
    entries = [q.name for q in robots.make(name).spec.observation]
    env.reset(seed=0)
    seen = []
    for step in range(STEPS):
        observation, _, terminated, *_ = env.step(action(env, rng, np.float32))
        seen.append(observation)
        if terminated or step % 50 == 49:
            env.reset()
    constant = {entry for entry, spread in zip(entries, np.ptp(seen, axis=0), strict=True) if spread <= 1e-6}
    always = {entry for entry in entries if matches(ALWAYS, name, entry)}
    seldom = {entry for entry in entries if matches(SELDOM, name, entry)}
    assert always <= constant
    assert constant <= always | seldom
    if name in SELDOM:
        assert constant & seldom, "otherwise the table excuses what needs no excuse"
    for table in (ALWAYS, SELDOM):
        for pattern in table.get(name, ()):
            assert any(matches({name: {pattern: ""}}, name, entry) for entry in entries), pattern
