"""Exporting a run: which files are written, and what is measured about them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

import robots
from hgrpo_control.config.run import Config
from hgrpo_control.evaluation.evaluate import Evaluation, evaluate
from hgrpo_control.evaluation.exported import Exported, Noting
from hgrpo_control.export.settings import ExportOptions
from hgrpo_control.runs.run_folder import RunFolder
from hgrpo_control.training.judged import Judged, judge_at
from hgrpo_control.training.simulation import make_simulator
from hgrpo_errors import HgrpoError
from policies.actor_critic import ActorCritic
from policies.checkpoint import restore
from policies.spec import PolicySpec
from robots.quadrotor.body.parameters import GRAVITY, PRESETS, preset
from robots.simulator import Simulator, closing
from sim2real.export.c import CExport, c_files, export_c
from sim2real.export.crazyflie import export_crazyflie, require_app
from sim2real.export.crazyflie_commands import Airframe
from sim2real.export.exportable import GOLDEN_ROWS
from sim2real.export.onnx import export_onnx, is_own_model, record
from sim2real.export.own_files import replacing, require_replaceable
from sim2real.policy.onnx_policy import OnnxPolicy
from sim2real.policy.trained_on import TrainedOn

SEED = 1
"""Of the episodes flown with policy and variant; training never sees it."""
_SEEN = 4096  # observations of these flights: every other one calibrates int8, the others measure errors
_LEAST_SEEN = 2 * (max(GOLDEN_ROWS) + 1)  # half of them calibrate, and golden pairs are taken from these
_FEW_EPISODES = 20  # fewer make rates and mean returns that say little


class Said(NamedTuple):
    """A line, and the files that were written before it."""

    line: str
    files: tuple[Path, ...] = ()


class Flown(NamedTuple):
    """The policy's own episodes, that those of a variant are compared with."""

    simulator: Simulator
    evaluation: Evaluation
    calibration: NDArray[np.float32]
    """(N, O) observations that it met."""
    observation: NDArray[np.float32]
    """(M, O) others that it met."""


def export(options: ExportOptions) -> Iterator[Said]:
    """Write every file that was asked for, and say in a line each what it is and how far it is from the policy."""
    if options.episodes < 1:
        raise HgrpoError(f"episodes must be at least 1; given {options.episodes}")
    folder = RunFolder.open(options.folder)
    onnx = _onnx_targets(options, folder)
    _require_replaceable(options, onnx)
    config = folder.read_config(options.imports, learning=False)
    policy, training = restore(folder.checkpoint)
    trained = trained_on(config, policy.spec.robot)
    if onnx:
        yield from _onnx_files(policy, training, config, options, onnx, trained)
    if options.c is not None:
        written = export_c(policy, options.c, tanh=options.tanh, trained=trained)
        yield from _c_lines(written)
    if options.crazyflie is not None:
        written = export_crazyflie(policy, options.crazyflie, _airframe(policy.spec), options.tanh, trained)
        yield Said(f"crazyflie: {options.crazyflie} (see README.md in it)", (options.crazyflie,))
        yield from _c_lines(written)


def trained_on(config: Config, robot: str) -> TrainedOn:
    """What a run was trained on: the options that it was given, and the numbers of its drone, if that is a preset."""
    is_preset = config.task in robots.names() and robot in PRESETS
    return TrainedOn(dict(config.task_options), preset(robot).numbers() if is_preset else {})


def _onnx_targets(options: ExportOptions, folder: RunFolder) -> dict[str, Path]:
    """Where ONNX files go, by what they are; empty where none is asked for."""
    if options.onnx is None and not options.wants_variants and (options.c or options.crazyflie):
        return {}
    path = options.onnx or folder.onnx
    wanted = {"batch1": options.batch_1, "float16": options.float16, "int8": options.int8}
    variants = [variant for variant, is_wanted in wanted.items() if is_wanted]
    return {"float32": path} | {variant: path.with_suffix(f".{variant}{path.suffix}") for variant in variants}


def _require_replaceable(options: ExportOptions, onnx: Mapping[str, Path]) -> None:
    """Raise ExportError before anything is written if something that no export wrote is in the way of any file."""
    for path in onnx.values():
        require_replaceable(path, is_own_model)
    if options.c is not None:
        c_files(options.c)
    if options.crazyflie is not None:
        require_app(options.crazyflie)


