"""The race of the policy server with a plain loop: ratios are those of a round, and a tiny run writes its page."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

for needed in ("aiohttp", "msgpack", "prometheus_client", "websockets"):
    pytest.importorskip(needed, reason="the extra 'serve' is not installed")

from benchmarks.serving import __main__ as serving  # noqa: E402

pytestmark = pytest.mark.slow


def rows(run: int, ours: list[float], plain: list[float]) -> list[serving.Row]:
    return [
        serving.Row(run, i, 1, "HTTP", server, p50, 2.0 * p50, 1e6 / p50)
        for server, seen in ((serving.OURS, ours), (serving.PLAIN, plain))
        for i, p50 in enumerate(seen)
    ]


def test_a_ratio_is_taken_within_a_round_and_every_run_counts() -> None:
    # Rounds 1.2, 1.2, 3 have the median 1.2, whatever the machine did between them; the ratio of medians would be 1.8.
    slow = rows(0, [120.0, 240.0, 300.0], [100.0, 200.0, 100.0])
    assert serving.ratio(slow, 0, 1, "HTTP") == pytest.approx(1.2)
    assert serving.line(slow, "HTTP", 1) == ["HTTP", "1", "100", "200", "240", "480", "1.20", "yes"]
    both = slow + rows(1, [140.0], [100.0])
    assert serving.line(both, "HTTP", 1)[-2:] == ["1.20 / 1.40", "no"]


def test_a_tiny_race_compares_every_action_and_writes_page_and_rounds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--clients", "2", "--runs", "1", "--seconds", "0.02", "--out", str(tmp_path)]
    assert serving.main(words) == 0
    page, rounds = tmp_path / "serving.md", tmp_path / "serving" / "rounds.csv"
    assert capsys.readouterr().out.split() == [str(page), str(rounds)]
    with rounds.open(newline="") as file:
        seen = list(csv.DictReader(file))
    assert {(row["protocol"], row["server"]) for row in seen} == {
        (protocol, server) for protocol in ("WebSocket", "HTTP") for server in (serving.PLAIN, serving.OURS)
    }
    assert all(0.0 < float(row["p50_us"]) <= float(row["p99_us"]) for row in seen)
    assert page.read_text().count("| 2 ") == 2


def test_memory_races_two_servers(capsys: pytest.CaptureFixture[str]) -> None:
    assert serving.main(["--memory", "--clients", "1", "--seconds", "0.02"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["WebSocket", "HTTP"]
    assert all(0.1 < float(line.split()[-1]) < 100.0 for line in lines)
