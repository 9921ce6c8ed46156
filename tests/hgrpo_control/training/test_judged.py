"""At which difficulty and for which rewards commands judge a run under a curriculum."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from support.analytic_envs import ScalarLQR
from support.tiny_runs import TINY

import hgrpo_control.diagnose.of_run
import policies
import robots
from hgrpo_control.cli import main
from hgrpo_control.config.algorithms import PPO
from hgrpo_control.config.judged import JudgedSettings
from hgrpo_control.config.run import Config, ConfigError
from hgrpo_control.training.judged import Judged, judge_at
from robots.simulator import Adjustable, Simulator
from sim2real import OnnxPolicy

WORDS = {"difficulty": "0.1:0.5@steps:0:1000", "near_target": "2:10@steps:0:1000"}
STANDS = {"curriculum": {"progress": {"difficulty": 0.25, "near_target": 0.75}}}
OWN = robots.make("quadrotor-hover").settings  # type: ignore[attr-defined]


def judged(
    difficulty: str = "full", weights: Any = "final", training: dict[str, Any] = STANDS
) -> tuple[Simulator, Judged]:
    simulator = robots.make("quadrotor-hover")
    config = Config("quadrotor-hover", PPO(), curriculum=WORDS)
    return simulator, judge_at(simulator, config, training, JudgedSettings(difficulty=difficulty, weights=weights))


@pytest.mark.parametrize(
    ("difficulty", "weights", "expected"),
    [
        ("full", "final", (1.0, 10.0)),
        ("run", "run", (0.2, 8.0)),  # 0.1 + 0.25 x 0.4 and 2 + 0.75 x 8
        ("0.3", "default", (0.3, OWN["near_target"])),
        ("run", "default", (0.2, OWN["near_target"])),
        ("0", "run", (0.0, 8.0)),
    ],
)
def test_difficulty_and_weights_are_chosen_apart(difficulty: str, weights: str, expected: tuple[float, float]) -> None:
    simulator, found = judged(difficulty, weights)
    assert isinstance(simulator, Adjustable)
    assert (simulator.settings["difficulty"], simulator.settings["near_target"]) == pytest.approx(expected)
    others = {name: value for name, value in OWN.items() if name not in WORDS}
    assert {name: simulator.settings[name] for name in others} == others
    assert found.for_json() == {
        "difficulty": simulator.settings["difficulty"],
        "difficulty_choice": difficulty,
        "weights": {name: value for name, value in simulator.settings.items() if name != "difficulty"},
        "weights_choice": weights,
    }


def test_full_is_what_the_options_of_the_task_say() -> None:
    simulator = robots.make("quadrotor-hover", difficulty="0.4")
    found = judge_at(simulator, Config("quadrotor-hover", PPO()), {}, JudgedSettings())
    assert found.difficulty == 0.4
    assert found.lines == ["judged at difficulty 0.4 (full), default reward weights"]


def test_what_was_chosen_is_said_in_a_line() -> None:
    assert judged()[1].lines == ["judged at difficulty 1 (full), final reward weights of the run (near_target=10)"]
    assert judged("0.3", "run")[1].lines == [
        "judged at difficulty 0.3 (as given), reward weights of the run (near_target=8)"
    ]


@pytest.mark.parametrize(
    ("difficulty", "said"),
    [
        ("ful", "unknown difficulty 'ful'; did you mean 'full'? allowed: full, run, or a number from 0 to 1"),
        ("1.5", "difficulty must lie in [0, 1]; given 1.5"),
        ("nan", "difficulty must lie in [0, 1]; given nan"),
    ],
)
def test_other_difficulties_are_refused_in_one_line(difficulty: str, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        judged(difficulty)
    assert str(raised.value) == said


def test_a_checkpoint_without_a_curriculum_cannot_say_where_it_stands() -> None:
    with pytest.raises(ConfigError, match="curriculum of near_target"):
        judged(weights="run", training={})
    assert judged("0.3", training={})[1].difficulty == 0.3


def test_a_task_without_settings_is_judged_as_it_is() -> None:
    simulator, config = ScalarLQR(0.9, 20.0, 5), Config("quadrotor-hover", PPO())
    found = judge_at(simulator, config, {}, JudgedSettings(difficulty="run", weights="run"))
    assert (found.lines, found.for_json()) == ([], {})
    with pytest.raises(ConfigError, match=r"has no difficulty; given 0\.3, leave --difficulty out"):
        judge_at(simulator, config, {}, JudgedSettings(difficulty="0.3"))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that ended at half of its curriculum: 256 of 512 executed steps. Not to be changed."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    curriculum = ("difficulty=0.1:0.5@steps:0:512", "near_target=5:50@steps:0:512")
    assert main(["train", "ppo", "quadrotor-hover", *TINY, "--out", str(folder), "--curriculum", *curriculum]) == 0
    return folder


@pytest.fixture
def run(trained: Path, undrawn: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it as the working directory's `run`."""
    monkeypatch.chdir(tmp_path)
    return shutil.copytree(trained, Path("run"))


