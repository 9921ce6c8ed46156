"""A run folder: nothing is overwritten, and metrics come back as they were written."""

from __future__ import annotations

import csv
import dataclasses
import json
import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hgrpo_control.config.algorithms import GRPO
from hgrpo_control.config.learning import Learning, Network
from hgrpo_control.config.run import Config
from hgrpo_control.runs.run_folder import Metrics, RunFolder, RunFolderError

CONFIG = Config(
    task="quadrotor-hover",
    algorithm=GRPO(gamma=0.97, num_samples=3, branch_steps=8),
    seed=4,
    total_steps=10_000,
    num_envs=16,
    rollout_steps=16,
    network=Network(hidden_sizes=(8, 4), activation="elu"),
    learning=Learning(num_minibatches=4, target_kl=0.02),
    task_options={"quadrotor": "cf2x"},
)


COLUMNS = (
    "iteration", "executed_steps", "simulator_steps", "wall_seconds", "episode_return", "policy_loss", "diverged"
)  # fmt: skip


def row(iteration: int, value: float = 0.5) -> Metrics:
    """Steps that grow with the iteration, as many failures of physics as iterations, everything else `value`."""
    counters = {"iteration": iteration, "executed_steps": 16 * iteration, "simulator_steps": 48 * iteration}
    return {**counters, **dict.fromkeys(COLUMNS[3:-1], value), "diverged": iteration}


def same(a: Metrics, b: Metrics) -> bool:
    values = zip(a.values(), b.values(), strict=True)
    return list(a) == list(b) and all(type(x) is type(y) and (x == y or (x != x and y != y)) for x, y in values)


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    with RunFolder.create(tmp_path / "deep" / "run", CONFIG).locked() as folder:
        return folder


def test_a_new_folder_holds_the_config_that_it_gives_back(folder: RunFolder) -> None:
    assert [path.name for path in folder.path.iterdir()] == ["config.json"]
    assert RunFolder.open(folder.path).read_config() == CONFIG
    written = json.loads(folder.config.read_text())
    assert written["algorithm"] == {"name": "grpo", **dataclasses.asdict(CONFIG.algorithm)}
    chosen = {"gamma": 0.97, "num_samples": 3, "branch_steps": 8}
    assert {name: written["algorithm"][name] for name in chosen} == chosen


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    assert RunFolder.create(tmp_path / "run", CONFIG).read_config() == CONFIG


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("run", r"run exists already; choose another --out, or continue it with: hgrpo resume \S*/run$"),
        ("something else", r"run exists already; choose another --out$"),
        ("file", r"run is a file; --out is the folder of a new run$"),
    ],
)
def test_what_exists_is_refused_and_left_alone(tmp_path: Path, kind: str, message: str) -> None:
    path = tmp_path / "run"
    content = path if kind == "file" else path / ("config.json" if kind == "run" else "thesis.tex")
    content.parent.mkdir(exist_ok=True)
    content.write_text("precious")
    with pytest.raises(RunFolderError, match=message):
        RunFolder.create(path, CONFIG)
    assert content.read_text() == "precious"
    assert len(list(tmp_path.rglob("*"))) == (1 if kind == "file" else 2)


