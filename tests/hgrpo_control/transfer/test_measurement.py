"""`hgrpo transfer`: which flights are made, what they come to, and how they are told."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.image import imread
from support.built_in_physics import BuiltInPhysics

from hgrpo_control.cli import main
from hgrpo_control.config.run import ConfigError
from hgrpo_control.evaluation.array_policy import ArrayPolicy
from hgrpo_control.presets.quadrotor import preset as settings_of
from hgrpo_control.runs.run_folder import RunFolder
from hgrpo_control.training.simulation import make_simulator, policy_spec
from hgrpo_control.transfer import report
from hgrpo_control.transfer.measurement import (
    RECORDED,
    Transfer,
    TransferError,
    places,
)
from hgrpo_control.transfer.plot import _episodes
from policies.actor_critic import ActorCritic
from policies.checkpoint import save
from robots.pybullet_drones import worker_pool
from robots.quadrotor.physics.catalogue import AIRFRAMES, FOREIGN

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test works in a folder of its own and knows the planted physics."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(FOREIGN, "planted", BuiltInPhysics)
    monkeypatch.setattr(BuiltInPhysics, "opened", [])


def run(task: str = "quadrotor-hover", checkpoint: bool = True, **options: Any) -> RunFolder:
    """A run folder with a fresh policy, which holds the neutral command and soon flies away."""
    config = dataclasses.replace(settings_of("ppo", task), task_options=options)
    folder = RunFolder.create("run", config)
    if checkpoint:
        save(folder.checkpoint, fresh_policy(folder))
    return folder


def fresh_policy(folder: RunFolder) -> ActorCritic:
    config = folder.read_config()
    spec = policy_spec(make_simulator(config).spec, config.network, critic=True)
    return ActorCritic(spec, generator=torch.Generator().manual_seed(0))


class Flown:
    """A policy as arrays; what OnnxPolicy is to the command line."""

    def __init__(self, policy: ActorCritic) -> None:
        self.policy, self.spec = policy, policy.spec

    def __call__(self, observation: np.ndarray) -> np.ndarray:
        assert observation.dtype == np.float32
        assert observation.flags.c_contiguous
        with torch.no_grad():
            return np.asarray(self.policy(torch.from_numpy(observation)).numpy())


def fly(folder: RunFolder, target: str, episodes: int = 2, seed: int = 1) -> Transfer:
    with places(folder.read_config(), target) as opened:
        return opened.fly(ArrayPolicy(Flown(fresh_policy(folder))), episodes, seed)


def test_nothing_differs_from_home_where_the_physics_is_the_same() -> None:
    result = fly(run(), "planted")
    home, there = result.flights
    assert (home.place, there.place) == ("home", "planted")
    assert there.evaluation == dataclasses.replace(home.evaluation, task_options={"physics": "planted"})
    assert result.nearest_home is home
    assert result.dropped == {}
    for a, b in zip(home.recording.states, there.recording.states, strict=True):
        assert torch.equal(a.body.position, b.body.position)


def test_places_lead_from_home_to_there_one_difference_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(AIRFRAMES, "planted", "cf2x")
    given = {"mass": "0.3", "wind": "1", "action_history": "2"}
    result = fly(run(**given), "planted")
    nothing = given | {"mass": 0.0, "wind": 0.0}
    assert {flight.place: flight.evaluation.task_options for flight in result.flights} == {
        "home": given,
        "home, nothing drawn": nothing,
        "home, as cf2x": nothing | {"quadrotor": "cf2x"},
        "planted": nothing | {"quadrotor": "cf2x", "physics": "planted"},
    }
    assert result.dropped == {"mass": 0.3, "wind": 1.0}
    starts = [flight.recording.states[0].body for flight in result.flights]
    assert all(torch.equal(start.position, starts[0].position) for start in starts)
    assert all(torch.equal(start.quaternion, starts[0].quaternion) for start in starts)
    assert result.nearest_home.place == "home, as cf2x"
    assert result.nearest_home.evaluation.return_mean == result.there.evaluation.return_mean
    lines = report.notes(result)
    assert lines[1:] == [
        "not drawn in planted, which has an airframe and air of its own: mass=0.3, wind=1",
        "planted flies cf2x; the policy was trained on cf21B_500",
    ]


def test_a_task_that_draws_by_default_draws_nothing_there() -> None:
    result = fly(run("quadrotor-hover-randomized"), "planted")
    assert [flight.place for flight in result.flights] == ["home", "home, nothing drawn", "planted"]
    assert result.dropped == {"mass": 0.3, "rotor_thrust": 0.09, "inertia": 0.3, "rotor_lag": 0.3, "wind": 1.0}
    assert not result.there.simulator.options.draws_anything


def with_success(result: Transfer, *rates: float) -> Transfer:
    flights = [
        flight._replace(evaluation=dataclasses.replace(flight.evaluation, success_rate=rate))
        for flight, rate in zip(result.flights, rates, strict=True)
    ]
    return dataclasses.replace(result, flights=tuple(flights))


def test_the_share_is_success_there_over_success_at_home() -> None:
    """0.72 / 0.9 = 0.8, of its own 1; of nothing there is no share."""
    result = fly(run(), "planted")
    some = with_success(result, 0.9, 0.72)
    assert some.share_of(some.flights[0]) == pytest.approx(0.8)
    assert some.share_of(some.there) == 1.0
    none = with_success(result, 0.0, 0.5)
    assert math.isnan(none.share_of(none.flights[0]))


def test_the_table_has_a_row_per_figure_that_any_flight_has() -> None:
    result = with_success(fly(run(), "planted"), 0.9, 0.72)
    table = report.table(result)
    rows = {name: cells for name, *cells in zip(*(column.cells for column in table.columns), strict=True)}
    assert [column.header for column in table.columns] == ["mean over episodes", "home", "planted"]
    assert rows["success rate"] == ["0.900", "0.720"]
    assert rows["planted over this"] == ["0.800", "1.000"]
    assert rows["ended early"] == ["1.000", "1.000"]
    assert not any("last second" in name for name in rows)  # no fresh policy gets that far


def test_what_runs_beside_this_process_ends_also_where_something_fails() -> None:
    folder = run()

    def fails() -> None:
        with places(folder.read_config(), "planted"):
            raise RuntimeError("halfway")

    with pytest.raises(RuntimeError, match="halfway"):
        fails()
    assert [engine.closed for engine in BuiltInPhysics.opened] == [True]


def test_the_picture_shows_each_episode_as_long_as_it_ran() -> None:
    """A fresh policy flies away, so every episode ends early and fails; its path has one point more than steps."""
    result = fly(run(), "planted", episodes=RECORDED)
    ways = _episodes(result.there)
    assert len(ways) == RECORDED
    assert result.there.evaluation.terminated_rate == 1.0
    assert all(failed for _, failed in ways)
    assert np.mean([len(way) - 1 for way, _ in ways]) == result.there.evaluation.length_mean
    first = result.there.recording.states[0].body.position[:, :].double().numpy()
    np.testing.assert_array_equal([way[0] for way, _ in ways], first)


def test_the_command_writes_and_prints(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    folder = run(mass="0.3")
    assert main(["transfer", "run", "--to", "mujoco", "--episodes", "3", "--seed", "4"]) == 0
    out = capsys.readouterr().out
    for word in ("home, nothing drawn", "length [steps]", "(seed 4)", "not drawn in mujoco"):
        assert word in out
    written = json.loads(folder.transfer("mujoco", "json").read_text())
    assert written["target"] == "mujoco"
    assert written["dropped"] == {"mass": 0.3}
    assert [flight["place"] for flight in written["flights"]] == ["home", "home, nothing drawn", "mujoco"]
    assert [flight["physics"] for flight in written["flights"]] == ["built-in", "built-in", "mujoco"]
    assert all(flight["episodes"] == 3 and flight["seed"] == 4 for flight in written["flights"])
    there = written["flights"][-1]
    assert there["length_mean"] == pytest.approx(written["flights"][1]["length_mean"], rel=0.05)
    assert there["success_there_over_here"] is None  # a fresh policy has no success to share
    assert imread(folder.transfer("mujoco", "png")).shape[2] == 4
    assert folder.onnx.exists()
    assert not folder.transfer("mujoco", "mp4").exists()


def complaint(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The one line in which a transfer is refused; it writes nothing."""
    before = sorted(Path("run").iterdir()) if Path("run").exists() else []
    assert main(["transfer", *words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"hgrpo: [^\n]+\n", err)
    assert (sorted(Path("run").iterdir()) if before else []) == before
    return err.removeprefix("hgrpo: ").strip()


def test_an_unknown_physics_is_told_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    run()
    assert complaint(capsys, "run", "--to", "mujoko") == "unknown physics 'mujoko'; did you mean 'mujoco'?"
    assert complaint(capsys, "run", "--to", "gym-pybullet") == (
        "unknown physics 'gym-pybullet'; did you mean 'gym-pybullet-drones'?"
    )


def test_only_the_quadrotor_s_tasks_are_flown_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    run("InvertedPendulum-v5")
    assert complaint(capsys, "run", "--to", "mujoco") == (
        "only tasks of the quadrotor can be flown in another physics; this run's is InvertedPendulum-v5"
    )


def test_a_missing_package_is_told_before_anything_is_flown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run()
    monkeypatch.setattr(worker_pool, "_NEEDED", {"no_module_of_this_name": "gym-pybullet-drones"})
    said = complaint(capsys, "run", "--to", "gym-pybullet-drones")
    assert "gym-pybullet-drones is missing here: pip install '.[drones]'" in said


def test_a_run_without_a_checkpoint_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    run(checkpoint=False)
    assert complaint(capsys, "run", "--to", "planted") == "no checkpoint at run/checkpoint.pt"
    assert [engine.closed for engine in BuiltInPhysics.opened] == [True]


def test_a_folder_without_a_run_and_a_number_that_is_none_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert complaint(capsys, "nowhere", "--to", "mujoco") == "no run at nowhere: config.json is missing"
    run()
    with places(RunFolder("run").read_config(), "planted") as opened, pytest.raises(ValueError, match="at least 1"):
        opened.fly(ArrayPolicy(Flown(fresh_policy(RunFolder("run")))), 0, 0)


def test_options_that_mean_nothing_are_told_as_ever() -> None:
    config = dataclasses.replace(settings_of("ppo", "quadrotor-hover"), task_options={"mas": "1"})
    with pytest.raises(ConfigError, match="unknown task option 'mas'"), places(config, "planted"):
        pass
    with pytest.raises(TransferError, match="unknown physics 'nothing'"), places(config, "nothing"):
        pass
