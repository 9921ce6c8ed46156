"""What users are told in one line, and that nothing else is: an error of ours keeps its traceback."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from hgrpo_control.api.run import train
from hgrpo_control.cli import main
from hgrpo_control.command_line.parsing import UsageError
from hgrpo_control.config.algorithms import PPO
from hgrpo_control.config.learning import Learning, Network
from hgrpo_control.config.run import Config
from hgrpo_errors import HgrpoError, install, nearest, printable, unknown
from hgrpo_files import FileError, read_bytes, reading

NO_METRICS = "run/metrics.csv does not hold the metrics of a run: "
ALLOWED = ("balance", "valance", "hover")


def test_the_closest_word_or_all_of_them() -> None:
    assert nearest("balanse", ALLOWED) == "did you mean 'balance'?"
    assert nearest("q", ALLOWED) == "allowed: balance, valance, hover"


def test_a_whole_message_names_both() -> None:
    assert unknown("task", "hovre", ALLOWED) == (
        "unknown task 'hovre'; did you mean 'hover'? allowed: balance, valance, hover"
    )
    assert unknown("task", 3, ALLOWED, "anything of ours") == "unknown task 3; allowed: anything of ours"


def test_extras_are_installed_from_a_clone_with_the_versions_that_were_tested() -> None:
    assert install("train") == "pip install -c constraints.txt '.[train]' in a clone of hgrpo-control"
    assert install("drones") == "pip install '.[drones]' in a clone of hgrpo-control"
    assert install("crazyflie") == "pip install '.[crazyflie]' in a clone of hgrpo-control"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("as it is, μ = 3 m/s²", "as it is, μ = 3 m/s²"),
        ("\x1b[31mred\x1b]0;title\x07", r"\x1b[31mred\x1b]0;title\x07"),
        ("one\r\ntwo\tthree\u2028four", "one  two three four"),
        ("\x9b2J\x7f\x00", r"\x9b2J\x7f\x00"),
        ("turned \u202e round", r"turned \u202e round"),
        (b"\xff".decode(errors="surrogateescape"), r"\udcff"),
    ],
)
def test_what_is_printed_does_nothing_to_the_terminal(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert printable(shown) == shown
    assert str(HgrpoError(text)) == shown


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[[Exception], int]:
    """Runs a command of the command line that ends in an error."""

    def run(error: Exception) -> int:
        def command(words: list[str]) -> int:
            raise error

        monkeypatch.setattr("hgrpo_control.commands.tasks.run", command)
        return main(["tasks"])

    return run


def test_every_error_for_users_is_one_line(
    failing: Callable[[Exception], int], capsys: pytest.CaptureFixture[str]
) -> None:
    for error in (HgrpoError("a is 1;\nallowed: 2"), FileError("a is 1; allowed: 2"), UsageError("a is 1; allowed: 2")):
        assert failing(error) == 2
        assert capsys.readouterr().err == "hgrpo: a is 1; allowed: 2\n"


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError(2, "No such file or directory", "templates/policy.c.in"),
        OSError(28, "No space left on device"),
        ConnectionResetError(104, "Connection reset by peer"),
        ValueError("shapes do not match"),
        KeyError("reward"),
    ],
    ids=repr,
)
def test_an_error_of_ours_keeps_its_traceback(failing: Callable[[Exception], int], error: Exception) -> None:
    with pytest.raises(type(error)) as caught:
        failing(error)
    assert caught.value is error


def test_what_cannot_be_read_is_told_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=f"^cannot read {tmp_path}: Is a directory$"):
        read_bytes(tmp_path)
    with (
        pytest.raises(FileError, match=r"^cannot read me: Permission denied; give yourself the right to read it$"),
        reading("me"),
    ):
        raise PermissionError(13, "Permission denied")


@pytest.mark.parametrize(
    ("name", "content", "words", "message"),
    [
        ("config.json", None, ("evaluate", "run"), "cannot read run/config.json: Is a directory"),
        ("metrics.csv", None, ("compare", "run"), "cannot read run/metrics.csv: Is a directory"),
        ("metrics.csv", b"\xff", ("compare", "run"), NO_METRICS),
        (
            "metrics.csv",
            b"iteration\nseven\n",
            ("compare", "run"),
            NO_METRICS,
        ),
        ("evaluation.json", None, ("compare", "run"), "cannot read run/evaluation.json: Is a directory"),
        ("evaluation.json", b"{", ("compare", "run"), "run/evaluation.json is damaged (Expecting property name "),
        (
            "evaluation.json",
            b"[]",
            ("compare", "run"),
            "run/evaluation.json holds no figures; hgrpo evaluate run ",
        ),
        ("evaluation.json", None, ("evaluate", "run", "--episodes", "1"), "cannot read run/evaluation.json: Is a dir"),
        ("run.lock", None, ("resume", "run", "--total-steps", "256"), "cannot write run/run.lock: Is a directory; "),
    ],
)
def test_files_of_a_run_that_cannot_be_used_are_named(
    trained: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    content: bytes | None,
    words: tuple[str, ...],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(trained, "run")
    path = Path("run", name)
    path.unlink(missing_ok=True)
    path.mkdir() if content is None else path.write_bytes(content)
    assert main(list(words)) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"hgrpo: {message}")
    assert err.count("\n") == 1


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    learning = Learning(update_epochs=1, num_minibatches=2)
    folder = tmp_path_factory.mktemp("runs") / "run"
    train(Config("quadrotor-hover", PPO(), 0, 128, 16, 8, Network((8,)), learning), folder)
    return folder
