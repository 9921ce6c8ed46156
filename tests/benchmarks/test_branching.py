"""The race of ways to branch: all do the same steps, ratios are those of a round, and the page holds together."""

from __future__ import annotations

import csv
from pathlib import Path

import mujoco
import numpy as np
import pytest
import torch

from benchmarks.speed import branching
from benchmarks.speed.contestants import ROLLOUT_STEPS, CopiedData, RawBatch, RepeatAndStep, begin_branching

pytestmark = pytest.mark.slow

LOOP = branching.Entry("Hopper-v5", branching.LOOP)
RAW = branching.Entry("Hopper-v5", branching.RAW, 16, 4)
SAMPLER = branching.Entry("Hopper-v5", branching.SAMPLER, 16, 4)


def test_ratios_are_taken_within_a_round() -> None:
    # Rounds (10, 40) over (5, 10): 2 and 4. The medians' ratio would be 25 / 7.5 = 3.33.
    assert branching.ratios({RAW: [10.0, 40.0], LOOP: [5.0, 10.0]}, RAW, LOOP) == [2.0, 4.0]
    assert branching.ratios({RAW: [10.0]}, RAW, LOOP) == []


def test_overhead_is_extra_time_as_a_share_of_the_raw_call() -> None:
    # 1000 steps/s raw and 800 steps/s sampled: 1 ms and 1.25 ms per step, a quarter more.
    assert branching.overheads({RAW: [1000.0], SAMPLER: [800.0]}, "Hopper-v5", 16, 4) == pytest.approx([0.25])


def test_all_who_branch_do_the_same_steps() -> None:
    race = begin_branching("Hopper-v5", num_envs=2, num_samples=3)
    recorded = race.recorded
    actions = torch.stack(recorded.actions).reshape(ROLLOUT_STEPS, 2, 3, 3)
    raw = RawBatch(race.simulator, recorded)
    ours = RepeatAndStep(race.simulator, race.roots, recorded, 3)
    copied = CopiedData("Hopper-v5", race.roots.physics.numpy(), actions.numpy())
    assert [contestant.work()[0] for contestant in (raw, ours, copied)] == [ROLLOUT_STEPS * 6] * 3
    # No root fell, so the last executed rows follow from the recorded ones: rows 0 and 3 of the last step.
    last = race.simulator.step(recorded.states[-1], recorded.actions[-1])
    assert not last.terminated[::3].any()
    expected = last.state.physics.numpy()
    np.testing.assert_array_equal(raw.batch.state, expected)
    for row, root in enumerate(copied.roots):
        physics = np.empty(expected.shape[1])
        mujoco.mj_getState(copied.inner.model, root, physics, mujoco.mjtState.mjSTATE_INTEGRATION)
        np.testing.assert_array_equal(physics, expected[3 * row])


def test_a_tiny_run_writes_page_picture_and_rounds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"ROOTS": 2, "SAMPLES": (1, 2), "SWEPT_ROOTS": (1,), "SWEPT_SAMPLES": 2}.items():
        monkeypatch.setattr(branching, name, value)
    monkeypatch.setattr(branching, "VECTOR_ENVS", 2)
    words = ["--tasks", "Hopper-v5", "quadrotor-hover", "--rounds", "2", "--seconds", "0.001", "--out", str(tmp_path)]
    assert branching.main(words) == 0
    written = [Path(line) for line in capsys.readouterr().out.split()]
    assert [path.name for path in written] == ["branching.md", "branching.png", "rounds.csv"]
    page = written[0].read_text(encoding="utf-8")
    assert "--tasks Hopper-v5 quadrotor-hover --rounds 2 --seconds 0.001" in page
    with written[2].open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    # In each of 2 rounds, Hopper: 3 that do not branch, 4 ways x 2 N, 2 ways in the sweep; quadrotor: 2 ways x 2 N.
    assert len(rows) == 2 * (3 + 8 + 2 + 4)
    assert all(float(row["steps_per_second"]) > 0.0 for row in rows)


@pytest.mark.parametrize("words", [["--tasks", "Hoper-v5"], ["--rounds", "0"], ["--seconds", "0"]])
def test_refuses_what_cannot_be_measured(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as error:
        branching.main(words)
    assert error.value.code == 2
    assert words[0] in capsys.readouterr().err
