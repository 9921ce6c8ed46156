#!/bin/bash
# SLURM job array: one task per shard of a suite. Give it again until nothing is missing; finished runs are skipped.
#   sbatch --array=0-7 examples/slurm_suite.sh hover_update_size
#SBATCH --job-name=hgrpo-suite
#SBATCH --cpus-per-task=4
#SBATCH --time=12:00:00
#SBATCH --signal=B:TERM@300
#SBATCH --output=%x-%A-%a.out
# 300 seconds before the time limit the runs get SIGTERM and save. The next call resumes them.
set -euo pipefail
source .venv/bin/activate

shard="${SLURM_ARRAY_TASK_ID}/${SLURM_ARRAY_TASK_COUNT}"
exec python -m benchmarks.suite run "$1" --shard "${shard}" --jobs "${SLURM_CPUS_PER_TASK:-1}" "${@:2}"
