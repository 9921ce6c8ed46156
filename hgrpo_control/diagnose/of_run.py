"""The diagnosis of a run's last checkpoint."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from hgrpo_control.config.judged import JudgedSettings
from hgrpo_control.config.run import ConfigError
from hgrpo_control.diagnose.measurement import Diagnosis, Progress, diagnose
from hgrpo_control.diagnose.settings import DiagnoseSettings
from hgrpo_control.rewards import transforms
from hgrpo_control.runs.run_folder import RunFolder
from hgrpo_control.sampling import guidance
from hgrpo_control.training.judged import Judged, judge_at
from hgrpo_control.training.simulation import training_simulator
from policies.checkpoint import restore
from robots.simulator import closing


def diagnose_run(
    folder: RunFolder, settings: DiagnoseSettings, choice: JudgedSettings, imports: Sequence[str], progress: Progress
) -> tuple[Diagnosis, Judged]:
    """Variance and bias of every estimator's policy gradient at the last checkpoint, on the CPU.

    Args:
        folder: The run.
        settings: Estimators and numbers of samples.
        choice: Difficulty and reward weights.
        imports: Modules to import first.
        progress: Called with the simulator steps taken and their total.

    Returns:
        The diagnosis, and the difficulty and weights that it was made at.

    Raises:
        ConfigError: For a checkpoint that lacks what the run's rewards or guidance need.
    """
    config = dataclasses.replace(folder.read_config(imports), device="cpu")  # where policies are loaded
    policy, training = restore(folder.checkpoint)
    transform = transforms.make(config.algorithm, config.num_envs)
    transform.load_state_dict(training.get("reward_transform", {}))
    if not transform.ready:
        raise ConfigError(
            f"the reward transform {config.algorithm.reward_transform} of {folder.path} depends on past rewards, and "
            "there are none yet; train the run for at least one iteration"
        )
    guide = guidance.make(policy, config.algorithm, config.learning, seed=0)
    if guide is not None:
        if "guidance" not in training:
            raise ConfigError(
                f"{folder.checkpoint} does not hold the Q that guides this run; it was not saved in training"
            )
        guide.load_state_dict(training["guidance"])
    proposals = None if guide is None else guide.proposals
    with closing(training_simulator(config)) as simulator:
        judged = judge_at(simulator, config, training, choice)
        return diagnose(policy, simulator, config, settings, progress, transform, proposals), judged
