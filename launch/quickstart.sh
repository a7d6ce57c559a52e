#!/usr/bin/env bash
# Sets everything up in .venv, trains the demo on the embedded scenes, scores it and writes its maps to runs/demo.
set -euo pipefail
cd "$(dirname "$0")/.."
"${PYTHON:-python3}" -c 'import sys; sys.exit("Python 3.11 or newer is needed" if sys.version_info < (3, 11) else 0)'
"${PYTHON:-python3}" -m venv .venv
.venv/bin/python -m pip install --quiet --disable-pip-version-check --editable .
.venv/bin/python -m launch.demo --workdir=runs/demo
