"""A suite of experiments: variants of algorithms, tasks and seeds."""

from __future__ import annotations

import dataclasses
import importlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.suite.learners.registry import LEARNERS
from hgrpo_control.config.device import device_problem
from hgrpo_errors import HgrpoError, nearest

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,79}")
MEASURES = {"success_rate": "success", "return_mean": "return"}
"""Measures of an evaluation, and their names in tables."""
_TAKEN_OPTIONS = ("--seed", "--out", "--video", "--help", "-h")


class SuiteError(HgrpoError):
    """Raised for a suite that cannot be run, collected or drawn."""


@dataclass(frozen=True)
class Variant:
    """One way to train: `LEARNER train ALGORITHM TASK OPTIONS`."""

    name: str
    algorithm: str
    options: tuple[str, ...] = ()
    """Words of the command line, such as ("--gae-lambda", "0.95"); seed and folder are the suite's."""
    group: str = ""
    """Variants of one group share a panel of the plots."""
    tasks: tuple[str, ...] = ()
    """Tasks this variant is limited to; all of the suite's where empty."""
    seeds: tuple[int, ...] = ()
    """Seeds of this variant; the suite's where empty."""
    learner: str = "hgrpo"
    """The implementation that trains it: a key of LEARNERS."""
    reference: str = ""
    """The variant whose run with the same task and seed is the `--reference`; it is finished first."""

    def __post_init__(self) -> None:
        _require_name("variant", self.name)
        _require_among(f"variant {self.name} names the learner", self.learner, tuple(LEARNERS))
        algorithms = LEARNERS[self.learner].algorithms
        if self.algorithm not in algorithms:
            hint = nearest(self.algorithm, algorithms)
            raise SuiteError(f"variant {self.name}: unknown algorithm {self.algorithm!r}; {hint}")
        if isinstance(self.options, str):
            raise SuiteError(f"variant {self.name}: options must be a tuple of words; given {self.options!r}")
        for word in self.options:
            if word.partition("=")[0] in _TAKEN_OPTIONS:
                raise SuiteError(f"variant {self.name}: {word} is not a variant's to set")
        _require_distinct(f"variant {self.name}: task", self.tasks)
        _require_seeds(f"variant {self.name}", self.seeds)


