"""The notebook runs from top to bottom, as plain Python, and is stored without outputs."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest

TOUR = Path(__file__).parents[2] / "examples" / "tour.ipynb"
NOTEBOOK: dict[str, Any] = json.loads(TOUR.read_text())
CODE = ["".join(cell["source"]) for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]


def test_the_file_is_a_notebook_without_outputs() -> None:
    assert (NOTEBOOK["nbformat"], NOTEBOOK["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in NOTEBOOK["cells"]}) == len(NOTEBOOK["cells"])
    for cell in NOTEBOOK["cells"]:
        assert cell["cell_type"] == "markdown" or (cell["outputs"] == [] and cell["execution_count"] is None)


@pytest.mark.slow
def test_the_notebook_runs_from_top_to_bottom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tempfile.mkdtemp", lambda: str(tmp_path))
    drawn: list[int] = []
    monkeypatch.setattr(plt, "show", lambda: drawn.append(len(plt.gca().lines)))
    names: dict[str, Any] = {"__name__": "__main__"}
    shown = []
    for source in CODE:
        tree = ast.parse(source)
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, str(TOUR), "exec"), names)
        if last is not None:
            shown.append(eval(compile(ast.Expression(last.value), str(TOUR), "eval"), names))
    shown = [value for value in shown if value is not None]
    plt.close("all")
    assert drawn == [1, 8, 1]
    assert shown[0].startswith("100 episodes: return ")
    slope, action = shown[-2], shown[-1]
    assert slope.shape == (4,)
    assert slope.abs().min() > 0.0
    assert np.ptp(names["path"], axis=0)[:2].max() > 5.0  # it flew the course
    assert action.shape == (4,)
    assert "float32 policy.onnx" in capsys.readouterr().out
