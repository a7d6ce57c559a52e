#!/usr/bin/env bash
# One machine: a single process uses all of its GPUs, TPU chips or cores, and goes on by itself after an interruption.
# Usage: launch/clusters/one_machine.sh --config=configs/ensemble.py --config.data.path=DATA --workdir=runs/ensemble
set -uo pipefail
# 75 means: asked to stop, saved, to be started again. A machine that shuts down asks, too.
until spotrust train "$@"; do
    code=$?
    [ "$code" -eq 75 ] || exit "$code"
done
