"""benchmarks/speed/memory.py measures the peak of one iteration in a process of its own."""

from __future__ import annotations

import pytest

from benchmarks.speed import memory


def test_memory_is_the_rise_over_a_small_iteration() -> None:
    text = memory.describe({"rows": 64, "steps": 8, "small": 3e8, "large": 8e8, "rollout": 2e8})
    assert "500 MB = 2.50 times" in text
    assert "tensors of the rollout 200 MB" in text


@pytest.mark.slow
def test_rollout_of_a_thousand_rows_has_the_size_of_its_tensors() -> None:
    figures = memory.measure("ppo", "quadrotor-hover", 1024, 1)
    assert (figures["rows"], figures["steps"]) == (1024, 64)
    # per row: 16 observed entries, 4 actions, log density, reward and two values in float32; two flags in bytes
    assert figures["rollout"] == pytest.approx(1024 * 64 * (24 * 4 + 2), rel=0.05)
    assert 5e7 < figures["small"] <= figures["large"]


@pytest.mark.parametrize("words", [["--envs", "3"], ["--threads", "0"], ["--algorithm", "ppo2"]])
def test_mistakes_are_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        memory.main(words)
    assert words[1] in capsys.readouterr().err
