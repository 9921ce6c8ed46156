"""`hgrpo evaluate` in the task that a run was trained on, and in that task with other options."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import policies
from hgrpo_control.cli import main
from hgrpo_control.runs.run_folder import RunFolder
from hgrpo_files import FileError

pytestmark = pytest.mark.slow

TINY = ("--num-envs", "16", "--rollout-steps", "8", "--hidden-sizes", "8", "--update-epochs", "1")
TINY += ("--num-minibatches", "2", "--total-steps", "128")


@pytest.fixture(autouse=True)
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test works in a folder of its own."""
    monkeypatch.chdir(tmp_path)


def train(task: str, *options: str) -> None:
    given = ("--task-options", *options) if options else ()
    assert main(["train", "ppo", task, *TINY, "--out", "run", *given]) == 0


def evaluate(*words: str, file: str = "evaluation.json") -> dict[str, object]:
    assert main(["evaluate", "run", "--episodes", "2", *words]) == 0
    return json.loads(Path("run", file).read_text())


def test_a_policy_flies_in_the_task_with_the_options_it_was_trained_with() -> None:
    train("quadrotor-hover", "quadrotor=cf2x")
    assert policies.load("run").spec.robot == "cf2x"
    assert evaluate()["task_options"] == {"quadrotor": "cf2x"}


def test_single_options_are_replaced_and_the_others_stay(capsys: pytest.CaptureFixture[str]) -> None:
    train("quadrotor-track", "trajectory=circle", "speed=1")
    own = evaluate()
    found = evaluate("--task-options", "speed=2", file="evaluation-speed=2.json")
    assert json.loads(Path("run/evaluation.json").read_text()) == own
    assert own["task_options"] == {"trajectory": "circle", "speed": "1"}
    assert found["task_options"] == {"trajectory": "circle", "speed": "2"}
    metrics = found["metrics"]
    assert isinstance(metrics, dict)
    assert metrics["reference speed [m/s]"] == 2.0
    assert "reference speed [m/s] 2" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("sped=2",), "unknown task option 'sped'; did you mean 'speed'?"),
        (("interface=velocity",), "other observation or action entries"),
    ],
)
def test_what_the_task_or_the_policy_does_not_take_is_one_line(
    words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    train("quadrotor-track")
    capsys.readouterr()
    assert main(["evaluate", "run", "--task-options", *words]) == 2
    assert said in capsys.readouterr().err
    assert not Path("run/evaluation.json").exists()


def test_files_are_named_after_changed_options_whatever_is_in_them() -> None:
    folder = RunFolder("run")
    assert [path.name for path in folder.evaluation_files({})] == ["evaluation.json", "episodes.png", "video.mp4"]
    two = folder.evaluation_files({"wind": "0.3", "course": "a/b:c"})
    assert [path.name for path in two] == [
        "evaluation-course=a_b_c-wind=0.3.json",
        "episodes-course=a_b_c-wind=0.3.png",
        "video-course=a_b_c-wind=0.3.mp4",
    ]
    long = [folder.evaluation_files({"reward": "r" * 300 + end}).figures.name for end in "ab"]
    assert long[0] != long[1]
    assert max(map(len, long)) < 200


def test_figures_over_other_numbers_of_episodes_are_not_replaced_silently(capsys: pytest.CaptureFixture[str]) -> None:
    train("quadrotor-hover")
    evaluate("--episodes", "3")
    assert "in place" not in capsys.readouterr().out
    evaluate("--episodes", "2")
    assert "evaluation: run/evaluation.json (2 episodes in place of the 3 that were there)\n" in capsys.readouterr().out
    evaluate("--episodes", "2", "--seed", "4")
    assert "in place" not in capsys.readouterr().out
    Path("run/evaluation.json").write_text("[]")
    evaluate("--episodes", "2")
    assert "(2 episodes in place of figures that could not be read)\n" in capsys.readouterr().out


def test_a_film_of_other_episodes_is_named_as_such(capsys: pytest.CaptureFixture[str]) -> None:
    train("quadrotor-hover")
    evaluate()
    film, plot = Path("run/video.mp4"), Path("run/episodes.png")
    film.write_text("film of seed 0")
    plot.write_text("plot of seed 0")
    evaluate()
    assert film.exists()  # it shows these very episodes
    capsys.readouterr()
    evaluate("--seed", "1")
    assert "renamed to run/former-video.mp4\n" in capsys.readouterr().out
    assert not film.exists()
    assert not plot.exists()
    assert Path("run/former-video.mp4").read_text() == "film of seed 0"
    assert Path("run/former-episodes.png").read_text() == "plot of seed 0"


def test_a_film_that_fails_leaves_no_former_one_under_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def film(*given: object) -> None:
        raise FileError("cannot write run/video.mp4: No space left on device")

    train("quadrotor-hover")
    Path("run/video.mp4").write_text("an older film")
    monkeypatch.setattr("robots.drawing.offscreen.require_gl", lambda: None)
    monkeypatch.setattr("hgrpo_control.evaluation.video.require_drawable", lambda simulator, film: None)
    monkeypatch.setattr("hgrpo_control.evaluation.video.film", film)
    assert main(["evaluate", "run", "--episodes", "2", "--video"]) == 2
    assert not Path("run/video.mp4").exists()
    assert Path("run/former-video.mp4").read_text() == "an older film"
    monkeypatch.setattr(
        "hgrpo_control.evaluation.video.film", lambda simulator, recording, path, *rest: path.write_text("a film")
    )
    Path("run/former-video.mp4").rename("run/video.mp4")
    assert main(["evaluate", "run", "--episodes", "2", "--video"]) == 0
    assert Path("run/video.mp4").read_text() == "a film"
    assert not Path("run/former-video.mp4").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--size", "640"), "--size is '640'"),
        (("--size", "641x480"), "--size is '641x480'"),
        (("--size", "640x8192"), "from 192 to 4096"),
        (("--fps", "0"), "fps must be from 1 to 240; given 0"),
        (("--fps", "nan"), "fps must be from 1 to 240; given nan"),
    ],
)
@pytest.mark.parametrize("command", [("evaluate", "run"), ("transfer", "run", "--to", "mujoco")])
def test_film_options_out_of_range_are_one_line(
    command: tuple[str, ...], words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, *words, "--video"]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("words", [("--size", "320x240"), ("--fps", "50")])
def test_film_options_without_a_film_are_refused(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    for command in (("evaluate", "run"), ("transfer", "run", "--to", "mujoco"), ("train", "ppo", "quadrotor-hover")):
        assert main([*command, *words]) == 2
        assert f"{' '.join(words)} changes a film; give --video too" in capsys.readouterr().err
    assert list(Path().iterdir()) == []


BLANK = ("train", "ppo", "gymnasium/support.buggy_envs:Blank", *TINY, "--task-options", "max_episode_steps=8")


@pytest.mark.parametrize("words", [("evaluate", "run", "--import", "support.buggy_envs"), BLANK])
def test_what_cannot_be_drawn_is_said_before_anything_is_flown(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*BLANK, "--out", "run"]) == 0
    capsys.readouterr()
    monkeypatch.setattr("robots.drawing.offscreen.require_gl", lambda: None)
    out = ("--out", "other") if words[0] == "train" else ()
    assert main([*words, *out, "--video"]) == 2
    err = capsys.readouterr().err
    assert "cannot be drawn" in err or "draws no picture" in err
    assert err.count("\n") == 1
    assert not Path("run/evaluation.json").exists()
    assert not Path("other").exists()
