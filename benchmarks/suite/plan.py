"""The runs of a suite, and the next step of each."""

from __future__ import annotations

import dataclasses
import functools
import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

from benchmarks.suite.definition import Suite, SuiteError, Variant
from benchmarks.suite.learners.registry import LEARNERS, Learner, Settings
from hgrpo_control.command_line.parsing import UsageError
from hgrpo_control.config.run import ConfigError
from hgrpo_control.runs.run_folder import RunFolder, RunFolderError, flatten
from hgrpo_files import PARTIAL

Step = Literal["train", "resume", "evaluate"]


@dataclass(frozen=True)
class Run:
    """One training run of a suite and its evaluation."""

    suite: Suite
    task: str
    variant: Variant
    seed: int
    config: Settings
    """Settings from the suite."""
    path: Path
    reference: Run | None = None
    """The run whose policy is its reference; it is trained first."""

    @property
    def label(self) -> str:
        """TASK/VARIANT/seedS."""
        return f"{self.task}/{self.variant.name}/seed{self.seed}"

    @property
    def learner(self) -> Learner:
        """The learner that trains it."""
        return LEARNERS[self.variant.learner]

    @property
    def checkpoint(self) -> Path:
        """The file of its policy."""
        return self.path / self.learner.checkpoint

    @property
    def folder(self) -> RunFolder:
        """The run folder."""
        return RunFolder(self.path)

    @property
    def log(self) -> Path:
        """Output of its processes. It lies beside the folder, because training needs an empty one."""
        return self.path.with_name(self.path.name + ".log")

    @property
    def origin(self) -> Path:
        """One line of JSON for each process of the run: time, commit and versions."""
        return self.path.with_name(self.path.name + ".origin.jsonl")

    def words(self, step: Step) -> list[str]:
        """Words of a step's command line after the learner's name."""
        if step == "train":
            options = [*_options(self.variant, self.reference), "--seed", str(self.seed), "--out", str(self.path)]
            return ["train", self.variant.algorithm, self.task, *options]
        if step == "resume":
            return ["resume", str(self.path)]
        flown = ["--episodes", str(self.suite.episodes), "--seed", str(self.suite.evaluation_seed)]
        return ["evaluate", str(self.path), *flown]


def planned_runs(suite: Suite, root: Path, only: Sequence[str] = (), seeds: Sequence[int] = ()) -> list[Run]:
    """Runs of a suite under root/SUITE, all variants with the first seed first.

    `only` holds patterns (* ? [...]) for TASK/VARIANT, or for one of the two alone. Raises SuiteError if a variant's
    options do not parse, or if a pattern or seed fits nothing.
    """
    pairs = [(task, v) for task in suite.tasks for v in suite.variants if task in suite.tasks_of(v)]
    for pattern in only:
        if not any(_fits(*pair, pattern) for pair in pairs):
            variants = ", ".join(v.name for v in suite.variants)
            raise SuiteError(
                f"--only {pattern} fits no TASK/VARIANT; variants: {variants}; tasks: {', '.join(suite.tasks)}"
            )
    for seed in seeds:
        if seed not in suite.all_seeds:
            raise SuiteError(f"seed {seed} is not in suite {suite.name}; its seeds: {suite.all_seeds}")
    chosen = [pair for pair in pairs if not only or any(_fits(*pair, pattern) for pattern in only)]
    return [
        _plan(suite, root, task, v, seed)
        for seed in suite.all_seeds
        for task, v in chosen
        if seed in suite.seeds_of(v) and (not seeds or seed in seeds)
    ]


def shard(runs: Sequence[Run], word: str) -> list[Run]:
    """Every n-th run, as "i/n" says, where i counts from 0; a run goes with its reference.

    Raises SuiteError for another word.
    """
    found = re.fullmatch(r"(\d+)/(\d+)", word)
    index, count = (int(found[1]), int(found[2])) if found else (0, 0)
    if not index < count:
        raise SuiteError(f"--shard is I/N with I from 0 to N - 1, such as 0/4; given {word}")
    firsts = list(dict.fromkeys((run.reference or run).path for run in runs))
    own = set(firsts[index::count])
    return [run for run in runs if (run.reference or run).path in own]


def _plan(suite: Suite, root: Path, task: str, variant: Variant, seed: int) -> Run:
    """One run, with its reference."""
    reference = _plan(suite, root, task, suite.variant(variant.reference), seed) if variant.reference else None
    config = _config(task, variant, _options(variant, reference))
    path = root / suite.name / task / variant.name / f"seed{seed}"
    return Run(suite, task, variant, seed, _with_seed(config, seed), path, reference)


