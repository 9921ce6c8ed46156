"""Studies: storages that workers share, workers, and trials that are given again after an interruption."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from hgrpo_control.config.run import Config, ConfigError
from hgrpo_control.tune.space import Span, own_value, with_values
from hgrpo_control.tune.trials import train_trial, worker
from hgrpo_errors import HgrpoError
from hgrpo_signals import is_running

HEARTBEAT = 30
"""Seconds between two signs of life of a trial in a database."""
GRACE = 120
"""Seconds without a sign of life after which a trial in a database is given again."""
_ATTEMPTS = 3
_REFUSED = 50  # trials in a row whose settings do not fit together


class TuneError(HgrpoError):
    """Raised for a storage or a study that cannot be used."""


def open_study(name: str, storage: str, config: Config, spans: Sequence[Span]) -> optuna.Study:
    """A study in a storage, made if it is new; its first trial has the settings of `config`.

    Args:
        name: Name of the study.
        storage: journal:FILE, or the URL of a database such as sqlite:///FILE or postgresql+psycopg://...
        config: Settings that hold for what is not searched.
        spans: The search space.

    Raises:
        TuneError: The storage cannot be used, or the study was begun with other settings.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with _quiet():
        try:
            study = optuna.create_study(
                study_name=name,
                storage=_storage(storage),
                sampler=optuna.samplers.TPESampler(n_startup_trials=8),
                pruner=optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=4),
                direction="maximize",
                load_if_exists=True,
            )
        except _unusable() as error:
            reason = " ".join(str(error).split())
            raise TuneError(
                f"--storage {storage} cannot be used: {reason}; allowed: journal:FILE, sqlite:///FILE or "
                "postgresql+psycopg://USER@HOST/DATABASE"
            ) from error
        settings = {"config": config.to_json(), "space": repr(sorted(map(repr, spans)))}
        for key, value in settings.items():
            former = study.user_attrs.get(key)
            if former is None:
                study.set_user_attr(key, value)
            elif former != value:
                raise TuneError(f"study {name} in {storage} was begun with another {key}; choose another --study")
        own = {span.name: own_value(config, span) for span in spans}
        if all(own[span.name] in span for span in spans):
            study.enqueue_trial(own, user_attrs={"attempt": 1}, skip_if_exists=True)
    return study


def run_trials(
    study: optuna.Study,
    trials: int,
    config: Config,
    spans: Sequence[Span],
    out: Path,
    report: Callable[[FrozenTrial], None] = lambda trial: None,
) -> None:
    """Work on a study until it has `trials` trials, those of other workers included.

    Args:
        study: The study.
        trials: Number of complete, pruned and running trials.
        config: Settings that hold for what is not searched.
        spans: The search space.
        out: Folder for the run folders of the trials.
        report: Called after each trial.

    Raises:
        TuneError: The settings of many trials in a row do not fit together.
        KeyboardInterrupt: A signal; the trial is saved and given again.
    """
    refused = 0

    def objective(trial: optuna.Trial) -> float:
        try:
            trial.set_user_attr("worker", worker())
            values = {span: span.suggest(trial) for span in spans}
            chosen = with_values(config, values)
            folder = trial.user_attrs.get("folder", f"trial-{trial.number}")
            trial.set_user_attr("folder", folder)
            return train_trial(trial, chosen, out / folder)
        except ConfigError as error:
            trial.set_user_attr("refused", str(error))
            raise
        except KeyboardInterrupt:
            _give_again(study, study._storage.get_trial(trial._trial_id))
            raise

    while _counted(study) < trials:
        with _quiet():
            _give_again_dead(study)
            study.optimize(objective, n_trials=1, catch=(ConfigError,))
        last = max(_own(study), key=lambda trial: trial.number)
        refused = refused + 1 if "refused" in last.user_attrs else 0
        if refused == _REFUSED:
            raise TuneError(f"{refused} trials in a row do not fit together: {last.user_attrs['refused']}")
        report(last)


def best_config(study: optuna.Study, config: Config, spans: Sequence[Span]) -> Config:
    """Settings of the best trial; raises TuneError if no trial is complete."""
    try:
        best = study.best_trial
    except ValueError as error:
        raise TuneError(f"study {study.study_name} has no complete trial yet") from error
    return with_values(config, {span: best.params[span.name] for span in spans})


def _storage(word: str) -> BaseStorage:
    if word.startswith("journal:"):
        return JournalStorage(JournalFileBackend(word.removeprefix("journal:")))
    # A database that another worker writes to is waited for.
    how: dict[str, Any] = {"connect_args": {"timeout": 60}} if word.startswith("sqlite:") else {"pool_pre_ping": True}
    return RDBStorage(
        word,
        engine_kwargs=how,
        heartbeat_interval=HEARTBEAT,
        grace_period=GRACE,
        heartbeat_stale_trial_callback=_give_again,
    )


def _unusable() -> tuple[type[Exception], ...]:
    """Errors for a storage that cannot be used."""
    from sqlalchemy.exc import SQLAlchemyError

    return (ImportError, OSError, ValueError, SQLAlchemyError, optuna.exceptions.OptunaError)


def _give_again(study: optuna.Study, trial: FrozenTrial) -> None:
    """Queue the settings of an interrupted trial again; its training continues in the same folder."""
    attempt = int(trial.user_attrs.get("attempt", 1))
    params = trial.system_attrs.get("fixed_params", {}) | trial.params  # the former may be more, early in a trial
    if attempt < _ATTEMPTS and params:
        kept = {key: value for key, value in trial.user_attrs.items() if key == "folder"}
        study.enqueue_trial(params, user_attrs=kept | {"attempt": attempt + 1})


def _give_again_dead(study: optuna.Study) -> None:
    """Give the trials again whose process on this machine has ended; databases find those of other machines."""
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        at = trial.user_attrs.get("worker", {})
        if at.get("host") == worker()["host"] and not is_running(int(at["process"])):
            with contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError, ValueError):
                study.tell(trial.number, state=TrialState.FAIL)  # another worker may have done it just now
                _give_again(study, trial)


def _counted(study: optuna.Study) -> int:
    states = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)
    with _quiet():
        _give_again_dead(study)
    return len(study.get_trials(deepcopy=False, states=states))


def _own(study: optuna.Study) -> list[FrozenTrial]:
    trials = study.get_trials(deepcopy=False)
    return [trial for trial in trials if trial.user_attrs.get("worker") == worker()]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without Optuna's warnings about experimental parts."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        yield
