"""The share of one process in the settings of a run."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hgrpo_control.config.algorithms import PPO
from hgrpo_control.config.learning import Learning
from hgrpo_control.config.ranks import share_of
from hgrpo_control.config.run import Config, ConfigError

RUN = Config("quadrotor-hover", PPO(), num_envs=12, rollout_steps=4, learning=Learning(num_minibatches=4))


def test_roots_are_divided_and_nothing_else_changes() -> None:
    assert share_of(RUN, 3) == replace(RUN, num_envs=4)
    assert share_of(RUN, 1) is RUN


@pytest.mark.parametrize(("processes", "near"), [(5, "10 or 15"), (8, "8 or 16"), (20, "nearest: 20")])
def test_roots_that_cannot_be_divided_are_refused(processes: int, near: str) -> None:
    with pytest.raises(ConfigError, match=f"num_envs 12 .*{processes} processes.*{near}"):
        share_of(RUN, processes)


def test_minibatches_that_do_not_divide_a_share_are_refused() -> None:
    run = replace(RUN, num_envs=2, learning=Learning(num_minibatches=8))
    with pytest.raises(ConfigError, match=r"2 processes, each with 1 .*num_minibatches 8.*4 rows"):
        share_of(run, 2)
