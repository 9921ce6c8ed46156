"""The worked example of docs/guides/own-environment.md does what the document says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hgrpo_control.cli import main

pytestmark = pytest.mark.slow

DOCUMENT = Path(__file__).parents[3] / "docs" / "guides" / "own-environment.md"


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (code,) = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    forgetful = code.replace("return self.x, self.v, self.np", "return self.x, self.np").replace(
        "self.x, self.v, self.np_random.bit_generator.state = snapshot",
        "self.x, self.np_random.bit_generator.state = snapshot",
    )
    assert forgetful.count("self.v,") == code.count("self.v,") - 2
    (tmp_path / "documented_cart.py").write_text(code, encoding="utf-8")
    (tmp_path / "forgetful_cart.py").write_text(forgetful, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return "documented_cart:Cart"


def test_the_example_is_exact_and_trains(module: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", module]) == 0
    assert "is exact" in capsys.readouterr().out
    words = ["--num-envs", "4", "--rollout-steps", "8", "--num-minibatches", "2", "--total-steps", "128"]
    assert main(["train", "hybrid-grpo", f"gymnasium/{module}", *words, "--task-options", "max_episode_steps=200"]) == 0


def test_the_output_of_the_check_is_the_one_shown(
    module: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    assert main(["check", "forgetful_cart:Cart"]) == 1
    assert capsys.readouterr().out.strip() in DOCUMENT.read_text(encoding="utf-8")
