"""When the loop resets a policy with memory: at the start, in a new episode, and after the watchdog took over."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from support.loop_stand_ins import HZ, OBSERVATION, ScriptedPolicy, ScriptedTarget, misses

import robots
from hgrpo_control.config.learning import Network
from hgrpo_control.training.simulation import policy_spec
from policies.actor_critic import ActorCritic
from policies.carried import Carried
from robots.episodes import reset_episodes, step_episodes
from sim2real.flight.action_source import Worker
from sim2real.flight.clock import MonotonicClock, SteppedClock
from sim2real.flight.loop import LoopOptions, fly
from sim2real.flight.target import Reading
from sim2real.flight.watchdog import WatchdogOptions
from sim2real.targets.simulated import SimulatedTarget


class Remembering(ScriptedPolicy):
    """A scripted policy that notes the calls before which it was reset."""

    def __init__(self, script: Callable[[int], Any]) -> None:
        super().__init__(script)
        self.resets: list[int] = []

    def reset(self) -> None:
        self.resets.append(self.calls)


def resets(script: Callable[[int], Any], ticks: int, begins: tuple[int, ...] = ()) -> list[int]:
    """Calls before which the loop reset a policy; readings of the numbers `begins` begin an episode."""
    policy, clock = Remembering(script), SteppedClock()
    target = ScriptedTarget(clock, ticks, lambda n: Reading(OBSERVATION, clock.now(), n in begins))
    watchdog = WatchdogOptions(hold_seconds=2.0 / HZ, safe_seconds=1.0, recovery_ticks=3)
    fly(policy, target, LoopOptions(watchdog=watchdog), clock)
    return policy.resets


def test_resets_at_take_off_and_in_every_new_episode() -> None:
    assert resets(misses(()), 10) == [0]
    assert resets(misses(()), 10, begins=(4, 7)) == [0, 4, 7]


def test_resets_again_until_an_action_came() -> None:
    assert resets(misses((0, 1)), 10) == [0, 1, 2]


def test_resets_not_while_the_last_action_is_held() -> None:
    assert resets(misses((3, 4)), 12) == [0]  # misses 3 and 4 hold for two periods


def test_resets_in_every_tick_of_the_safe_action() -> None:
    # the misses 3, 4 and 5: the third makes it SAFE; 6, 7 and 8 are the three good ticks, the last of which flies again
    assert resets(misses((3, 4, 5)), 12) == [0, 6, 7, 8]


def test_worker_resets_in_its_own_thread() -> None:
    policy, clock = Remembering(misses(())), MonotonicClock()
    worker = Worker(policy, clock)
    try:
        for fresh in (True, False, True):
            worker.ask(OBSERVATION, clock.now() + 60.0, fresh)
    finally:
        worker.close()
    assert policy.resets == [0, 2]


class Acting:
    """A network with memory as the loop's policy."""

    def __init__(self, policy: ActorCritic) -> None:
        self.carried, self.spec = Carried(policy), policy.spec

    def reset(self) -> None:
        self.carried.reset()

    def __call__(self, observation: NDArray[np.float32], /) -> NDArray[np.float32]:
        return self.carried(torch.from_numpy(observation)[None])[0].numpy()


@pytest.mark.slow
@pytest.mark.parametrize("memory", ["gru", "history"])
def test_simulated_episodes_each_begin_with_an_empty_memory(memory: str) -> None:
    simulator = robots.make("quadrotor-hover")
    network = Network(hidden_sizes=(8,), memory=memory, memory_size=4)  # type: ignore[arg-type]
    policy = ActorCritic(policy_spec(simulator.spec, network, critic=False))
    with torch.no_grad():
        policy.actor[-1].weight.mul_(20.0)
    clock = SteppedClock()
    target = SimulatedTarget(policy.spec, clock, seed=3, episodes=2)
    fly(Acting(policy), target, clock=clock)
    generator = torch.Generator().manual_seed(3)
    for episode in target.finished:
        act, running, reward, ended = Carried(policy), reset_episodes(simulator, 1, generator), 0.0, False
        observation = simulator.observe(running.state)
        while not ended:
            transition = step_episodes(simulator, running, act(observation))
            running, observation = transition.episodes, transition.observation
            reward, ended = reward + float(transition.reward), bool(transition.terminated | transition.truncated)
        assert episode.reward == pytest.approx(reward, rel=1e-5)