def test_opening_what_is_no_run_says_so(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match=r"^no run at \S*nowhere: config\.json is missing$"):
        RunFolder.open(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize(
    "damage",
    [
        "",
        "{",
        "[]",
        "null",
        "5",
        '"text"',
        CONFIG.to_json()[:-20],
        CONFIG.to_json().replace('"grpo"', '"sac"'),
        CONFIG.to_json().replace('"num_envs"', '"num_environments"'),
        CONFIG.to_json().replace('"num_samples": 3', '"num_samples": 1'),
        CONFIG.to_json().replace('"num_envs": 16', '"num_envs": "many"'),
        CONFIG.to_json().replace('"network": {', '"network": null, "rest": {'),
        json.dumps({**json.loads(CONFIG.to_json()), "algorithm": "grpo"}),
        json.dumps({**json.loads(CONFIG.to_json()), "learning": []}),
    ],
)
def test_a_damaged_config_is_told_by_its_path_in_one_line(folder: RunFolder, damage: str) -> None:
    folder.config.write_text(damage)
    with pytest.raises(RunFolderError) as caught:
        folder.read_config()
    assert str(folder.config) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_config_that_is_not_text_is_told_by_its_path(folder: RunFolder) -> None:
    folder.config.write_bytes(b"\xff\xfe\x00{")
    with pytest.raises(RunFolderError, match=r"config\.json"):
        folder.read_config()


def test_a_run_without_metrics_has_no_rows(folder: RunFolder) -> None:
    assert folder.read_metrics() == []
    folder.drop_metrics_after(3)
    assert not folder.metrics.exists()


@given(values=st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=1, max_size=5))
@settings(max_examples=30)
def test_metrics_come_back_to_the_last_bit(values: list[float], tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = RunFolder.create(tmp_path_factory.mktemp("run"), CONFIG)
    rows = [row(i + 1, value) for i, value in enumerate(values)]
    for metrics in rows:
        folder.append_metrics(metrics)
    assert all(same(a, b) for a, b in zip(folder.read_metrics(), rows, strict=True))


def test_the_file_has_one_header_and_one_line_per_row(folder: RunFolder) -> None:
    for iteration in (1, 2, 3):
        folder.append_metrics(row(iteration))
    with folder.metrics.open(newline="") as file:
        lines = list(csv.reader(file))
    assert lines[0] == list(COLUMNS)
    assert [line[:3] for line in lines[1:]] == [["1", "16", "48"], ["2", "32", "96"], ["3", "48", "144"]]


@pytest.mark.parametrize(("last", "kept"), [(0, []), (2, [1, 2]), (4, [1, 2, 3, 4]), (9, [1, 2, 3, 4])])
def test_rows_after_an_iteration_are_dropped_and_the_others_stay(folder: RunFolder, last: int, kept: list[int]) -> None:
    for iteration in (1, 2, 3, 4):
        folder.append_metrics(row(iteration, math.nan if iteration == 1 else 1.0 / 3.0))
    folder.drop_metrics_after(last)
    expected = [row(i, math.nan if i == 1 else 1.0 / 3.0) for i in kept]
    assert all(same(a, b) for a, b in zip(folder.read_metrics(), expected, strict=True))
    assert {path.name for path in folder.path.iterdir()} == {"config.json", "metrics.csv"}
    folder.append_metrics(row(last + 1))
    assert [metrics["iteration"] for metrics in folder.read_metrics()] == [*kept, last + 1]


@pytest.mark.parametrize("torn", ["3,48", "3", "3,48,144,0.5,0.", "3,"])
def test_a_last_line_torn_by_a_crash_is_dropped(folder: RunFolder, torn: str) -> None:
    for iteration in (1, 2):
        folder.append_metrics(row(iteration))
    with folder.metrics.open("a") as file:
        file.write(torn)
    folder.drop_metrics_after(2)
    folder.append_metrics(row(3))
    assert all(same(a, b) for a, b in zip(folder.read_metrics(), [row(1), row(2), row(3)], strict=True))


OLDER = "iteration,executed_steps,simulator_steps,wall_seconds,forgotten\n7,112,336,1.5,0.25\n8,128,384,2.0,\n"


def test_columns_of_an_older_file_are_read_as_they_are(folder: RunFolder) -> None:
    folder.metrics.write_text(OLDER)
    first, second = folder.read_metrics()
    assert first == {
        "iteration": 7, "executed_steps": 112, "simulator_steps": 336, "wall_seconds": 1.5, "forgotten": 0.25
    }  # fmt: skip
    assert math.isnan(second["forgotten"])


@pytest.mark.parametrize("resumed_after", [7, 6])
def test_an_older_file_gets_the_columns_that_it_lacks(folder: RunFolder, resumed_after: int) -> None:
    folder.metrics.write_text(OLDER)
    folder.drop_metrics_after(resumed_after)
    for iteration in (resumed_after + 1, resumed_after + 2):
        folder.append_metrics(row(iteration))
    with folder.metrics.open(newline="") as file:
        lines = list(csv.reader(file))
    assert lines[0] == [*COLUMNS[:4], "forgotten", *COLUMNS[4:]]
    assert {len(line) for line in lines} == {len(lines[0])}
    *old, last, newest = folder.read_metrics()
    assert [(r["iteration"], r["forgotten"]) for r in old] == [(7, 0.25)][: resumed_after - 6]
    assert all(math.isnan(r[name]) for r in old for name in COLUMNS[4:])
    for r, iteration in ((last, resumed_after + 1), (newest, resumed_after + 2)):
        assert math.isnan(r.pop("forgotten"))
        assert same(r, row(iteration))
