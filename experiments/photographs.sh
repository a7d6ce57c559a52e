#!/usr/bin/env bash
# Trains the variants on a folder of labelled photographs, scores them on its test split, and maps photographs without
# corrosion: the figures of docs/measurements/photographs.md.
# Usage: experiments/photographs.sh DATA OUT_OF_DISTRIBUTION RUNS
set -euo pipefail
data=$1 out_of_distribution=$2 runs=$3

train() { # name, config file, further settings
    local name=$1 config=$2 start=$SECONDS
    shift 2
    python -m launch.train \
        --config="configs/$config.py:w18_small_v1" --workdir="$runs/$name" --config.data.path="$data" \
        --config.data.image_size=256 --config.augmentation.crop_size='(256, 256)' \
        --config.epochs=36 --config.loss.positive_weight=4.0 \
        --config.plateau.factor=0.7 --config.plateau.minimum_rate=3e-5 --config.plateau.stop_after=0 "$@"
    echo "$name: $((SECONDS - start)) seconds"
}

train ensemble ensemble
train variational variational
train dropout dropout
# The deterministic network is the ensemble's first member.
python - "$runs" <<'PYTHON'
import sys
import spotrust_jax
spotrust_jax.load(f"{sys.argv[1]}/ensemble/best").member(0).save(f"{sys.argv[1]}/deterministic/best")
PYTHON

checkpoints=$runs/deterministic/best,$runs/variational/best,$runs/dropout/best,$runs/ensemble/best
python -m launch.evaluate --checkpoint="$checkpoints" --data="$data" --split=test --output="$runs/test"
for name in deterministic variational dropout ensemble; do
    python -m launch.predict --checkpoint="$runs/$name/best" --input="$out_of_distribution" --output="$runs/out_of_distribution/$name"
    python -m launch.predict --checkpoint="$runs/$name/best" --input="$data/images" \
        --ground_truth="$data/masks" --output="$runs/maps/$name"
done
