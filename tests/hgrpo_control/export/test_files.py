"""`hgrpo export` and `hgrpo inspect`: which files are written, and that what they hold flies like the policy."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from support.hover_controller import hover_controller

import hgrpo_control
import robots
from hgrpo_control.cli import main
from hgrpo_control.evaluation.array_policy import ArrayPolicy, ObservationLog
from hgrpo_control.evaluation.evaluate import evaluate
from hgrpo_control.export.files import export
from hgrpo_control.export.report import ExportEntry, lines
from hgrpo_control.export.settings import ExportOptions
from hgrpo_control.runs.run_folder import RunFolder
from policies import checkpoint
from policies.actor_critic import ActorCritic
from policies.spec import PolicySpec
from sim2real import CPolicy, OnnxPolicy
from sim2real.policy.c_policy import compile_library

pytestmark = pytest.mark.slow

OPTIONS = {"difficulty": 0.3}


@pytest.fixture(scope="module")
def policy() -> ActorCritic:
    return hover_controller(robots.make("quadrotor-hover", **OPTIONS))  # type: ignore[arg-type]


@pytest.fixture
def run(policy: ActorCritic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run folder with the hand-made policy in it, as the working directory's `run`."""
    monkeypatch.chdir(tmp_path)
    config = dataclasses.replace(hgrpo_control.preset("ppo", "quadrotor-hover"), task_options=OPTIONS)
    folder = RunFolder.create("run", config)
    checkpoint.save(folder.checkpoint, policy)
    return folder.path


def written(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"config.json", "checkpoint.pt"}


@pytest.mark.parametrize(
    ("words", "files", "in_run"),
    [
        ((), set(), {"policy.onnx"}),
        (("--onnx", "other.onnx"), {"other.onnx"}, set()),
        (("--batch-1",), set(), {"policy.onnx", "policy.batch1.onnx"}),
        (("--c", "policy"), {"policy.c", "policy.h"}, set()),
        (("--c", "policy", "--onnx", "run/policy.onnx"), {"policy.c", "policy.h"}, {"policy.onnx"}),
        (("--crazyflie", "app"), {"app"}, set()),
    ],
)
def test_writes_what_is_asked_for(run: Path, words: tuple[str, ...], files: set[str], in_run: set[str]) -> None:
    assert main(["export", "run", *words]) == 0
    assert written(Path()) == {"run"} | files
    assert written(run) == in_run


