#!/usr/bin/env bash
# Imports, golden numbers, pmap and a training on the newest Python and jax that are supported, in .venv-newest.
# GOLDEN, if given, is what tests/golden_weights.py wrote: reading PyTorch's own files needs torch, which is left out here.
#   bash tests/newest.sh [GOLDEN]
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# -eq 0 ] || export SPOTRUST_GOLDEN=$1
for version in 3.13 3.12; do
    # Beside the Pythons on the path, those that pyenv keeps.
    for python in "python$version" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$version".*/bin/python3; do
        "$python" -c 'import venv' 2>/dev/null && break 2
    done
    python=
done
[ -n "$python" ] || { echo "skipped: there is no Python 3.13 or 3.12 on this machine"; exit 0; }
"$python" -m venv .venv-newest
.venv-newest/bin/python -m pip install --quiet --disable-pip-version-check --editable . beartype pytest pytest-xdist
.venv-newest/bin/python - <<'PYTHON'
import importlib
import pkgutil
import sys

import jax

import spotrust_jax

names = [module.name for module in pkgutil.walk_packages(spotrust_jax.__path__, "spotrust_jax.")]
# These need an extra.
names = [name for name in names if not name.startswith("spotrust_jax.export.onnx_")]
for name in names:
    importlib.import_module(name)
print(f"{len(names)} modules import on Python {sys.version.split()[0]}, jax {jax.__version__}")
PYTHON
.venv-newest/bin/python -m pytest --numprocesses=2 --dist=loadfile -rs tests/test_golden.py tests/test_parallel.py \
    tests/training/test_step.py::test_three_members_on_eight_devices_equal_three_single_runs \
    tests/training/test_step.py::test_training_learns
