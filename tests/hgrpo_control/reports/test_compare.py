"""Runs side by side: labels that say what differs, and a table with the numbers of the files."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import imageio.v3 as imageio
import pytest

from hgrpo_control.config.algorithms import GRPO, PPO, HybridGRPO
from hgrpo_control.config.learning import Network
from hgrpo_control.config.run import Config
from hgrpo_control.reports import learning_curves
from hgrpo_control.reports.compare import compare, markdown_table
from hgrpo_control.runs.run_folder import RunFolder, RunFolderError
from hgrpo_files import is_own_text

pytestmark = pytest.mark.slow

PPO_RUN = Config(task="quadrotor-hover", algorithm=PPO())


def make_run(path: Path, config: Config, returns: list[float], evaluation: dict[str, Any] | None = None) -> Path:
    """A run folder as training and evaluation leave it, with these returns."""
    folder = RunFolder.create(path, config)
    for index, value in enumerate(returns, 1):
        folder.append_metrics(
            {
                "iteration": index,
                "executed_steps": 1000 * index,
                "simulator_steps": 4000 * index,
                "wall_seconds": 1.6 * index,
                "episode_return": value,
                "success_rate": 0.5,
            }
        )
    if evaluation is not None:
        folder.evaluation.write_text(json.dumps(evaluation))
    return path


def labels(runs: list[Path], out: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Labels of the curves with their number of runs."""
    shown: dict[str, int] = {}

    def note(curves: Any, path: Path, title: str) -> None:
        shown.update({label: len(histories) for label, histories in curves.items()})

    monkeypatch.setattr(learning_curves, "learning_curves", note)
    compare(runs, out)
    return shown


def test_a_markdown_table_is_padded() -> None:
    assert markdown_table(("run", "steps/s"), [("a", "1,000"), ("longer", "2")]) == (
        "| run    | steps/s |\n| ------ | ------- |\n| a      | 1,000   |\n| longer | 2       |\n"
    )


def test_a_markdown_table_without_rows_keeps_its_head() -> None:
    assert markdown_table(("a", "bc"), []) == "| a | bc |\n| - | -- |\n"


def test_a_row_that_is_too_short_is_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        markdown_table(("a", "b"), [("1",)])


def test_the_table_holds_the_numbers_of_the_files(tmp_path: Path) -> None:
    # Twenty iterations: the last tenth are the last two, (30 + 41) / 2 = 35.5.
    # 80,000 simulator steps in 32 s: 2,500 steps/s.
    ppo = make_run(
        tmp_path / "a", dataclasses.replace(PPO_RUN, seed=5), [1.0] * 18 + [30.0, 41.0],
        {"success_rate": 0.12345, "return_mean": 99.96, "episodes": 200},
    )  # fmt: skip
    grpo = make_run(tmp_path / "b", dataclasses.replace(PPO_RUN, algorithm=GRPO()), [math.nan])
    picture, table = compare([ppo, grpo], tmp_path / "deep" / "out")
    assert table == tmp_path / "deep" / "out" / "comparison.md"
    assert picture == tmp_path / "deep" / "out" / "learning_curves.png"
    mark, empty, *lines = table.read_text().splitlines()
    assert is_own_text(mark.encode())
    assert empty == ""
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[:4] if set(line) - set("|- ")]
    assert cells == [
        [
            "run", "algorithm", "seed", "simulator steps", "executed steps", "wall-clock [s]", "steps/s",
            "return (training, last tenth)", "success (evaluation)", "return (evaluation)",
            "episodes (evaluation)",
        ],
        ["a", "ppo", "5", "80,000", "20,000", "32", "2,500", "35.5", "0.123", "100.0", "200"],
        ["b", "grpo", "0", "4,000", "1,000", "2", "2,500", "-", "-", "-", "-"],
    ]  # fmt: skip
    assert lines[4:] == ["", "![learning curves](learning_curves.png)"]
    image = imageio.imread(picture)
    assert image.shape[:2] == (650, 1300)
    assert image[:, :, :3].std() > 5.0, "not blank"


def test_a_task_without_a_goal_has_no_success_to_show(tmp_path: Path) -> None:
    evaluation = {"success_rate": None, "return_mean": 100.0, "episodes": 50}
    runs = [make_run(tmp_path / name, PPO_RUN, [5.0], evaluation) for name in "ab"]
    _, table = compare(runs, tmp_path / "out")
    rows = [[c.strip() for c in line.strip("|").split("|")] for line in table.read_text().splitlines() if "ppo" in line]
    assert [cells[-3:] for cells in rows[:2]] == [["-", "100.0", "50"]] * 2
    assert rows[2][:4] == ["ppo", "2", "-", "100.0 (100.0 ... 100.0)"]


def test_several_seeds_are_summed_up(tmp_path: Path) -> None:
    evaluations = (
        {"success_rate": 0.9, "return_mean": 100.0, "episodes": 200},
        {"success_rate": 1.0, "return_mean": 200.0, "episodes": 2},
    )
    runs = [
        make_run(tmp_path / str(seed), dataclasses.replace(PPO_RUN, seed=seed), [5.0 + seed], evaluation)
        for seed, evaluation in enumerate(evaluations)
    ]
    _, table = compare(runs, tmp_path / "out")
    last = [line for line in table.read_text().splitlines() if line.startswith("| ppo")][-1]
    assert [cell.strip() for cell in last.strip("|").split("|")] == [
        "ppo",
        "2",
        "0.950 (0.900 ... 1.000)",
        "150.0 (100.0 ... 200.0)",
        "101 (2 ... 200)",
        "5.5 (5.0 ... 6.0)",
        "2,500 (2,500 ... 2,500)",
    ]


