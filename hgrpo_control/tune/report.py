"""Files of a study: the best settings as TOML, and Optuna's plots as PNG."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import optuna

from hgrpo_control.config.run import Config
from hgrpo_control.config_files.formats import write_toml
from hgrpo_files import make_folder, replacing, writing

_LEAST = 4  # complete trials from which importances are drawn


def write_best(path: Path, config: Config) -> None:
    """Write the best settings as TOML for `hgrpo train --config`; a file of an earlier call is replaced."""
    make_folder(path.parent)
    write_toml(path, config.to_table(), replace=True)


def draw(study: optuna.Study, out: Path) -> list[Path]:
    """Draw the plots of a study into a folder: history, learning curves, values of settings, and importances."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt
    from optuna.visualization import matplotlib as plots

    complete = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
    kinds: dict[str, Any] = {
        "history": plots.plot_optimization_history,
        "curves": plots.plot_intermediate_values,
        "settings": plots.plot_slice,
    }
    if len(complete) >= _LEAST:
        evaluator = optuna.importance.PedAnovaImportanceEvaluator()
        kinds["importances"] = lambda study: plots.plot_param_importances(study, evaluator=evaluator)
    make_folder(out)
    written = []
    for name, plot in kinds.items():
        path = out / f"{name}.png"
        with warnings.catch_warnings(), matplotlib.rc_context():  # Optuna sets a style for the whole process
            warnings.simplefilter("ignore")
            plot(study)
            with replacing(path) as partial, writing(path):
                plt.gcf().savefig(partial, format="png", bbox_inches="tight", dpi=100)
        plt.close("all")
        written.append(path)
    return written
