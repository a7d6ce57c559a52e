#!/usr/bin/env bash
# Makes the shipped detector from the folders of photographs to the files of the package, on this machine.
#
#   bash experiments/detector/make.sh PHOTOGRAPHS WORKDIR SECONDS
#
# PHOTOGRAPHS holds inspection_photos, corrosion_photos, unlabelled and no_rust. Pretraining and training together get so many
# SECONDS (560 on one H200); WORKDIR/trained/log.jsonl says what was done in them. Steps whose results are there are not
# repeated. WORKDIR/inspection-1 is the model, WORKDIR/scores has its tables.
set -euo pipefail
cd "$(dirname "$0")/../.."
photographs=$1 work=$2 seconds=$3
members=$work/trained/member_0.npz,$work/trained/member_1.npz,$work/trained/member_2.npz

[ -f "$work/data/splits.csv" ] || python -m experiments.detector.assemble --photographs="$photographs" --output="$work"
[ -d "$work/subsets" ] || python -m experiments.detector.subsets --data="$work/data" --output="$work/subsets"
[ -f "$work/teacher.npz" ] || python -m launch.pretrain --save_teacher="$work/teacher.npz"
[ -f "$work/trained/member_2.npz" ] || python -m experiments.detector.device_job \
    --data="$work" --teacher="$work/teacher.npz" --output="$work/trained" --seconds="$seconds"
[ -f "$work/ensemble/config.json" ] || python -m experiments.detector.package --members="$members" --output="$work/ensemble"
[ -f "$work/scores/test_best_f1_512.json" ] || python -m experiments.detector.calibrate \
    --checkpoint="$work/ensemble" --photographs="$photographs" --output="$work/scores" --test
[ -f "$work/inspection-1/config.json" ] || python -m experiments.detector.package --members="$members" \
    --photographs="$photographs" --scores="$work/scores" --output="$work/inspection-1"
echo "the model: $work/inspection-1"