def test_iterations_in_which_no_episode_ended_do_not_count_as_returns(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a", PPO_RUN, [1.0] * 27 + [7.0, math.nan, 9.0])  # last tenth: three rows, two returns
    _, table = compare([run], tmp_path / "out")
    assert " 8.0 " in table.read_text()


def test_runs_that_differ_only_in_the_seed_share_a_label(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [make_run(tmp_path / str(s), dataclasses.replace(PPO_RUN, seed=s), [1.0, 2.0]) for s in range(3)]
    runs.append(make_run(tmp_path / "g", dataclasses.replace(PPO_RUN, algorithm=GRPO()), [1.0, 2.0]))
    assert labels(runs, tmp_path / "out", monkeypatch) == {"ppo: 3 seeds": 3, "g: grpo": 1}


def test_what_differs_between_runs_of_one_algorithm_is_in_their_labels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hybrid = dataclasses.replace(PPO_RUN, algorithm=HybridGRPO(num_samples=4))
    runs = [
        make_run(tmp_path / "1", PPO_RUN, [1.0, 2.0]),
        make_run(tmp_path / "2", dataclasses.replace(PPO_RUN, seed=1), [1.0, 2.0]),
        make_run(tmp_path / "3", dataclasses.replace(PPO_RUN, network=Network(hidden_sizes=(8,))), [1.0, 2.0]),
        make_run(tmp_path / "4", hybrid, [1.0, 2.0]),
        make_run(tmp_path / "5", dataclasses.replace(hybrid, algorithm=HybridGRPO(num_samples=8)), [1.0, 2.0]),
    ]
    assert labels(runs, tmp_path / "out", monkeypatch) == {
        "ppo (hidden_sizes [64, 64]): 2 seeds": 2,
        "3: ppo (hidden_sizes [8])": 1,
        "4: hybrid-grpo (num_samples 4)": 1,
        "5: hybrid-grpo (num_samples 8)": 1,
    }


def test_task_options_that_only_one_run_has_tell_them_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = dataclasses.replace(PPO_RUN, task_options={"quadrotor": "cf2x"})
    runs = [make_run(tmp_path / "1", PPO_RUN, [1.0, 2.0]), make_run(tmp_path / "2", other, [1.0, 2.0])]
    assert labels(runs, tmp_path / "out", monkeypatch) == {"1: ppo": 1, "2: ppo (quadrotor cf2x)": 1}


def test_runs_of_the_same_name_are_told_apart_by_their_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "y").mkdir()
    runs = [make_run(tmp_path / "x" / "run", PPO_RUN, [1.0])]
    runs.append(make_run(tmp_path / "y" / "run", dataclasses.replace(PPO_RUN, algorithm=GRPO()), [1.0]))
    assert labels(runs, tmp_path / "out", monkeypatch) == {f"{runs[0]}: ppo": 1, f"{runs[1]}: grpo": 1}


@pytest.mark.parametrize("name", ["comparison.md", "learning_curves.png"])
def test_files_that_no_comparison_wrote_stay(tmp_path: Path, name: str) -> None:
    run, out = make_run(tmp_path / "a", PPO_RUN, [1.0]), tmp_path / "out"
    out.mkdir()
    (out / name).write_text("mine")
    with pytest.raises(RunFolderError, match=f"{name} was not written by hgrpo compare"):
        compare([run], out)
    assert [(path.name, path.read_text()) for path in out.iterdir()] == [(name, "mine")]


def test_a_comparison_replaces_another(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / name, PPO_RUN, [1.0]) for name in "ab"]
    compare(runs[:1], tmp_path / "out")
    _, table = compare(runs[1:], tmp_path / "out", note="On a slow machine.")
    text = table.read_text()
    assert "| b " in text
    assert "| a " not in text
    assert text.splitlines()[2] == "On a slow machine."


def test_different_tasks_are_not_put_on_one_axis(tmp_path: Path) -> None:
    other = dataclasses.replace(PPO_RUN, task="quadrotor-gates")
    runs = [make_run(tmp_path / "a", PPO_RUN, [1.0]), make_run(tmp_path / "b", other, [1.0])]
    with pytest.raises(
        RunFolderError, match=r"quadrotor-hover \(\S*/a\), quadrotor-gates \(\S*/b\); compare the runs of"
    ):
        compare(runs, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_run_without_metrics_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    run, empty = make_run(tmp_path / "a", PPO_RUN, [1.0, 2.0]), make_run(tmp_path / "b", PPO_RUN, [])
    with pytest.raises(RunFolderError, match=r"/b has no metrics yet$"):
        compare([run, empty], tmp_path / "out")
    with pytest.raises(RunFolderError, match=r"^no run at \S*/c: config\.json is missing$"):
        compare([run, tmp_path / "c"], tmp_path / "out")
    assert not (tmp_path / "out").exists()
