#!/usr/bin/env bash
# Slurm: one process for each GPU, over all nodes of the job; a job that runs out of time saves and queues itself again.
# Usage: sbatch --nodes=2 launch/clusters/slurm.sh --config=configs/ensemble.py --config.data.path=DATA --workdir=RUN
# DATA and RUN are on a file system that all nodes share.
#SBATCH --job-name=spotrust
#SBATCH --ntasks-per-node=8
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=8
#SBATCH --time=12:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
# SIGTERM to the processes, five minutes before the end.
#SBATCH --signal=TERM@300
set -uo pipefail
# jax finds the coordinator, the number of processes and each one's own number in Slurm's variables.
srun spotrust train --distributed --platform=gpu "$@"
code=$?
[ "$code" -ne 75 ] || scontrol requeue "$SLURM_JOB_ID"
exit "$code"
