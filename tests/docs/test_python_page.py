"""The Python of docs/guides/python.md runs as it stands, from the first block to the last."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.documents import blocks

pytestmark = pytest.mark.slow

PAGE = "docs/guides/python.md"


def test_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    shown = [block for block in blocks(PAGE) if block.language == "python"]
    assert all(block.mark == ("run by", "tests/docs/test_python_page.py") for block in shown)
    for block in shown:
        exec(compile("\n" * (block.line - 1) + block.text, PAGE, "exec"), names)
    assert any((tmp_path / "runs" / "python" / "tensorboard").iterdir())
    config = names["config"]
    assert len(names["history"].rows) == config.num_iterations
    assert names["history"].rows[-1][0] == config.total_steps
    assert names["policy"].spec.task == "quadrotor-hover"
    assert names["actions"].shape == names["batch"].shape == (5, 4)
    np.testing.assert_allclose(names["same"], names["action"], atol=1e-5)
    assert names["finished"]
    assert names["evaluation"].episodes == 20
    printed = capsys.readouterr().out
    said = [line.split("# ", 1)[1] for block in shown for line in block.text.splitlines() if "print(error)" in line]
    assert said[0] in printed
