"""`hgrpo watch`: watch policies fly on a page in the browser, or film them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from hgrpo_control.command_line.parsing import UsageError, parse
from hgrpo_control.config.argument import IMPORTS, Argument
from hgrpo_control.config.named_values import TASK_OPTIONS
from hgrpo_fields import Range
from policies.zoo import PREFIX, resolved

if TYPE_CHECKING:
    from hgrpo_control.watch.session import Entry, Session

FILM_SECONDS = 10.0


@dataclass(frozen=True)
class WatchOptions:
    """Watch policies fly in real time on a page with a 3D scene, and push them about.

    Several policies of one task fly from the same start. A task without a policy is flown with its neutral action, such
    as hover thrust. Ctrl-C ends the page.
    """

    policies: Annotated[tuple[str, ...], Argument("RUN|POLICY.onnx|TASK", positional=True)]
    """Run folders, ONNX files of `hgrpo export`, zoo:NAME of `hgrpo zoo`, or the name of a task."""
    training: bool = False
    """Follow one run that is being trained: its newest checkpoint is loaded before every episode."""
    task_options: Annotated[dict[str, str], TASK_OPTIONS] = field(default_factory=dict)
    """Task options that differ from those of the training."""
    seed: int = 0
    """Seed of the first start; every next start has the next seed."""
    host: str = "127.0.0.1"
    """Address of the page; 0.0.0.0 lets other machines see and control it."""
    port: Annotated[int, Range(least=0, most=65535)] = 8080
    """Port of the page; 0 takes a free one."""
    record: Path | None = None
    """Write an .mp4 film in place of the page; it is drawn as by `hgrpo evaluate --video`, without a browser."""
    seconds: Annotated[float | None, Range(above=0)] = None
    """Length of the film (10 without it), or time after which the page ends [s]."""
    imports: IMPORTS = ()
    """Module of yours to import first, such as the one that registers the task."""


def run(args: list[str]) -> None:
    """`hgrpo watch RUN|POLICY.onnx|TASK ... [options]`."""
    options = parse(WatchOptions, args, "hgrpo watch")
    if options.training and len(options.policies) != 1:
        raise UsageError(f"--training follows one run; given {' '.join(options.policies)}")
    if options.record is not None:
        from robots.drawing.offscreen import require_gl

        require_gl()
    else:
        import viser  # noqa: F401  (a missing extra is reported before anything is loaded)
    from hgrpo_imports import load_all

    load_all(options.imports)
    session = _open(options)
    if options.record is not None:
        from hgrpo_control.watch.film import film

        film(session, options.record, options.seconds or FILM_SECONDS)
        session.close()
        print(f"video: {options.record}")
        return
    _serve(session, options)


def _serve(session: Session, options: WatchOptions) -> None:
    from hgrpo_control.watch.page import Page

    page = Page(session, options.host, options.port)
    session.step()  # may compile kernels, which takes some seconds
    session.restart(session.seed)
    print(f"watch {session.task} at {page.url} (Ctrl-C ends it)", flush=True)
    try:
        page.run(math.inf if options.seconds is None else options.seconds)
    except KeyboardInterrupt:
        pass  # the usual end
    finally:
        page.close()


def _open(options: WatchOptions) -> Session:
    """The session of the policies; raises HgrpoError for policies of different tasks."""
    from hgrpo_control.watch.session import Session

    opened = [_entry(word, options) for word in options.policies]
    tasks = {task: word for word, (task, _) in zip(options.policies[::-1], opened[::-1], strict=True)}
    if len(tasks) > 1:
        listed = ", ".join(f"{word} of {task}" for task, word in tasks.items())
        raise UsageError(f"policies that fly side by side have the same task; given {listed}")
    return Session(opened[0][0], [entry for _, entry in opened], options.task_options, options.seed)


def _entry(word: str, options: WatchOptions) -> tuple[str, Entry]:
    """Task and entry of a word of the command line."""
    from hgrpo_control.watch.pilots import Pilot, TrainingPilot
    from hgrpo_control.watch.session import Entry

    path = Path(resolved(word))
    if path.suffix == ".onnx" and not options.training:
        from hgrpo_control.evaluation.array_policy import ArrayPolicy
        from robots.registry import module_of
        from sim2real.policy.onnx_policy import OnnxPolicy

        policy = OnnxPolicy(path)
        if module := module_of(policy.spec.task):
            _require(module, policy.spec.task, options)
        trained = policy.trained_on.task_options if policy.trained_on is not None else {}
        return policy.spec.task, Entry(Pilot(_name(word), ArrayPolicy(policy)), trained)
    if options.training or path.exists() or _looks_like_a_path(word):
        from hgrpo_control.runs.run_folder import RunFolder
        from policies.carried import Carried
        from policies.checkpoint import restore

        folder = RunFolder.open(path)
        config = folder.read_config(options.imports, learning=False)
        if options.training:
            return config.task, Entry(TrainingPilot(_name(word), folder.checkpoint), config.task_options)
        policy_of_run, _ = restore(folder.checkpoint)
        return config.task, Entry(Pilot(_name(word), Carried(policy_of_run)), config.task_options)
    import robots

    robots.registry.require(word)
    return word, Entry(Pilot("neutral action"))


def _require(module: str, task: str, options: WatchOptions) -> None:
    from hgrpo_imports import require

    require({module: f"task {task!r}"}, options.imports, "this policy was trained with")


def _looks_like_a_path(word: str) -> bool:
    """Whether a word names a path that does not exist, and no task such as gymnasium/CartPole-v1."""
    from robots.registry import families

    first, slash, _ = word.partition("/")
    return bool(slash) and first not in families()


def _name(word: str) -> str:
    """Name of a policy on the page."""
    path = Path(word)
    if word.startswith(PREFIX):
        return word
    return f"{path.resolve().parent.name}/{path.name}" if path.suffix == ".onnx" else path.resolve().name