@dataclass(frozen=True)
class Suite:
    """A set of runs that are reported together."""

    name: str
    """Folder under runs/ and docs/results/; the suite's module has the same name, with _ for -."""
    title: str
    tasks: tuple[str, ...]
    variants: tuple[Variant, ...]
    seeds: tuple[int, ...]
    episodes: int = 200
    """Episodes of each run's evaluation."""
    evaluation_seed: int = 1
    """Seed of those episodes, the same for every run."""
    comparisons: tuple[tuple[str, str], ...] = ()
    """Pairs (X, Y) of variants for which the report gives P(X > Y)."""
    measures: tuple[str, ...] = tuple(MEASURES)
    """Measures of the runs; only the return for tasks without a goal."""
    changed: str = ""
    """Name and options of a changed suite, such as `mujoco --num-seeds 10`."""

    def __post_init__(self) -> None:
        _require_name("suite", self.name)
        for label, given in (("task", self.tasks), ("variant", self.variants), ("seed", self.seeds)):
            if not given:
                raise SuiteError(f"suite {self.name} has no {label}")
        _require_distinct(f"suite {self.name}: task", self.tasks)
        _require_seeds(f"suite {self.name}", self.seeds)
        names = tuple(variant.name for variant in self.variants)
        _require_distinct(f"suite {self.name}: variant", [name.lower() for name in names])
        for variant in self.variants:
            for task in variant.tasks:
                _require_among(f"suite {self.name}: variant {variant.name} names the task", task, self.tasks)
            if variant.reference:
                self._require_reference(variant)
        for pair in self.comparisons:
            for name in pair:
                _require_among(f"suite {self.name}: a comparison names the variant", name, names)
        for measure in self.measures:
            _require_among(f"suite {self.name}: a measure is named", measure, tuple(MEASURES))
        if self.episodes < 1:
            raise SuiteError(f"suite {self.name}: episodes must be at least 1; given {self.episodes}")

    def _require_reference(self, variant: Variant) -> None:
        """Raise SuiteError unless the variant's reference has its tasks and seeds, and no reference itself."""
        label = f"suite {self.name}: variant {variant.name}"
        _require_among(f"{label} names the reference", variant.reference, [v.name for v in self.variants])
        reference = self.variant(variant.reference)
        if reference.reference:
            raise SuiteError(f"{label} names the reference {reference.name!r}, which has a reference of its own")
        for of, needed in ((self.tasks_of, "task"), (self.seeds_of, "seed")):
            lacking = [one for one in of(variant) if one not in of(reference)]
            if lacking:
                raise SuiteError(
                    f"{label} needs {needed} {lacking[0]!r} of its reference, which {reference.name} lacks"
                )

    def variant(self, name: str) -> Variant:
        """The variant of a name; raises StopIteration if there is none."""
        return next(variant for variant in self.variants if variant.name == name)

    @property
    def words(self) -> str:
        """Arguments of benchmarks.suite for this suite."""
        return self.changed or self.name

    def tasks_of(self, variant: Variant) -> tuple[str, ...]:
        """Tasks a variant is run on, in the suite's order."""
        return tuple(task for task in self.tasks if not variant.tasks or task in variant.tasks)

    def seeds_of(self, variant: Variant) -> tuple[int, ...]:
        """Seeds a variant is run with."""
        return variant.seeds or self.seeds

    def with_seeds(self, number: int) -> Suite:
        """The suite with seeds 0 to number - 1; variants with seeds of their own keep them."""
        return dataclasses.replace(self, seeds=tuple(range(number)), changed=f"{self.words} --num-seeds {number}")

    def with_total_steps(self, steps: int) -> Suite:
        """The suite with runs of another length.

        It has another name, unless that is the length already.
        """
        variants = tuple(
            dataclasses.replace(v, options=_with_option(v.options, "--total-steps", str(steps))) for v in self.variants
        )
        if variants == self.variants:
            return self
        words = f"{self.words} --total-steps {steps}"
        return dataclasses.replace(self, name=f"{self.name}-{steps}", variants=variants, changed=words)

    def with_device(self, device: str) -> Suite:
        """The suite with runs on another device; for cpu the suite itself.

        It has another name, because its figures differ.

        Raises SuiteError for a word that names no device.
        """
        problem = device_problem(device)
        if problem is not None:
            raise SuiteError(problem)
        if device == "cpu":
            return self
        variants = tuple(
            dataclasses.replace(v, options=_with_option(v.options, "--device", device)) for v in self.variants
        )
        name, words = f"{self.name}-{device.replace(':', '-')}", f"{self.words} --device {device}"
        return dataclasses.replace(self, name=name, variants=variants, changed=words)

    @property
    def all_seeds(self) -> tuple[int, ...]:
        """Every seed of any variant, the suite's own first."""
        every = [*self.seeds, *(seed for variant in self.variants for seed in variant.seeds)]
        return tuple(dict.fromkeys(every))


def load_suite(name: str) -> Suite:
    """The SUITE of the module benchmarks/experiments/NAME.py; raises SuiteError if there is none."""
    module = name.replace("-", "_")
    if module not in suite_names():
        raise SuiteError(f"no suite {name!r}; {nearest(module, suite_names())}")
    suite = importlib.import_module(f"benchmarks.experiments.{module}").SUITE
    if not isinstance(suite, Suite):
        raise SuiteError(f"experiments/{module}.py: SUITE must be a Suite; it is a {type(suite).__name__}")
    if suite.name.replace("-", "_") != module:
        raise SuiteError(f"experiments/{module}.py: its suite must have the module's name; it is named {suite.name!r}")
    return suite


def suite_names() -> tuple[str, ...]:
    """Modules of benchmarks/experiments that define SUITE at their top level."""
    files = sorted(Path(__file__).parents[1].joinpath("experiments").glob("*.py"))
    return tuple(f.stem for f in files if re.search(r"^SUITE\b", f.read_text(encoding="utf-8"), re.MULTILINE))


def _with_option(options: tuple[str, ...], word: str, value: str) -> tuple[str, ...]:
    """Words of a command line with the value of an option replaced, or the option added."""
    if word not in options:
        return (*options, word, value)
    place = options.index(word)
    return (*options[: place + 1], value, *options[place + 2 :])


def _require_name(label: str, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise SuiteError(
            f"{label} {name!r} is no safe folder name; allowed: up to 80 letters, digits and . _ + -, "
            "the first a letter or digit"
        )


def _require_distinct(label: str, names: Sequence[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise SuiteError(f"{label} {name!r} is there {names.count(name)} times")


def _require_among(label: str, name: str, allowed: Sequence[str]) -> None:
    if name not in allowed:
        raise SuiteError(f"{label} {name!r}; {nearest(name, allowed)}")


def _require_seeds(label: str, seeds: tuple[int, ...]) -> None:
    for seed in seeds:
        if seed < 0 or seeds.count(seed) > 1:
            raise SuiteError(f"{label}: seeds must be distinct and not negative; given {seeds}")
