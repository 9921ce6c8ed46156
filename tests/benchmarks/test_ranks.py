"""What the benchmark of several processes computes from what it measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.ranks.__main__ import link, main, ring_seconds

MEASURED = {"8": 2e-4, "4000000": 2e-4 + 4e-3}


def test_link_gives_back_what_was_measured_between_two() -> None:
    latency, bandwidth = link(MEASURED)
    for size, seconds in MEASURED.items():
        assert ring_seconds(int(size), 2, latency, bandwidth) == pytest.approx(seconds, rel=1e-3)


def test_ring_sends_twice_the_message_whatever_the_number_of_ranks() -> None:
    assert ring_seconds(1e6, 1000, 0.0, 1e6) == pytest.approx(2.0, rel=2e-3)
    assert ring_seconds(0.0, 8, 1e-4, 1e6) == pytest.approx(14e-4)


def test_page_is_written_again_from_the_stored_figures(tmp_path: Path) -> None:
    out = tmp_path / "ranks"
    out.mkdir()
    run = {"steps_per_second": 100.0, "iteration_seconds": 2.0, "exchange_and_wait_seconds": 0.5}
    case = {"exchanges": 60, "gradients": 40, "gradient_bytes": 4000, "exchange_seconds": 0.2}
    exchange = {"seconds": {"8": 2e-4, "400000": 1e-3, "4000000": 5e-3}, "cases": {"hover": case}}
    speed = {"hover": {"1": [run], "2": [run | {"steps_per_second": 150.0}]}}
    (out / "measured.json").write_text(json.dumps({"machine": "this", "speed": speed, "exchange": exchange}))
    (out / "curves.json").write_text(json.dumps({"1": [[[0, 0.0], [1, 1.0]]], "2": [[[0, 0.0], [1, 0.5]]]}))
    page = tmp_path / "ranks.md"
    page.write_text("# Mine\n\nText.\n")
    for _ in range(2):
        main(["--redraw", "--out", str(out)])
        text = page.read_text()
        assert text.startswith("# Mine\n\nText.\n")
        assert text.count("| hover | 100") == 1
        assert "| 1.50  |" in text
        assert "10.0 %" in text
    assert (out / "curves.png").stat().st_size > 1000
