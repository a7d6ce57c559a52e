#!/usr/bin/env bash
# TPU VM: a pod slice, one process on each of its hosts, which find each other by themselves.
# Usage: launch/clusters/tpu_vm.sh NAME ZONE --config=configs/ensemble.py --config.data.path=DATA --workdir=RUN
# DATA and RUN are on a file system that all hosts share. The slice exists:
#   gcloud compute tpus tpu-vm create NAME --zone=ZONE --accelerator-type=v5litepod-16 --version=v2-alpha-tpuv5-lite
set -euo pipefail
name=$1 zone=$2
shift 2
on_all_hosts() { gcloud compute tpus tpu-vm ssh "$name" --zone="$zone" --worker=all --command="$1"; }
on_all_hosts "pip install --quiet 'spotrust-jax[tpu]'"
# A preempted slice is created anew; this command then goes on from where the run was.
on_all_hosts "spotrust train --distributed --platform=tpu $(printf '%q ' "$@")"
