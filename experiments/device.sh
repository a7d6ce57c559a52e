#!/usr/bin/env bash
# Runs jobs on a machine with an accelerator that is lent for minutes and reaches no package registry.
#
#   experiments/device.sh CARRIED OUT SECONDS [detector arguments]
#
# CARRIED holds photographs.tgz (data/ and unlabelled/ of experiments/detector/assemble.py), teacher.npz (spotrust pretrain
# --save_teacher) and, where packages are missing, wheels/ (pip download). OUT gets the results: weights, measured
# photographs and the log, and the compiled programs, which a second start finds in CARRIED/cache.tar.
set -euo pipefail
cd "$(dirname "$0")/.."
carried=$(realpath "$1") out=$2 seconds=$3
shift 3
work=$(mktemp -d)
if [ -d "$carried/wheels" ]; then
    python3 -m pip install --quiet --no-index --no-deps --no-compile --no-cache-dir --upgrade --target "$work/site" "$carried"/wheels/*.whl
    export PYTHONPATH=$work/site
fi
export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH} PYTHONUNBUFFERED=1
export JAX_COMPILATION_CACHE_DIR=$work/cache JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS=2
mkdir -p "$out" "$JAX_COMPILATION_CACHE_DIR"
[ ! -f "$carried/cache.tar" ] || tar xf "$carried/cache.tar" -C "$JAX_COMPILATION_CACHE_DIR"
tar xzf "$carried/photographs.tgz" -C "$work"
python3 -m experiments.detector.subsets --data="$work/data" --output="$work/subsets"
cp "$carried"/pretrained*.npz "$work" 2>/dev/null || true
XLA_PYTHON_CLIENT_MEM_FRACTION=0.6 timeout --signal=INT --kill-after=5 "$((seconds + 10))" python3 -m experiments.detector.device_job \
    --data="$work" --teacher="$carried/teacher.npz" --output="$work/out" --seconds="$seconds" "$@" || echo "exit code $?"
tar cf - -C "$work/out" . | split --bytes=15M - "$out/results.tar."
tar cf - -C "$JAX_COMPILATION_CACHE_DIR" . | split --bytes=15M - "$out/cache.tar."