def _onnx_files(
    policy: ActorCritic,
    training: Mapping[str, Any],
    config: Config,
    options: ExportOptions,
    paths: Mapping[str, Path],
    trained: TrainedOn,
) -> Iterator[Said]:
    path = paths["float32"]
    difference = export_onnx(policy, path, trained=trained)
    yield Said(f"onnx: {path} (differs from torch by at most {difference:.1e} over 1,000 observations)", (path,))
    if fixed := paths.get("batch1"):
        difference = export_onnx(policy, fixed, batch=1, trained=trained)
        far = f"differs from torch by at most {difference:.1e} over 1,000 observations"
        yield Said(f"onnx: {fixed} (takes one row; {far})", (fixed,))
    precisions = [name for name in ("float16", "int8") if name in paths]
    if not precisions:
        return
    with closing(make_simulator(config)) as simulator:
        judged = judge_at(simulator, config, training, options)
        yield from map(Said, judged.lines)
        flown = _fly(policy, simulator, judged, options.episodes)
        for precision in precisions:
            yield Said(_variant(policy, paths[precision], precision, flown, trained), (paths[precision],))
            yield from map(Said, how_little(precision, flown))


def _variant(policy: ActorCritic, path: Path, precision: str, flown: Flown, trained: TrainedOn) -> str:
    """Make a variant, fly it, put into it what was measured, and let it take its place then."""
    calibrated = {"calibration_observations": len(flown.calibration)} if precision == "int8" else {}
    with replacing(path, is_own_model) as made:
        export_onnx(policy, made, precision=precision, calibration=flown.calibration, trained=trained)
        measured = calibrated | _measure(policy, OnnxPolicy(made), flown)
        record(made, measured)
    success = measured["success_rate"], measured["policy_success_rate"]
    rates = "" if success[0] is None else f", success {success[0]:.3f} where the policy has {success[1]:.3f}"
    returns = f"return {measured['return_mean']:.1f} and {measured['policy_return_mean']:.1f}"
    return (
        f"onnx: {path} ({precision}: differs from torch by {measured['mean_error']:.1e} on average and by at most "
        f"{measured['largest_error']:.1e} of an action's range on {len(flown.observation):,} "
        f"observations of its flights{rates}, {returns}, "
        f"{flown.evaluation.episodes} episodes)"
    )


def how_little(precision: str, flown: Flown) -> Iterator[str]:
    """A line on what few episodes leave unknown of a variant; none where there were enough."""
    episodes, seen = flown.evaluation.episodes, len(flown.calibration) + len(flown.observation)
    if episodes >= _FEW_EPISODES and seen >= _SEEN:
        return
    flights = "1 episode" if episodes == 1 else f"{episodes} episodes"
    calibrated = f"calibrated on {len(flown.calibration):,} observations and " if precision == "int8" else ""
    clipped = "what other flights bring beyond these is cut off, which was not measured; "
    yield (
        f"note: {precision} was {calibrated}measured on {len(flown.observation):,} observations of {flights}: "
        f"{clipped if precision == 'int8' else ''}errors, success and return may be worse elsewhere; "
        "raise --episodes (100 unless given)"
    )


def _fly(policy: ActorCritic, simulator: Simulator, judged: Judged, episodes: int) -> Flown:
    pilot = Noting(policy)
    evaluation, _ = evaluate(pilot, simulator, episodes, SEED)
    evaluation = dataclasses.replace(evaluation, judged_at=judged.for_json())
    seen = np.concatenate(pilot.seen)
    if len(seen) < _LEAST_SEEN:
        raise HgrpoError(
            f"episodes is {episodes}, which met {len(seen)} observations; a variant needs {_LEAST_SEEN}: "
            "raise --episodes"
        )
    chosen = seen[np.random.default_rng(SEED).choice(len(seen), min(_SEEN, len(seen)), replace=False)]
    return Flown(simulator, evaluation, chosen[::2], chosen[1::2])


def _measure(policy: ActorCritic, variant: OnnxPolicy, flown: Flown) -> dict[str, Any]:
    """Errors as shares of an action's range on observations of flights, and what episodes of both came to."""
    spec, theirs = policy.spec, flown.evaluation
    with torch.no_grad():
        expected = policy(torch.from_numpy(flown.observation)).numpy()
    error = np.abs(variant(flown.observation) - expected) / (np.array(spec.action_high) - np.array(spec.action_low))
    ours, _ = evaluate(Exported(variant), flown.simulator, theirs.episodes, theirs.seed)
    return {
        "observations": len(flown.observation),
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


def _or_none(value: float) -> float | None:
    """A figure for JSON, which has no NaN."""
    return None if np.isnan(value) else value


def _airframe(spec: PolicySpec) -> Airframe:
    """The preset that a policy was trained for; raises ValueError where it names none."""
    parameters = preset(spec.robot)
    return Airframe(parameters.mass, GRAVITY, parameters.thrust_curve, parameters.rotor_speed_min)


def _c_lines(written: CExport) -> Iterator[Said]:
    agreement = (
        "not checked: there is no C compiler cc here"
        if written.difference is None
        else f"differs from torch by at most {written.difference:.1e} over 1,000 observations"
    )
    yield Said(f"c: {written.source} and {written.header} ({agreement})", (written.source, written.header))
    yield from (Said(f"c: {size}") for size in written.footprints)