def test_variants_are_flown_and_carry_what_was_measured(
    run: Path, policy: ActorCritic, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", "run", "--float16", "--int8", "--episodes", "4"]) == 0
    out = capsys.readouterr().out.splitlines()
    notes = [line for line in out if line.startswith("note: ")]
    out = [line for line in out if line not in notes]
    assert len(out) == 4
    assert out[1] == "judged at difficulty 0.3 (full), default reward weights"
    expected, _ = evaluate(policy, robots.make("quadrotor-hover", **OPTIONS), 4, seed=1)
    for line, precision in zip(out[2:], ("float16", "int8"), strict=True):
        path = run / f"policy.{precision}.onnx"
        assert line.startswith(f"onnx: {path} ({precision}: differs from torch by ")
        measured = json.loads(OnnxPolicy(path).metadata["measured"])
        assert measured["episodes"] == 4
        assert measured["policy_return_mean"] == pytest.approx(expected.return_mean)
        assert measured["policy_success_rate"] == expected.success_rate
        assert 0.0 < measured["mean_error"] < measured["largest_error"] < 0.5
        assert f" on {measured['observations']:,} observations" in line
    assert (measured["observations"], measured["calibration_observations"]) == (1000, 1000)  # half of 4 x 500 each
    assert "float16" in notes[0]
    assert "1,000 observations of 4 episodes" in notes[0]
    assert "calibrated on 1,000 observations" in notes[1]
    assert "clipped" in notes[1]
    assert all("--episodes" in note for note in notes)
    assert main(["inspect", str(path)]) == 0
    shown = [" ".join(row.split()) for row in capsys.readouterr().out.splitlines()]
    assert "drone preset cf21B_500" in shown
    assert f"success rate {measured['success_rate']:.6g}" in shown
    assert "difficulty 0.3" in shown


@pytest.mark.parametrize(("episodes", "observations", "notes"), [(20, 2048, 0), (19, 2048, 1), (100, 2047, 1)])
@pytest.mark.parametrize("kind", ["float16", "int8"])
def test_note_on_few_episodes_or_observations(
    kind: Literal["float16", "int8"], episodes: int, observations: int, notes: int
) -> None:
    measured = {"episodes": episodes, "observations": observations, "mean_error": 0.0, "largest_error": 0.0}
    measured |= {"success_rate": None, "policy_success_rate": None, "return_mean": 1.0, "policy_return_mean": 1.0}
    entry = ExportEntry(kind, (Path("policy.onnx"),), measured=measured)
    assert [line.startswith("note: ") for line in lines(entry)] == [False] + [True] * notes


def test_entries_are_yielded_with_their_files_and_figures(run: Path) -> None:
    options = ExportOptions(run, batch_1=True, float16=True, episodes=1, c=Path("policy"), crazyflie=Path("app"))
    entries = []
    for entry in export(options):
        assert all(path.exists() for path in entry.files)
        entries.append(entry)
    kinds = [entry.kind for entry in entries]
    assert kinds == ["float32", "batch1", "float16", "c", "crazyflie", "c"]
    assert entries[0].files == (run / "policy.onnx",)
    assert entries[0].difference is not None
    assert entries[0].difference < 1e-4
    assert entries[2].measured["episodes"] == 1
    assert entries[2].judged is not None
    assert entries[2].judged.difficulty == 0.3
    assert entries[3].files == (Path("policy.c"), Path("policy.h"))
    assert entries[4].files == (Path("app"),)


def test_too_few_observations_are_refused(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("hgrpo_control.export.files._LEAST_SEEN", 501)
    assert main(["export", "run", "--int8", "--episodes", "1"]) == 2
    error = capsys.readouterr().err
    assert "500 observations" in error
    assert "501" in error
    assert "--episodes" in error
    assert written(run) == {"policy.onnx"}


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler cc here")
def test_c_flies_as_often_to_the_goal_as_torch(run: Path, policy: ActorCritic) -> None:
    simulator = robots.make("quadrotor-hover", **OPTIONS)
    expected, _ = evaluate(policy, simulator, 16, seed=3)
    assert 0.0 < expected.success_rate < 1.0  # or it would not tell policies apart
    assert main(["export", "run", "--c", "policy", "--onnx", "run/policy.onnx"]) == 0
    compile_library(Path("policy.c"), Path("policy.so"), flags=("-O3", "-ffast-math"))
    for act in (CPolicy(Path("policy.so"), "policy", policy.spec), OnnxPolicy(run / "policy.onnx")):
        evaluation, _ = evaluate(ArrayPolicy(act), simulator, 16, seed=3)
        assert evaluation.success_rate == expected.success_rate
        assert evaluation.length_mean == expected.length_mean
        assert evaluation.return_mean == pytest.approx(expected.return_mean, abs=0.1)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--c", "2"), "'2' cannot begin the name of a C function"),
        (("--int8", "--episodes", "0"), "episodes must be at least 1; given 0"),
        (("--tanh", "sinh"), "sinh"),
        (("--onnx", "missing/policy.onnx"), "it lies in no existing folder"),
    ],
)
def test_mistakes_are_one_line(
    run: Path, words: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", "run", *words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert written(Path()) == {"run"}
    assert written(run) == set()


APP = ("Makefile", "Kbuild", "app-config", "README.md")
APP += tuple(f"src/{name}" for name in ("Kbuild", "controller_policy.c", "policy.c", "policy.h"))
TARGETS = [  # words of an export, and a file that they make
    ((), "run/policy.onnx"),
    (("--onnx", "fly.onnx"), "fly.onnx"),
    (("--batch-1",), "run/policy.batch1.onnx"),
    (("--float16", "--episodes", "1"), "run/policy.float16.onnx"),
    (("--onnx", "fly.onnx", "--int8", "--episodes", "1"), "fly.int8.onnx"),
    (("--onnx", "run/policy.onnx", "--c", "hover"), "hover.c"),
    (("--onnx", "run/policy.onnx", "--c", "hover"), "hover.h"),
    *((("--onnx", "run/policy.onnx", "--crazyflie", "app"), f"app/{name}") for name in APP),
]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def foreign_model() -> bytes:
    empty = onnx.helper.make_graph([], "empty", [], [])
    return onnx.helper.make_model(empty, producer_name="pytorch").SerializeToString()


STRANGERS = [(words, target, "text") for words, target in TARGETS]
STRANGERS += [(*TARGETS[index], kind) for index in (0, 5) for kind in ("model", "empty", "link")]


@pytest.mark.parametrize(("words", "target", "kind"), STRANGERS)
def test_what_no_export_wrote_is_never_replaced(
    run: Path, words: tuple[str, ...], target: str, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = Path(target)
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "link":
        path.symlink_to("elsewhere")
    else:
        path.write_bytes({"text": b"int main(void);\n", "model": foreign_model(), "empty": b""}[kind])
    before = contents(Path())
    assert main(["export", "run", *words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"hgrpo: {target} was not written by hgrpo-control")
    assert contents(Path()) == before
    assert path.is_symlink() == (kind == "link")


def test_exports_replace_their_own_files_and_leave_others_beside_them(run: Path) -> None:
    words = ["export", "run", "--batch-1", "--float16", "--episodes", "1", "--c", "hover"]
    words += ["--crazyflie", "app"]
    assert main(words) == 0
    first = contents(Path())
    assert {target for _, target in TARGETS} - {"fly.onnx", "fly.int8.onnx"} <= set(first)
    notes = [Path("app/notes.txt"), Path("app/src/build.mk"), Path("hover.o"), Path("policy.onnx.partial")]
    for note in notes:
        note.write_text("mine")
    for _, target in TARGETS:
        if not target.startswith("fly"):
            Path(target).write_bytes(
                Path(target).read_bytes().replace(b"\n", b"\r\n") if "onnx" not in target else first[target]
            )
    assert main(words) == 0
    assert contents(Path()) == first | {str(note): b"mine" for note in notes}


@pytest.mark.parametrize("words", [("--c", "hover"), ("--crazyflie", "app")])
def test_a_text_whose_mark_was_removed_is_kept(run: Path, words: tuple[str, ...]) -> None:
    assert main(["export", "run", *words]) == 0
    path = Path("hover.c" if words[0] == "--c" else "app/README.md")
    path.write_text(path.read_text().split("\n", 1)[1])
    before = contents(Path())
    assert main(["export", "run", *words]) == 2
    assert contents(Path()) == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--onnx", "folder"), "cannot write folder: it is a folder"),
        (("--onnx", "fly.onnx", "--int8"), "cannot write fly.int8.onnx: it is a folder"),
        (("--onnx", "file/fly.onnx"), "cannot write file/fly.onnx: it lies in no existing folder"),
        (("--c", "folder"), "folder is a folder; expected a name for the files too, such as folder/policy"),
        (("--c", "hover"), "cannot write hover.h: it is a folder"),
        (("--c", "file/hover"), "cannot write file/hover.c: it lies in no existing folder"),
        (("--crazyflie", "file"), "cannot write file: it is a file; expected a folder for the app"),
        (("--crazyflie", "file/app"), "cannot write file/app: it lies in no existing folder"),
        (("--crazyflie", "folder"), "folder contains files that are not of an app"),
    ],
)
def test_folders_and_files_in_each_others_place_are_one_line(
    run: Path, words: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in ("folder", "fly.int8.onnx", "hover.h"):
        Path(folder).mkdir()
    for file in ("folder/notes.txt", "file"):
        Path(file).write_text("mine")
    before = contents(Path())
    assert main(["export", "run", *words]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"hgrpo: {message}")
    assert err.count("\n") == 1
    assert contents(Path()) == before


class PlusOne:
    """Adds 1 to the first four entries."""

    def __init__(self, spec: PolicySpec) -> None:
        self.spec = spec

    def __call__(self, observation: NDArray[np.float32]) -> NDArray[np.float32]:
        assert observation.dtype == np.float32
        assert observation.flags.c_contiguous
        return observation[:, :4] + np.float32(1.0)


def test_what_acts_on_arrays_acts_on_tensors(policy: ActorCritic) -> None:
    log = ObservationLog(ArrayPolicy(PlusOne(policy.spec)))
    observation = torch.arange(32.0, dtype=torch.float64).reshape(16, 2).T
    assert torch.equal(log(observation), observation[:, :4].float() + 1.0)
    assert torch.equal(torch.from_numpy(log.observations[0]), observation.float())
