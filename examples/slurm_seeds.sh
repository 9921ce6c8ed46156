#!/bin/bash
# SLURM job array: one task per seed of `hgrpo train`.
#   sbatch --array=0-9 examples/slurm_seeds.sh hybrid-grpo quadrotor-hover --out runs/hover
#SBATCH --job-name=hgrpo-seeds
#SBATCH --cpus-per-task=1
#SBATCH --time=02:00:00
#SBATCH --signal=B:TERM@120
#SBATCH --output=%x-%A-%a.out
# 120 seconds before the time limit training gets SIGTERM and saves. `hgrpo resume DIR` continues it.
set -euo pipefail
source .venv/bin/activate

exec hgrpo train "$@" --seeds "${SLURM_ARRAY_TASK_ID}" --jobs 1
