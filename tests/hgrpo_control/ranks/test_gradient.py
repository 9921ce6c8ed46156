"""Two processes with half of the roots each learn what one process learns with all."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from support.rank_updates import CASES, prepare
from support.ranked import on_two_ranks

pytestmark = pytest.mark.slow

Results = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> tuple[Results, Results, Results]:
    """By case: those of one process with all roots, and of the two processes with half of them each."""
    folder = tmp_path_factory.mktemp("ranks")
    alone = prepare(folder)
    first, second = on_two_ranks("support.rank_updates:update_half", folder)
    return alone, first, second


@pytest.mark.parametrize("case", CASES)
def test_gradient_of_two_processes_is_that_of_one(case: str, results: tuple[Results, Results, Results]) -> None:
    alone, first, second = (result[case] for result in results)
    assert alone["gradient"].abs().max() > 1e-3
    for name in ("gradient", *(["guidance"] if "guidance" in alone else [])):
        torch.testing.assert_close(first[name], alone[name], atol=1e-6, rtol=0.0)
        assert torch.equal(first[name], second[name])


@pytest.mark.parametrize("case", CASES)
def test_both_processes_have_the_same_policy_and_statistics(
    case: str, results: tuple[Results, Results, Results]
) -> None:
    alone, first, second = (result[case] for result in results)
    for part in ("policy", "transform"):
        for name, value in alone[part].items():
            assert torch.equal(first[part][name], second[part][name]), name
            if "normalizer" in name or part == "transform":
                torch.testing.assert_close(first[part][name], value, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("case", CASES)
def test_figures_of_two_processes_are_those_of_one(case: str, results: tuple[Results, Results, Results]) -> None:
    alone, first, second = (result[case]["figures"] for result in results)
    assert first == pytest.approx(alone, rel=1e-3, abs=1e-5, nan_ok=True)
    assert second == pytest.approx(first, nan_ok=True, rel=0.0, abs=0.0)
