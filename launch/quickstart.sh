#!/usr/bin/env bash
# bash launch/quickstart.sh [PHOTOGRAPHS]
# Sets everything up in .venv and finds rust with the shipped detector: in scenes that the program draws, or in a
# photograph, a folder of photographs, or a glob in quotes. runs/quickstart gets maps and the report.
set -euo pipefail
repository=$(cd "$(dirname "$0")/.." && pwd)
results=$repository/runs/quickstart
complain() { echo "error: $1" >&2; exit 2; }

[ $# -le 1 ] || complain "$# arguments were given: give one photograph, one folder, or a glob in quotes"
# What a glob finds is asked by `spotrust predict`.
[ $# -eq 0 ] || [ -e "$1" ] || [[ $1 == *[*?[]* ]] || complain "$1 is not there: check the path"
"${PYTHON:-python3}" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || complain "Python 3.11 or newer is needed"

echo "Installing in $repository/.venv ..."
"${PYTHON:-python3}" -m venv "$repository/.venv"
"$repository/.venv/bin/python" -m pip install --quiet --disable-pip-version-check --editable "$repository"
spotrust=$repository/.venv/bin/spotrust

if [ $# -eq 1 ]; then
    maps=$results/photographs
    "$spotrust" predict --input="$1" --output="$maps" --report
else
    maps=$results/scenes
    "$spotrust" draw_scenes --output="$results/drawn" --count=12
    "$spotrust" predict --input="$results/drawn/images" --ground_truth="$results/drawn/masks" --output="$maps" --report
fi
echo
echo "Open $maps/report.html in a browser: it shows each picture with the rust that was found and how sure the model is."
echo "The maps as files lie beside it."
