"""Every row has a model of its own: it does what a plain MjModel with the same numbers does, and stays its own."""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np
import pytest
import torch
from support.mujoco_beside_gymnasium import action, differences, environment
from support.states import clone, follow, random_actions, same

import robots
from hgrpo_control.config.algorithms import PPO
from hgrpo_control.config.learning import Learning, Network
from hgrpo_control.config.run import Config
from hgrpo_control.training.trainer import Trainer
from robots.catalogue import MUJOCO_TASKS
from robots.mujoco.simulator import MujocoSimulator, MujocoState
from robots.options import OptionError
from robots.privileged import Privileged
from robots.simulator import repeat, replace, select, where

pytestmark = pytest.mark.slow

EVERYTHING = {"mass": 0.3, "friction": 0.2, "gain": 0.1, "damping": 0.3}
ROWS = 5


def options(name: str) -> dict[str, float]:
    """Everything that the robot's model has; Swimmer's joints have no damping of their own."""
    undamped = ("Swimmer-v5",)
    return {key: share for key, share in EVERYTHING.items() if key != "damping" or name not in undamped}


def edit(model: Any, plain: Any, factors: dict[str, float]) -> None:
    """Put factors into a model, from the values of `plain`, by the names of the privileged quantities."""
    for name, factor in factors.items():
        if name == "friction_factor":
            model.geom_friction[:] = plain.geom_friction * factor
        elif name.endswith("_mass_factor"):
            body = [f"{model.body(i).name or f'body_{i}'}_mass_factor" for i in range(model.nbody)].index(name)
            model.body_mass[body] = plain.body_mass[body] * factor
            model.body_inertia[body] = plain.body_inertia[body] * factor
        elif name.endswith("_gain_factor"):
            actuator = [f"{model.actuator(i).name or f'actuator_{i}'}_gain_factor" for i in range(model.nu)].index(name)
            model.actuator_gainprm[actuator, 0] = plain.actuator_gainprm[actuator, 0] * factor
        else:
            dof = int(name.split("_")[1])
            model.dof_damping[dof] = plain.dof_damping[dof] * factor
    mujoco.mj_setConst(model, mujoco.MjData(model))


def drawn(simulator: MujocoSimulator, state: MujocoState, row: int) -> dict[str, float]:
    assert isinstance(state.factors, torch.Tensor)
    return dict(zip((q.name for q in simulator.spec.privileged), state.factors[row].tolist(), strict=True))


@pytest.mark.parametrize("name", MUJOCO_TASKS)
def test_a_row_is_gymnasiums_environment_with_its_model_edited(name: str) -> None:
    """In every bit, reward included: Humanoid's centre of mass is that of the row's own masses."""
    simulator, env = robots.make(name, **options(name)), environment(name)
    plain = robots.make(name).model
    rng = np.random.default_rng(0)
    state = simulator.reset(ROWS, 1)
    for row in (3, 0):
        edit(env.model, plain, drawn(simulator, state, row))
        env.reset(seed=0)
        mujoco.mj_resetData(env.model, env.data)
        env.set_state(*(state.physics[row].numpy()[1:].copy()[a:b] for a, b in _ends(env.model)))
        running = state
        for _ in range(40):
            actions = np.stack([action(env, rng, np.float32) for _ in range(ROWS)])
            gym = env.step(actions[row])
            ours = simulator.transition(running, actions)
            assert not differences(ours, row, gym, env)
            running = ours.state


def _ends(model: Any) -> tuple[tuple[int, int], tuple[int, int]]:
    """Where positions and velocities begin and end in a row, behind the time."""
    return (0, model.nq), (model.nq, model.nq + model.nv)


@pytest.mark.parametrize("name", ["HalfCheetah-v5", "Humanoid-v5"])
def test_rows_keep_what_was_drawn_for_them(name: str) -> None:
    """Copied, picked out, put together and in any order, in turn with other rows in the same places."""
    simulator = robots.make(name, **options(name))
    state = simulator.reset(ROWS, 1)
    for chosen in random_actions(simulator, 4, ROWS):
        state = simulator.step(state, chosen).state
    other = simulator.reset(ROWS, 2)
    actions = random_actions(simulator, 3, ROWS, seed=5)
    expected, kept = follow(simulator, state, actions), clone(state)
    follow(simulator, other, actions)
    order = torch.tensor([3, 0, 4, 1, 2])
    for step, alike in zip(follow(simulator, select(state, order), actions[:, order]), expected, strict=True):
        assert same(step, select(alike, order))
    copies = follow(simulator, repeat(state, 3), actions.repeat_interleave(3, dim=1))
    for step, alike in zip(copies, expected, strict=True):
        assert same(step, repeat(alike, 3))
    mask = torch.tensor([True, False, True, False, False])
    mixed, rows = where(mask, state, other), mask.nonzero().squeeze(1)
    for step, alike in zip(follow(simulator, mixed, actions), expected, strict=True):
        assert same(select(step, rows), select(alike, rows))
    put = replace(other, torch.tensor([4, 1]), select(state, torch.tensor([4, 1])))
    for step, alike in zip(follow(simulator, put, actions), expected, strict=True):
        assert same(select(step, torch.tensor([4, 1])), select(alike, torch.tensor([4, 1])))
    assert same(state, kept)
    assert all(same(a, b) for a, b in zip(follow(simulator, state, actions), expected, strict=True))