def _options(variant: Variant, reference: Run | None) -> tuple[str, ...]:
    """Words of a run's command line, without seed and folder."""
    return variant.options if reference is None else (*variant.options, "--reference", str(reference.path))


def next_step(run: Run) -> Step | None:
    """Next step of a run; None if finished and evaluated as the suite requires."""
    if not run.checkpoint.exists():
        return "train"
    if _iterations(run) < run.config.num_iterations:
        return "resume"
    if read_evaluation(run) is not None:
        return None
    # The last row is written before the last checkpoint, so a run killed in between has all rows but an older policy.
    saved = run.learner.saved_iteration(run.checkpoint)
    return "evaluate" if saved is None or saved >= run.config.num_iterations else "resume"


def is_trained(run: Run) -> bool:
    """Whether the training of a run is finished."""
    return next_step(run) in ("evaluate", None)


def share_done(run: Run) -> float:
    """Share of a run's training that is done, in [0, 1]."""
    return min(1.0, _iterations(run) / run.config.num_iterations)


def read_evaluation(run: Run) -> dict[str, Any] | None:
    """The figures of evaluation.json.

    None if the file is missing, damaged, or not the evaluation that the suite requires.
    """
    if not run.folder.evaluation.exists():
        return None
    try:
        figures: dict[str, Any] = json.loads(run.folder.evaluation.read_text(encoding="utf-8"))
        made = (figures["task"], figures["episodes"], figures["seed"])
    except (ValueError, LookupError, TypeError):
        return None
    return figures if made == (run.task, run.suite.episodes, run.suite.evaluation_seed) else None


def clear_unstarted(run: Run) -> None:
    """Remove the files of a run that was killed before its first checkpoint.

    It can then begin again.
    """
    if run.path.exists() and not run.checkpoint.exists():
        _require_unstarted(run)
        shutil.rmtree(run.path)


def require_agreement(runs: Sequence[Run]) -> None:
    """Raise SuiteError if a run or its reference has other settings than the suite's."""
    concerned = {run.path: run for each in runs for run in (each.reference, each) if run is not None}
    complaints = [complaint for run in concerned.values() if (complaint := _disagreement(run))]
    if complaints:
        others = f" (and {len(complaints) - 1} more runs differ)" if len(complaints) > 1 else ""
        raise SuiteError(f"{complaints[0]}; move it away or give the variant another name{others}")


@functools.cache
def _config(task: str, variant: Variant, options: tuple[str, ...]) -> Settings:
    """Settings of a variant's run; the same for every seed, and not parsed again for each."""
    try:
        return LEARNERS[variant.learner].parse(variant.algorithm, task, options)
    except (UsageError, ConfigError) as error:
        raise SuiteError(f"variant {variant.name} on {task}: {error}") from error


def _with_seed(config: Settings, seed: int) -> Settings:
    return dataclasses.replace(config, seed=seed)  # type: ignore[type-var]


def _fits(task: str, variant: Variant, pattern: str) -> bool:
    names = (f"{task}/{variant.name}", task, variant.name)
    return any(fnmatchcase(name, pattern) for name in names)


def _iterations(run: Run) -> int:
    rows = run.folder.read_metrics()
    return int(rows[-1]["iteration"]) if rows else 0


def _require_unstarted(run: Run) -> None:
    """Raise SuiteError if a folder without a checkpoint has files that no starting run makes."""
    names = {file.name for file in run.path.iterdir() if file.suffix != PARTIAL}
    foreign = sorted(names - run.learner.before_checkpoint)
    if foreign:
        raise SuiteError(f"{run.path} holds {foreign[0]} but no {run.learner.checkpoint}; move it away")


def _disagreement(run: Run) -> str | None:
    """How the settings of a run folder differ from the suite's.

    None if they are equal or the run never began.
    """
    if not run.path.exists():
        return None
    if not run.checkpoint.exists():
        _require_unstarted(run)
        return None
    try:
        found = run.learner.read(run.folder)
    except (RunFolderError, OSError) as error:
        return f"{run.path} cannot be used: {error}"
    asked, made = flatten(json.loads(run.config.to_json())), flatten(json.loads(found.to_json()))
    differing = [key for key in dict.fromkeys([*asked, *made]) if asked.get(key) != made.get(key)]
    if not differing:
        return None
    key = differing[0]
    return f"{run.path} was made with {key} = {made.get(key)}, suite {run.suite.name} asks for {asked.get(key)}"
