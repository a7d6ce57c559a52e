#!/usr/bin/env bash
# Sets everything up in .venv-tests and runs all tests; arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."
"${PYTHON:-python3}" -c 'import sys; sys.exit("Python 3.11 or newer is needed" if sys.version_info < (3, 11) else 0)'
"${PYTHON:-python3}" -m venv .venv-tests
.venv-tests/bin/python -m pip install --quiet --disable-pip-version-check \
    --constraint tests/constraints.txt --editable '.[dev,aruco,convert,onnx,teacher]'
.venv-tests/bin/python -m pytest --numprocesses=2 --dist=loadfile --no-loadscope-reorder --max-worker-restart=0 "$@"