@pytest.mark.slow
def test_evaluations_pay_as_the_run_did_in_the_end(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def evaluate(*words: str, file: str = "evaluation.json") -> dict[str, Any]:
        assert main(["evaluate", "run", "--episodes", "3", *words]) == 0
        return json.loads((run / file).read_text())

    final = evaluate()
    assert "judged at difficulty 1 (full), final reward weights of the run (near_target=50)" in capsys.readouterr().out
    assert (final["judged_at"]["difficulty"], final["judged_at"]["weights"]["near_target"]) == (1.0, 50.0)
    default = evaluate("--weights", "default", file="evaluation-weights=default.json")
    assert default["judged_at"]["weights"]["near_target"] == OWN["near_target"]
    assert final["return_mean"] > 5.0 * default["return_mean"]
    half = evaluate("--difficulty", "run", "--weights", "run", file="evaluation-difficulty=run-weights=run.json")
    assert (half["judged_at"]["difficulty"], half["judged_at"]["weights"]["near_target"]) == (0.3, 27.5)
    assert json.loads((run / "evaluation.json").read_text()) == final
    capsys.readouterr()
    assert main(["evaluate", "run", "--difficulty", "0.3", "--task-options", "difficulty=0.5"]) == 2
    said = "--difficulty 0.3 and difficulty=0.5 of --task-options contradict each other; give one of them"
    assert said in capsys.readouterr().err


@pytest.mark.slow
def test_exports_and_transfers_are_judged_as_evaluations(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = "judged at difficulty 1 (full), final reward weights of the run (near_target=50)"
    assert main(["export", "run", "--int8", "--episodes", "2"]) == 0
    assert line in capsys.readouterr().out
    measured = json.loads(OnnxPolicy(run / "policy.int8.onnx").metadata["measured"])
    assert (measured["difficulty"], measured["weights"]["near_target"]) == (1.0, 50.0)
    assert main(["transfer", "run", "--to", "mujoco", "--episodes", "2"]) == 0
    assert line in capsys.readouterr().out
    flights = json.loads((run / "transfer-mujoco.json").read_text())["flights"]
    assert [flight["judged_at"]["weights"]["near_target"] for flight in flights] == [50.0] * len(flights)
    assert main(["transfer", "run", "--to", "mujoco", "--episodes", "2", "--difficulty", "0.2"]) == 0
    flights = json.loads((run / "transfer-mujoco.json").read_text())["flights"]
    assert {flight["judged_at"]["difficulty"] for flight in flights} == {0.2}


@pytest.mark.slow
def test_diagnose_measures_where_the_run_stands(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[dict[str, float]] = []
    measure = hgrpo_control.diagnose.of_run.diagnose

    def watch(policy: Any, simulator: Any, *rest: Any) -> Any:
        seen.append(dict(simulator.settings))
        return measure(policy, simulator, *rest)

    monkeypatch.setattr("hgrpo_control.diagnose.of_run.diagnose", watch)
    sizes = ["--roots", "2", "--steps", "4", "--samples", "2", "--branch-steps", "4", "--budget", "256"]
    sizes += ["--reference-branches", "32", "--horizon", "4", "--lambdas", "0.9"]
    assert main(["diagnose", "run", *sizes]) == 0
    assert (seen[0]["difficulty"], seen[0]["near_target"]) == (0.3, 27.5)
    line = "judged at difficulty 0.3 (run), reward weights of the run (near_target=27.5)"
    assert line in capsys.readouterr().out
    assert f"- {line}\n" in (run / "diagnosis.md").read_text()
    assert main(["diagnose", "run", *sizes, "--difficulty", "full", "--weights", "final"]) == 0
    assert (seen[1]["difficulty"], seen[1]["near_target"]) == (1.0, 50.0)
    assert policies.restore(run)[1]["curriculum"]["progress"] == {"difficulty": 0.5, "near_target": 0.5}
