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
    config, run = names["config"], names["run"]
    assert len(names["history"].rows) == config.num_iterations
    assert names["history"].rows[-1]["branched_steps"] > 0
    assert list(run.metrics["simulator_steps"]) == [8_192 * i for i in (1, 2, 3)]
    assert names["result"].policy.spec.task == "quadrotor-hover"
    assert not names["result"].interrupted
    assert names["action"].shape == (4,)
    assert names["batch"].shape == (5, 4)
    np.testing.assert_allclose(names["batch"][0], names["action"], atol=1e-5)
    assert names["finished"]
    assert names["evaluation"].episodes == names["easier"].episodes == 20
    assert names["easier"].judged_at["difficulty"] == 0.2
    assert names["entry"].kind == "float16"
    assert names["diagnosis"].own is not None
    assert names["table"].exists()
    assert names["exported_figures"].return_mean == pytest.approx(names["figures"].return_mean, abs=0.5)
    printed = capsys.readouterr().out
    said = [line.split("# ", 1)[1] for block in shown for line in block.text.splitlines() if "print(error)" in line]
    assert said[0] in printed