def test_only_models_that_changed_are_written(monkeypatch: pytest.MonkeyPatch) -> None:
    simulator = robots.make("HalfCheetah-v5", mass=0.3)
    state = simulator.reset(4, 0)
    actions = random_actions(simulator, 1, 4)[0]
    state = simulator.step(state, actions).state
    batch = simulator.pool._of_size(4)
    assert batch.factors is not None
    written: list[list[int]] = []
    whole = batch.batch.set_const
    monkeypatch.setattr(batch.batch, "set_const", lambda ids: (written.append(ids.tolist()), whole(ids)))
    state = simulator.step(state, actions).state
    assert written == []
    fresh = simulator.reset(2, 1)
    simulator.step(replace(state, torch.tensor([1, 3]), fresh), actions)
    assert written == [[1, 3]]


def test_new_constants_leave_the_states_of_all_rows_alone() -> None:
    simulator = robots.make("HalfCheetah-v5", mass=0.3)
    state = simulator.reset(4, 0)
    batch = simulator.pool._of_size(4)
    assert batch.factors is not None
    batch.load(state.physics.numpy(), state.factors.numpy())
    before = batch.state.copy()
    batch.factors.write(state.factors.numpy()[[0, 2, 1, 3]])
    np.testing.assert_array_equal(batch.state, before)


@pytest.mark.parametrize("name", ["HalfCheetah-v5", "Ant-v5"])
def test_shares_of_zero_are_the_plain_task(name: str) -> None:
    """And initial states are those of the plain task whatever is drawn for the models."""
    plain, zero = robots.make(name), robots.make(name, **dict.fromkeys(EVERYTHING, 0.0))
    varied = robots.make(name, **options(name))
    actions = random_actions(plain, 5)
    rows = actions.shape[1]
    assert zero.spec == plain.spec
    for a, b in zip(
        follow(plain, plain.reset(rows, 4), actions), follow(zero, zero.reset(rows, 4), actions), strict=True
    ):
        assert same(a, b)
    qpos = slice(1, 1 + plain.model.nq)
    assert torch.equal(varied.reset(rows, 4).physics[:, qpos], plain.reset(rows, 4).physics[:, qpos])


@pytest.mark.parametrize("name", MUJOCO_TASKS)
def test_what_was_drawn_is_told_to_a_privileged_critic(name: str) -> None:
    simulator = robots.make(name, **options(name))
    names = [q.name for q in simulator.spec.privileged]
    assert len(set(names)) == len(names) == simulator.spec.privileged_size > 0
    assert not set(names) & {q.name for q in simulator.spec.observation}
    state = simulator.reset(500, 0)
    factors = simulator.privileged(state)
    assert len(torch.unique(factors, dim=0)) == 500
    for i, entry in enumerate(names):
        share = next(EVERYTHING[key] for key in EVERYTHING if entry.endswith(f"{key}_factor"))
        assert 1.0 - share <= factors[:, i].min() < 1.0 - 0.95 * share
        assert 1.0 + 0.95 * share < factors[:, i].max() <= 1.0 + share
    shown = Privileged(simulator)
    assert torch.equal(shown.observe(state)[:, -len(names) :], factors)


def test_a_privileged_critic_trains_on_it() -> None:
    config = Config(
        task="HalfCheetah-v5",
        algorithm=PPO(),
        total_steps=2 * 8 * 8,
        num_envs=8,
        rollout_steps=8,
        network=Network(hidden_sizes=(8,), privileged_critic=True),
        learning=Learning(update_epochs=1, num_minibatches=2),
        task_options=dict(EVERYTHING),
    )
    trainer = Trainer.from_config(config)
    while not trainer.finished:
        trainer.step()
    assert len(trainer.policy.spec.observation) == 17
    assert len(trainer.policy.spec.privileged) == robots.make("HalfCheetah-v5", **EVERYTHING).spec.privileged_size


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"frictoin": 0.2}, "unknown task option 'frictoin'; did you mean 'friction'?"),
        ({"mass": 1.0}, "mass must be at least 0 and below 1; given 1.0"),
        ({"gain": "much"}, "task option gain must be a number; given 'much'"),
    ],
)
def test_options_that_do_not_fit_are_refused_in_one_line(given: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError) as caught:
        robots.make("HalfCheetah-v5", **given)
    assert str(caught.value) == message


def test_what_the_model_does_not_have_cannot_vary() -> None:
    with pytest.raises(OptionError, match=r"^damping cannot vary: it is zero everywhere in this robot's model$"):
        robots.make("Swimmer-v5", damping=0.3)


def test_an_mjdata_does_not_tell_what_was_drawn() -> None:
    simulator = robots.make("HalfCheetah-v5", mass=0.3)
    with pytest.raises(ValueError, match=r"^HalfCheetah-v5 is randomised, and an MjData "):
        simulator.state_of(mujoco.MjData(simulator.model))
