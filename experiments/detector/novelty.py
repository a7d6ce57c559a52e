"""Whether novelty tells photographs out of distribution from known ones, and whether the passes' scores do.

python -m experiments.detector.novelty --photographs=PHOTOGRAPHS --output=runs/detector/novelty [--test]

Known are photographs of inspection_photos, of the validation or of the test part; others are those of
out_of_distribution and those of no_rust of the same part. Every score has the limit that 5% of the validation
photographs exceed, each group counting the same. What is measured is kept in OUTPUT.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from absl import app, flags
from jaxtyping import Float64
from tqdm import tqdm

from experiments.detector.folders import clean, labelled
from experiments.detector.measure import Photograph
from spotrust_jax.calibration.conformal import group_quantile
from spotrust_jax.calibration.histogram import score_histogram
from spotrust_jax.calibration.novelty import SHARE
from spotrust_jax.evaluation.out_of_distribution import detection_between
from spotrust_jax.inference.analysis import Analysis, analyse
from spotrust_jax.inference.segmenter import Segmenter, load
from spotrust_jax.io.images import read_image

_CHECKPOINT = flags.DEFINE_string("checkpoint", "inspection-1", "Model with novelty.")
_PHOTOGRAPHS = flags.DEFINE_string("photographs", None, "Folder of the folders of photographs.", required=True)
_OUTPUT = flags.DEFINE_string("output", None, "Folder for what is measured.", required=True)
_TEST = flags.DEFINE_bool("test", False, "Whether the test parts are scored, too: once, when nothing is to be chosen.")

# Means over a photograph of the maps of the passes.
_MAPS = ("entropy", "mutual_information", "epistemic", "log_variance", "local_novelty")
NAMES = ("novelty", "local_novelty_q90", "local_novelty_above_1", *(f"mean_{name}" for name in _MAPS))

Scores = Float64[np.ndarray, "photographs scores"]


def others(folder: Path) -> Iterator[Photograph]:
    """All photographs of a folder without labels, each a group of its own."""
    for path in sorted(folder.iterdir()):
        image = read_image(path)
        yield Photograph(path.stem, path.stem, folder.parent.name, image, np.zeros(image.shape[:2], bool))


def scores_of(segmenter: Segmenter, photographs: Iterator[Photograph]) -> tuple[list[str], list[str], Scores]:
    """Groups and sites of photographs, and of each all scores in the order of `NAMES`."""
    analysis = Analysis(segmenter.config.inference_size, num_samples=1, decomposed=True)
    groups, sites, rows = [], [], []
    for one in tqdm(photographs, unit="photo", mininterval=5.0):
        found = analyse(segmenter, one.image, analysis)
        if found.novelty is None or found.local_novelty is None:
            raise SystemExit(f"{_CHECKPOINT.value} has no novelty: fit it with python -m launch.novelty")
        local = found.local_novelty
        means = [float(getattr(found, name).mean(dtype=np.float64)) for name in _MAPS]
        rows.append([found.novelty.score, float(np.quantile(local, 0.9)), float((local > 1).mean()), *means])
        groups.append(one.group)
        sites.append(one.site)
    return groups, sites, np.array(rows)


def auroc(known: Float64[np.ndarray, "known"], other: Float64[np.ndarray, "others"]) -> float:
    """How often another photograph has a higher score than a known one."""
    return float(detection_between(score_histogram(known), score_histogram(other)).auroc)


def main(_: list[str]) -> None:
    """Prints a table for each part."""
    photographs, segmenter = Path(_PHOTOGRAPHS.value), load(_CHECKPOINT.value)
    inspection = photographs / "inspection_photos"
    ood = _kept("out_of_distribution", segmenter, others(photographs / "out_of_distribution" / "images"))
    validation = _kept("validation", segmenter, labelled(inspection, "validation"))
    limits = [group_quantile(column, validation[0], 1 - SHARE) for column in validation[2].T]
    for part in ("validation", "test") if _TEST.value else ("validation",):
        known = _kept(part, segmenter, labelled(inspection, part))
        without_rust = _kept(f"no_rust_{part}", segmenter, clean(photographs, part))
        print(_table(part, limits, known[2], {"out_of_distribution": ood[2], "no_rust": without_rust[2]}))
        novel = known[2][:, 0] > limits[0]
        sites = np.array(known[1])
        print("called novel by site:", {str(site): f"{novel[sites == site].mean():.3f}" for site in np.unique(sites)})


def _table(part: str, limits: list[float], known: Scores, other: dict[str, Scores]) -> str:
    head = ["score", f"{part}: above the limit"]
    head += [f"{name}: {what}" for name in other for what in ("AUROC", "above the limit")]
    rows = [head, ["---"] * len(head)]
    for number, name in enumerate(NAMES):
        cells = [name, f"{(known[:, number] > limits[number]).mean():.3f}"]
        for scores in other.values():
            share = (scores[:, number] > limits[number]).mean()
            cells += [f"{auroc(known[:, number], scores[:, number]):.3f}", f"{share:.3f}"]
        rows.append(cells)
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _kept(name: str, segmenter: Segmenter, photographs: Iterator[Photograph]) -> tuple[list[str], list[str], Scores]:
    # Of this very model: another one's scores are never taken for its own.
    path = Path(_OUTPUT.value) / f"{name}_{segmenter.fingerprint[:12]}.npz"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        groups, sites, scores = scores_of(segmenter, photographs)
        np.savez(path, groups=groups, sites=sites, scores=scores)
    with np.load(path) as file:
        return file["groups"].tolist(), file["sites"].tolist(), file["scores"]


if __name__ == "__main__":
    app.run(main)
