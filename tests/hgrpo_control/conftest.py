"""A finished run, and commands that must fail."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from support.tiny_runs import TINY

from hgrpo_control.cli import main


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two iterations of PPO on quadrotor-hover. Not to be changed: copy it."""
    folder = tmp_path_factory.mktemp("tiny") / "run"
    assert main(["train", "ppo", "quadrotor-hover", *TINY, "--out", str(folder)]) == 0
    return folder


@pytest.fixture
def complaint(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., str]:
    """Run a command that must fail: status 2, one line on stderr, no output, no file changed in the working folder."""
    if Path.cwd() == Path(__file__).parents[2]:  # large, and other tests write there
        monkeypatch.chdir(tmp_path)

    def contents() -> dict[str, bytes | None]:
        return {str(path): path.read_bytes() if path.is_file() else None for path in Path().rglob("*")}

    def fail(*words: str | Path) -> str:
        before = contents()
        capsys.readouterr()
        assert main([str(word) for word in words]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("hgrpo: ")
        assert err.index("\n") == len(err) - 1, err
        assert contents() == before
        return err.removeprefix("hgrpo: ").removesuffix("\n")

    return fail
