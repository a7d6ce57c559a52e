#!/usr/bin/env bash
# Scores a model at several scales on the test split, and compares maps of whole photographs with tiled ones: the figures
# of docs/inference.md. Usage: experiments/scales.sh CHECKPOINT DATA RUNS
set -euo pipefail
checkpoint=$1 data=$2 runs=$3

for scale in 128 trained 512 native; do
    python -m launch.evaluate --checkpoint="$checkpoint" --data="$data" --split=test --scale=$scale \
        --output="$runs/scale_$scale"
done
python -m launch.evaluate --checkpoint="$checkpoint" --data="$data" --split=test --tta --output="$runs/tta"

for tile in 1024 512 256; do
    python -m launch.predict --checkpoint="$checkpoint" --input="$data/images" --scale=native --tile_size=$tile \
        --overlap=128 --num_samples=8 --output="$runs/tiles_$tile"
done
python - "$runs" <<'PYTHON'
import pathlib
import sys

import numpy as np

runs = pathlib.Path(sys.argv[1])
for tile in (512, 256):
    differences = {"probability": [], "epistemic": []}
    for path in sorted((runs / "tiles_1024").glob("*_maps.npz")):
        whole, tiled = np.load(path), np.load(runs / f"tiles_{tile}" / path.name)
        for name, found in differences.items():
            found.append(np.abs(whole[name].astype(float) - tiled[name]).mean())
    for name, found in differences.items():
        print(f"tiles of {tile}: {name}, mean difference {np.mean(found):.4f}, in the worst photograph {max(found):.4f}")
PYTHON
