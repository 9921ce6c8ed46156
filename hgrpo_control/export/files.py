"""Export a run: write its files and measure how far each is from the policy."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

import robots
from hgrpo_control.config.run import Config
from hgrpo_control.evaluation.array_policy import ArrayPolicy, ObservationLog
from hgrpo_control.evaluation.evaluate import Evaluation, evaluate
from hgrpo_control.export.report import SEEN, ExportEntry
from hgrpo_control.export.settings import ExportOptions
from hgrpo_control.runs.run_folder import RunFolder
from hgrpo_control.training.judged import Judged, judge_at
from hgrpo_control.training.simulation import make_simulator
from hgrpo_errors import HgrpoError
from hgrpo_fields import check
from policies.actor_critic import ActorCritic
from policies.carried import Carried
from policies.checkpoint import restore
from policies.spec import PolicySpec
from robots.quadrotor.body.parameters import GRAVITY, PRESETS, QuadrotorParameters, preset
from robots.quadrotor.body.vehicle_file.read import is_vehicle_text, vehicle_from_text
from robots.simulator import Simulator, closing
from sim2real.export.c import CExport, c_files, export_c
from sim2real.export.crazyflie import export_crazyflie, require_app
from sim2real.export.crazyflie_commands import Airframe
from sim2real.export.exportable import CALIBRATION_ROWS, GOLDEN_ROWS, actions_of, memories_of
from sim2real.export.onnx import export_onnx, is_own_model, record
from sim2real.export.own_files import replacing, require_replaceable
from sim2real.export.px4 import export_px4, is_own_archive
from sim2real.export.ros2 import export_ros2, require_package
from sim2real.policy.onnx_policy import OnnxPolicy
from sim2real.policy.trained_on import TrainedOn
from sim2real.targets.goals import Goals
from sim2real.targets.observation import QuadrotorObservation

SEED = 1
"""Seed of the episodes flown with the policy and its variants; training does not use it."""
_LEAST_SEEN = 2 * (max(GOLDEN_ROWS) + 1)  # half of the observations calibrate, and golden pairs are rows of that half
PRECISIONS: tuple[Literal["float16", "int8"], ...] = ("float16", "int8")


class PolicyEpisodes(NamedTuple):
    """Episodes of the policy, which those of a variant are compared with."""

    simulator: Simulator
    evaluation: Evaluation
    calibration: NDArray[np.float32]
    """(N, O) observations of these episodes that calibrate int8; (T, E, O) of whole episodes with memory."""
    observation: NDArray[np.float32]
    """(M, O) or (T, F, O) others of them, on which errors are measured."""


def export(options: ExportOptions) -> Iterator[ExportEntry]:
    """Write every file of the options; yields each form once its files are in place.

    Raises HgrpoError for options that do not fit, and ExportError before anything is written where a file is in the way
    that no export wrote.
    """
    check(options)
    folder = RunFolder.open(options.folder)
    onnx = _onnx_targets(options, folder)
    _require_replaceable(options, onnx)
    config = folder.read_config(options.imports, learning=False)
    policy, training = restore(folder.checkpoint)
    if options.ros2 is not None:
        QuadrotorObservation(policy.spec, Goals())  # raises TargetError for an entry without a source
    trained = trained_on(config, policy.spec.robot)
    if onnx:
        yield from _onnx_files(policy, training, config, options, onnx, trained)
    if options.c is not None:
        yield _c_entry(export_c(policy, options.c, tanh=options.tanh, trained=trained), policy.spec)
    if options.crazyflie is not None:
        written = export_crazyflie(policy, options.crazyflie, _airframe(config, policy.spec), options.tanh, trained)
        yield ExportEntry("crazyflie", (options.crazyflie,))
        yield _c_entry(written, policy.spec)
    if options.px4 is not None:
        yield ExportEntry("px4", (options.px4,), export_px4(policy, options.px4), sequences=True)
    if options.ros2 is not None:
        difference = export_ros2(policy, options.ros2, trained)
        yield ExportEntry("ros2", (options.ros2,), difference, sequences=bool(policy.spec.memory_width))


def trained_on(config: Config, robot: str) -> TrainedOn:
    """The task options of a run, and the numbers of its drone where that is a preset or of a vehicle file."""
    own = _own_vehicle(config)
    known = config.task in robots.names() and (own is not None or robot in PRESETS)
    return TrainedOn(dict(config.task_options), (own or preset(robot)).numbers() if known else {})


def _own_vehicle(config: Config) -> QuadrotorParameters | None:
    """The drone of a vehicle file that a run was trained with; None for another."""
    given = str(config.task_options.get("quadrotor", ""))
    return vehicle_from_text(given) if is_vehicle_text(given) else None


def _others(options: ExportOptions) -> bool:
    """Whether a form that is no ONNX file is asked for."""
    return any(path is not None for path in (options.c, options.crazyflie, options.px4, options.ros2))


def _onnx_targets(options: ExportOptions, folder: RunFolder) -> dict[str, Path]:
    """Paths of the ONNX files by kind; empty where none is requested."""
    if options.onnx is None and not options.wants_variants and _others(options):
        return {}
    path = options.onnx or folder.onnx
    wanted = {"batch1": options.batch_1, "float16": options.float16, "int8": options.int8}
    variants = [variant for variant, is_wanted in wanted.items() if is_wanted]
    return {"float32": path} | {variant: path.with_suffix(f".{variant}{path.suffix}") for variant in variants}


def _require_replaceable(options: ExportOptions, onnx: Mapping[str, Path]) -> None:
    """Raise ExportError if a file that no export wrote lies at any of the paths."""
    for path in onnx.values():
        require_replaceable(path, is_own_model)
    if options.c is not None:
        c_files(options.c)
    if options.crazyflie is not None:
        require_app(options.crazyflie)
    if options.px4 is not None:
        require_replaceable(options.px4, is_own_archive)
    if options.ros2 is not None:
        require_package(options.ros2)


def _onnx_files(
    policy: ActorCritic,
    training: Mapping[str, Any],
    config: Config,
    options: ExportOptions,
    paths: Mapping[str, Path],
    trained: TrainedOn,
) -> Iterator[ExportEntry]:
    path, recalls = paths["float32"], bool(policy.spec.memory_width)
    yield ExportEntry("float32", (path,), export_onnx(policy, path, trained=trained), sequences=recalls)
    if fixed := paths.get("batch1"):
        yield ExportEntry("batch1", (fixed,), export_onnx(policy, fixed, batch=1, trained=trained), sequences=recalls)
    precisions: list[Literal["float16", "int8"]] = [name for name in PRECISIONS if name in paths]
    if not precisions:
        return
    with closing(make_simulator(config)) as simulator:
        judged = judge_at(simulator, config, training, options)
        flown = _fly(policy, simulator, judged, options.episodes)
        for precision in precisions:
            measured = _variant(policy, paths[precision], precision, flown, trained)
            yield ExportEntry(precision, (paths[precision],), measured=measured, judged=judged)


def _variant(
    policy: ActorCritic, path: Path, precision: str, flown: PolicyEpisodes, trained: TrainedOn
) -> dict[str, Any]:
    """Write a variant, fly it, record its figures in its file, and move it into place."""
    calibrated = (
        {"calibration_observations": min(_count(flown.calibration), CALIBRATION_ROWS)} if precision == "int8" else {}
    )
    with replacing(path, is_own_model) as made:
        export_onnx(policy, made, precision=precision, calibration=flown.calibration, trained=trained)
        measured = calibrated | _measure(policy, OnnxPolicy(made), flown)
        record(made, measured)
    return measured


def _fly(policy: ActorCritic, simulator: Simulator, judged: Judged, episodes: int) -> PolicyEpisodes:
    log = ObservationLog(Carried(policy))
    evaluation, _ = evaluate(log, simulator, episodes, SEED)
    evaluation = dataclasses.replace(evaluation, judged_at=judged.for_json())
    if policy.spec.memory_width:
        if episodes < 2:
            raise HgrpoError(f"episodes is {episodes}; a variant of a policy with memory needs at least 2")
        sequences = np.stack(log.observations)
        return PolicyEpisodes(simulator, evaluation, sequences[:, ::2], sequences[:, 1::2])
    seen = np.concatenate(log.observations)
    if len(seen) < _LEAST_SEEN:
        raise HgrpoError(
            f"episodes is {episodes}, which gives {len(seen)} observations; a variant needs at least {_LEAST_SEEN}: "
            "raise --episodes"
        )
    chosen = seen[np.random.default_rng(SEED).choice(len(seen), min(SEEN, len(seen)), replace=False)]
    return PolicyEpisodes(simulator, evaluation, chosen[::2], chosen[1::2])


def _measure(policy: ActorCritic, variant: OnnxPolicy, flown: PolicyEpisodes) -> dict[str, Any]:
    """Errors, success rate and return of a variant, and those of the policy.

    Errors are shares of an action's range.
    """
    spec, theirs = policy.spec, flown.evaluation
    expected, given = actions_of(policy, flown.observation), _actions(policy, variant, flown.observation)
    error = np.abs(given - expected) / (np.array(spec.action_high) - np.array(spec.action_low))
    ours, _ = evaluate(ArrayPolicy(variant), flown.simulator, theirs.episodes, theirs.seed)
    return {
        "observations": _count(flown.observation),
        "largest_error": float(error.max()),
        "mean_error": float(error.mean()),
        "episodes": theirs.episodes,
        "seed": theirs.seed,
        **theirs.judged_at,
        "success_rate": _or_none(ours.success_rate),
        "policy_success_rate": _or_none(theirs.success_rate),
        "return_mean": ours.return_mean,
        "policy_return_mean": theirs.return_mean,
    }


def _actions(policy: ActorCritic, variant: OnnxPolicy, observation: NDArray[np.float32]) -> NDArray[np.float32]:
    """Actions of observations (M, O), or of the steps (T, F, O) of episodes.

    A GRU keeps its own state over an episode. A history holds what was observed and commanded in the flight.
    """
    if not variant.spec.memory_width:
        return variant(observation)
    if variant.spec.memory == "history":
        memories = memories_of(policy, observation)
        return np.stack([variant.step(*step)[0] for step in zip(observation, memories, strict=True)])
    variant.reset()
    return np.stack([variant(rows) for rows in observation])


def _count(observation: NDArray[np.float32]) -> int:
    return observation.size // observation.shape[-1]


def _or_none(value: float) -> float | None:
    """The value for JSON: None in place of NaN."""
    return None if np.isnan(value) else value


def _airframe(config: Config, spec: PolicySpec) -> Airframe:
    """Numbers of the drone that a policy was trained for.

    Raises HgrpoError if its robot is neither a preset nor of a vehicle file.
    """
    parameters = _own_vehicle(config) or preset(spec.robot)
    return Airframe(parameters.mass, GRAVITY, parameters.thrust_curve, parameters.rotor_speed_min)


def _c_entry(written: CExport, spec: PolicySpec) -> ExportEntry:
    files = (written.source, written.header)
    return ExportEntry("c", files, written.difference, bool(spec.memory_width), footprints=tuple(written.footprints))
