"""Draw what a memory holds: a linear probe of the thrust over weight, and the error after the loss of a rotor's thrust.

    python -m benchmarks.adaptation RUN [--beside RUN] [--out docs/results/memory]

RUN is a run folder of a quadrotor task whose hidden parameters are drawn; `--beside` names a run without memory on the
same task. The probe is a ridge regression from the memory to the thrust over weight, fitted on half of the episodes and
shown on the other half. In further flights rotor 1 loses a fifth of its thrust after two seconds.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from benchmarks.adaptation.flights import Flights, fly
from hgrpo_control.reports.learning_curves import save
from hgrpo_control.runs.run_folder import RunFolder
from hgrpo_control.training.simulation import make_simulator
from hgrpo_errors import HgrpoError
from policies import checkpoint
from robots.quadrotor.flight.simulator import QuadrotorFlight

EPISODES, SEED, RIDGE = 1_000, 1, 1e-2
LOSS, LOSS_SECONDS = 0.2, 2.0


def read(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.adaptation", description=__doc__.split("\n\n")[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--beside", type=Path)
    parser.add_argument("--out", type=Path, default=Path("docs/results/memory"))
    parser.add_argument("--episodes", type=int, default=EPISODES)
    return parser.parse_args(arguments)


def main() -> None:
    """Fly, fit, draw and print."""
    given = read()
    config = RunFolder.open(given.run).read_config()
    simulator = make_simulator(config)
    if not isinstance(simulator, QuadrotorFlight):
        raise SystemExit(f"only tasks of the quadrotor have rotors; {given.run} is of {config.task}")
    try:
        policies = {"memory": checkpoint.load(given.run)}
        if given.beside is not None:
            policies["no memory"] = checkpoint.load(given.beside)
    except HgrpoError as error:
        raise SystemExit(str(error)) from error
    if not policies["memory"].spec.memory_width:
        raise SystemExit(f"{given.run} has no memory to look into")
    rate = simulator.spec.control_hz
    probed = fly(policies["memory"], simulator, given.episodes, SEED)
    estimate = probe(probed)
    lost = {
        name: fly(policy, simulator, given.episodes, SEED + 1, LOSS, round(LOSS_SECONDS * rate))
        for name, policy in policies.items()
    }
    figures = summary(probed, estimate, lost, rate)
    given.out.mkdir(parents=True, exist_ok=True)
    draw(probed, estimate, lost, rate, given.out / "adaptation.png")
    (given.out / "adaptation.json").write_text(json.dumps(figures, indent=2) + "\n")
    print(json.dumps(figures, indent=2))


def probe(flights: Flights) -> Tensor:
    """(T, B / 2) thrust over weight that a linear probe reads from the memory of the second half of the episodes.

    One regression for all steps after a tenth of the episode, on the logarithm: w = (X^T X + k I)^-1 X^T y with
    standardised X.
    """
    half = flights.memory.shape[1] // 2
    late = slice(len(flights.memory) // 10, None)
    keep = flights.flying[late, :half]
    x = flights.memory[late, :half][keep].double()
    y = flights.thrust_to_weight[:half].log().expand(keep.shape)[keep].double()
    mean, deviation = x.mean(0), x.std(0).clamp_min(1e-6)
    features = (x - mean) / deviation
    gram = features.t() @ features + RIDGE * len(features) * torch.eye(features.shape[1], dtype=torch.float64)
    weight = torch.linalg.solve(gram, features.t() @ (y - y.mean()))
    others = (flights.memory[:, half:].double() - mean) / deviation
    return (others @ weight + y.mean()).exp()


def explained(flights: Flights, estimate: Tensor, step: int) -> float:
    """Explained variance of the estimate at a step, over episodes that still fly; on the logarithm."""
    half = flights.memory.shape[1] // 2
    keep = flights.flying[step, half:]
    truth = flights.thrust_to_weight[half:][keep].log()
    return 1.0 - float((truth - estimate[step][keep].log()).square().mean() / truth.var(correction=0))


def summary(probed: Flights, estimate: Tensor, lost: dict[str, Flights], rate: float) -> dict[str, dict[str, float]]:
    """The figures of the picture."""
    seconds = [s for s in (0.1, 0.25, 0.5, 1.0, 2.0, 4.0) if s * rate <= len(estimate)]
    figures = {
        "explained variance of the thrust over weight, by seconds": {
            f"{s:g}": round(explained(probed, estimate, round(s * rate) - 1), 3) for s in seconds
        }
    }
    at = round(LOSS_SECONDS * rate)
    for name, flights in lost.items():
        flying = flights.flying[-1]
        figures[f"after the loss, {name}"] = {
            "still flying": round(float(flying.double().mean()), 3),
            "largest median error [m]": round(float(_quantile(flights, 0.5)[at:].max()), 4),
            "median error at the end [m]": round(float(_quantile(flights, 0.5)[-1]), 4),
        }
    return figures


def draw(probed: Flights, estimate: Tensor, lost: dict[str, Flights], rate: float, path: Path) -> None:
    """PNG with the estimate over time, estimate against truth, and the error after the loss."""
    figure = Figure(figsize=(13.0, 4.2), layout="constrained")
    over_time, against, error = figure.subplots(1, 3)
    half = probed.memory.shape[1] // 2
    time = (np.arange(len(estimate)) + 1) / rate
    over_time.plot(time, [explained(probed, estimate, step) for step in range(len(estimate))])
    over_time.set(xlabel="time [s]", ylabel="explained variance", ylim=(-0.1, 1.0), title="probe of thrust over weight")
    truth = probed.thrust_to_weight[half:]
    for seconds in (0.1, 0.5, 2.0):
        step = round(seconds * rate) - 1
        keep = probed.flying[step, half:]
        against.scatter(truth[keep], estimate[step][keep], s=5, alpha=0.6, label=f"after {seconds:g} s")
    limits = (float(truth.min()), float(truth.max()))
    against.plot(limits, limits, color="black", linewidth=0.8)
    against.set(xlabel="true thrust over weight", ylabel="estimate", title="half of the episodes, not fitted")
    against.legend()
    for name, flights in lost.items():
        middle = _quantile(flights, 0.5)
        error.plot(time, middle, label=name)
        error.fill_between(time, _quantile(flights, 0.25), _quantile(flights, 0.75), alpha=0.2)
    error.axvline(LOSS_SECONDS, color="black", linewidth=0.8)
    error.set(xlabel="time [s]", ylabel="position error [m]", yscale="log", title=f"rotor 1 loses {LOSS:.0%}")
    error.legend()
    for axes in (over_time, against, error):
        axes.grid(alpha=0.3)
    save(figure, path)


def _quantile(flights: Flights, q: float) -> np.ndarray:
    """(T,) quantile of the position error over the episodes that still fly."""
    error = torch.where(flights.flying, flights.error, torch.nan).double().numpy()
    return np.asarray(np.nanquantile(error, q, axis=1))


if __name__ == "__main__":
    main()
