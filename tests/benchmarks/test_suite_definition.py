"""Suites and variants: what they refuse, and in which order their runs come."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import benchmarks.suite.__main__ as command_line
from benchmarks.suite.definition import Suite, SuiteError, Variant, load_suite, suite_names
from benchmarks.suite.plan import planned_runs

HOVER = "quadrotor-hover"


def a_suite(**changes: Any) -> Suite:
    fields: dict[str, Any] = {
        "name": "trial",
        "title": "Trial",
        "tasks": (HOVER,),
        "variants": (Variant("a", "ppo"), Variant("b", "grpo")),
        "seeds": (0, 1),
    }
    return Suite(**(fields | changes))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "../a"}, "no safe folder name"),
        ({"name": ""}, "no safe folder name"),
        ({"name": "a/b"}, "no safe folder name"),
        ({"name": "a" * 81}, "no safe folder name"),
        ({"algorithm": "pqo"}, "did you mean 'ppo'"),
        ({"options": "--gamma 0.9"}, "must be a tuple of words"),
        ({"options": ("--seed", "3")}, "--seed is not a variant's to set"),
        ({"options": ("--out=x",)}, "--out=x is not a variant's to set"),
        ({"seeds": (1, 1)}, "seeds must be distinct"),
        ({"seeds": (-1,)}, "seeds must be distinct and not negative"),
        ({"tasks": (HOVER, HOVER)}, "is there 2 times"),
    ],
)
def test_a_variant_refuses(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(SuiteError, match=message) as error:
        Variant(**({"name": "a", "algorithm": "ppo"} | fields))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "tri al"}, "suite 'tri al' is no safe folder name"),
        ({"tasks": ()}, "suite trial has no task"),
        ({"variants": ()}, "suite trial has no variant"),
        ({"seeds": ()}, "suite trial has no seed"),
        ({"seeds": (0, 0)}, "seeds must be distinct"),
        ({"tasks": (HOVER, HOVER)}, "task 'quadrotor-hover' is there 2 times"),
        ({"variants": (Variant("A", "ppo"), Variant("a", "grpo"))}, "variant 'a' is there 2 times"),
        ({"variants": (Variant("a", "ppo", tasks=("quadrotor-hovr",)),)}, "did you mean 'quadrotor-hover'"),
        ({"comparisons": (("a", "c"),)}, "comparison names the variant 'c'"),
        ({"episodes": 0}, "episodes must be at least 1; given 0"),
        (
            {"variants": (Variant("a", "ppo"), Variant("b", "ppo", reference="c"))},
            "variant b names the reference 'c'; allowed: a, b",
        ),
        (
            {"variants": (Variant("a", "ppo"), Variant("b", "ppo", reference="b"))},
            "names the reference 'b', which has a reference of its own",
        ),
        (
            {"variants": (Variant("a", "ppo", seeds=(0,)), Variant("b", "ppo", reference="a"))},
            "variant b needs seed 1 of its reference, which a lacks",
        ),
    ],
)
def test_a_suite_refuses(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(SuiteError, match=message):
        a_suite(**fields)


def test_an_unknown_suite_is_told_with_the_nearest_name() -> None:
    with pytest.raises(SuiteError, match="no suite 'hover_smok'; did you mean 'hover_smoke'"):
        load_suite("hover_smok")


def test_the_machinery_is_no_suite() -> None:
    with pytest.raises(SuiteError, match="no suite 'plan'"):
        load_suite("plan")


@pytest.mark.parametrize("name", suite_names())
def test_the_options_of_every_suite_parse(name: str, tmp_path: Path) -> None:
    suite = load_suite(name)
    runs = planned_runs(suite, tmp_path)
    assert len(runs) == sum(len(suite.tasks_of(v)) * len(suite.seeds_of(v)) for v in suite.variants)
    assert len({run.path for run in runs}) == len(runs)


def test_runs_come_with_the_first_seed_of_every_variant_first(tmp_path: Path) -> None:
    suite = a_suite(variants=(Variant("a", "ppo", seeds=(1, 0, 7)), Variant("b", "grpo")))
    labels = [(run.variant.name, run.seed) for run in planned_runs(suite, tmp_path)]
    assert labels == [("a", 0), ("b", 0), ("a", 1), ("b", 1), ("a", 7)]


def test_a_run_asks_for_the_options_of_its_variant_and_its_own_seed(tmp_path: Path) -> None:
    suite = a_suite(variants=(Variant("a", "ppo", ("--gae-lambda", "0.5")),))
    run = planned_runs(suite, tmp_path)[1]
    folder = tmp_path / "trial" / HOVER / "a" / "seed1"
    assert (run.config.seed, run.config.algorithm.gae_lambda, run.path) == (1, 0.5, folder)  # type: ignore[union-attr]
    assert run.words("train") == ["train", "ppo", HOVER, "--gae-lambda", "0.5", "--seed", "1", "--out", str(folder)]
    assert run.words("evaluate") == ["evaluate", str(folder), "--episodes", "200", "--seed", "1"]


def test_a_reference_is_the_run_of_this_very_suite(tmp_path: Path) -> None:
    held = Variant("b", "ppo", ("--kl-coef", "0.1"), reference="a")
    suite = a_suite(variants=(Variant("a", "ppo"), held)).with_total_steps(1_000_000).with_device("cpu")
    runs = {run.label: run for run in planned_runs(suite, tmp_path)}
    for seed in (0, 1):
        run, folder = runs[f"{HOVER}/b/seed{seed}"], tmp_path / "trial-1000000" / HOVER / "a" / f"seed{seed}"
        assert run.reference == runs[f"{HOVER}/a/seed{seed}"]
        assert run.config.learning.reference == str(folder)  # type: ignore[attr-defined]
        words = run.words("train")
        assert words[words.index("--reference") + 1] == str(folder)
        assert "--reference" not in runs[f"{HOVER}/a/seed{seed}"].words("train")


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("*/a*", ["a1", "a2"]),
        ("a1", ["a1"]),
        (HOVER, ["a1", "a2", "b"]),
        ("*hover/b", ["b"]),
        ("[ab]*", ["a1", "a2", "b"]),
    ],
)
def test_only_selects_by_task_and_variant(pattern: str, names: list[str], tmp_path: Path) -> None:
    suite = a_suite(variants=tuple(Variant(name, "ppo") for name in ("a1", "a2", "b")))
    assert [run.variant.name for run in planned_runs(suite, tmp_path, [pattern], [1])] == names


def test_a_pattern_or_seed_that_fits_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match="--only c fits no TASK/VARIANT; variants: a, b"):
        planned_runs(a_suite(), tmp_path, only=["a", "c"])
    with pytest.raises(SuiteError, match="seed 2 is not in suite trial"):
        planned_runs(a_suite(), tmp_path, seeds=[2])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--gae-lamda", "0.5"), "variant x on quadrotor-hover: .*--gae-lambda"),
        (("--gamma", "2"), "gamma must be from"),
    ],
)
def test_options_that_do_not_parse_name_the_variant(options: tuple[str, ...], message: str, tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match=message):
        planned_runs(a_suite(variants=(Variant("x", "ppo", options),)), tmp_path)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "hover_smokes"], "no suite 'hover_smokes'; did you mean 'hover_smoke'?"),
        (["run", "hover_smoke", "--jobs", "0"], "--jobs must be at least 1; given 0"),
        (["collect", "hover_smoke"], "no run of suite hover_smoke is finished"),
        (["report", "hover_smoke"], "no results at"),
    ],
)
def test_mistakes_on_the_command_line_are_one_line(
    words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert command_line.main(words) == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.startswith("suite: ")
    assert told.count("\n") == 1
