#!/bin/bash
# SLURM job: one run trained by all cores of several machines, one process per core.
#   sbatch --nodes=2 examples/slurm_ranks.sh train ppo HalfCheetah-v5 --num-envs 64 --out runs/cheetah
#   sbatch --nodes=2 examples/slurm_ranks.sh resume runs/cheetah
#SBATCH --job-name=hgrpo-ranks
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --time=12:00:00
#SBATCH --signal=TERM@300
#SBATCH --output=%x-%j.out
# 300 seconds before the time limit every process gets SIGTERM, and the run saves.
set -euo pipefail
source .venv/bin/activate

first="$(scontrol show hostnames "${SLURM_JOB_NODELIST}" | head -n 1)"
exec srun torchrun --nnodes "${SLURM_NNODES}" --nproc-per-node "${SLURM_CPUS_PER_TASK}" \
    --rdzv-backend c10d --rdzv-endpoint "${first}:29500" -m -- hgrpo_control "$@"
