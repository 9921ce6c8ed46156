"""benchmarks/speed/learner.py times the learner and bare matrix products on as many rows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from benchmarks.speed import learner
from benchmarks.speed.learner import Rates, describe


def test_share_is_the_median_of_the_rounds_shares() -> None:
    figures = describe(256, Rates([10.0, 40.0, 30.0], [100.0, 100.0, 60.0]))
    assert figures["learner_rows_per_second"] == 30.0
    assert figures["products_rows_per_second"] == 100.0
    assert figures["share"] == pytest.approx(0.4)


def test_command_prints_and_writes_every_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(learner, "LEAST_ROWS", 96)
    threads, file = str(torch.get_num_threads()), tmp_path / "figures.json"
    words = ["--minibatches", "32", "64", "--rounds", "1", "--threads", threads, "--json", str(file)]
    assert learner.main(words) == 0
    lines = json.loads(file.read_text())["lines"]
    assert [line["minibatch"] for line in lines] == [32, 64]
    assert all(line["learner_rows_per_second"] > 0.0 for line in lines)
    assert len(capsys.readouterr().out.splitlines()) == 4


@pytest.mark.parametrize("words", [["--minibatches", "0"], ["--threads", "0"], ["--rounds", "-1"]])
def test_numbers_that_are_not_positive_are_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        learner.main(words)
    assert words[0] in capsys.readouterr().err
