"""What thresholds promise, held against photographs that chose none of them, with clean photographs mixed in.

python -m experiments.detector.promises --measured=OUTPUT/validation_512_ID.npz \
    --clean=OUTPUT/no_rust_validation_512_ID.npz

Half of the groups choose the threshold and the other half are held against it, again and again. So many photographs as
each share says are clean ones: of these, or of the others, some are left out.
"""

from pathlib import Path

import numpy as np
from absl import app, flags
from scipy.special import expit

from experiments.detector.measure import EDGES, Measured, load
from spotrust_jax.calibration.fitting import of_groups
from spotrust_jax.calibration.promises import Fear, Marked, PromiseRequest, counted, losses, promised_threshold
from spotrust_jax.errors import InputError

_MEASURED = flags.DEFINE_string("measured", None, "Measured photographs with corrosion.", required=True)
_CLEAN = flags.DEFINE_string("clean", None, "Measured photographs without corrosion.", required=True)
_LEVEL = flags.DEFINE_float("level", 0.1, "Level that is promised.")

_DIVISIONS = 50
_SHARES = (0.0, 0.3, 0.7)
_THRESHOLDS = expit(EDGES[:-1])


def marked(measured: Measured) -> Marked:
    """Shares of each photograph that thresholds at the lower edges of the bins mark."""
    pixels = (measured.corrosion + measured.background).sum(axis=1)[:, None]
    above = (counts[:, ::-1].cumsum(axis=1)[:, ::-1] / pixels for counts in (measured.corrosion, measured.background))
    return Marked(*above, measured.corrosion.sum(axis=1) / pixels[:, 0])


def mixed(measured: Measured, clean: Measured, share: float, generator: np.random.Generator) -> Measured:
    """Photographs of whole groups of both, of which so many are clean; as many as there are."""
    wanted = [len(measured.names), round(len(measured.names) * share / (1 - share))]
    if wanted[1] > len(clean.names):
        wanted = [round(len(clean.names) * (1 - share) / share), len(clean.names)]
    parts = []
    for one, count in zip((measured, clean), wanted, strict=True):
        names, place, sizes = np.unique(np.asarray(one.groups), return_inverse=True, return_counts=True)
        order = generator.permutation(len(names))
        taken = order[sizes[order].cumsum() <= count]
        parts.append(one.chosen(np.isin(place, taken)))
    texts = (one + other for one, other in zip(parts[0][:3], parts[1][:3], strict=True))
    return Measured(*texts, *(np.concatenate(columns) for columns in zip(parts[0][3:], parts[1][3:], strict=True)))


def realised(measured: Measured, clean: Measured, share: float, wanted: PromiseRequest) -> list[tuple[float, float]]:
    """The error on the groups that are held back, and the share of corrosion found; none where it is not promised."""
    generator, found = np.random.default_rng(0), []
    for _ in range(_DIVISIONS):
        both = mixed(measured, clean, share, generator)
        names, place = np.unique(np.asarray(both.groups), return_inverse=True)
        chooses = (generator.permutation(len(names)) < len(names) // 2)[place]
        known, new = both.chosen(chooses), both.chosen(~chooses)
        try:
            raw, _ = promised_threshold(marked(known), known.groups, _THRESHOLDS, wanted)
        except InputError:
            continue
        values = [_mean(new, raw, one) for one in (wanted, PromiseRequest("miss_rate", 0.5))]
        found.append((values[0], 1 - values[1]))
    return found


def _mean(measured: Measured, threshold: float, wanted: PromiseRequest) -> float:
    """Mean over groups of an error at a threshold."""
    seen = marked(measured)
    which = counted(seen, wanted)
    column = losses(seen.chosen(which), wanted)[:, [int(np.searchsorted(_THRESHOLDS, threshold))]]
    return float(of_groups(column, np.asarray(measured.groups)[which].tolist()).mean())


def main(_: list[str]) -> None:
    """Prints a table."""
    measured, clean = load(Path(_MEASURED.value)), load(Path(_CLEAN.value))
    fears: tuple[Fear, ...] = ("miss_rate", "false_discovery", "clean_marked")
    print("| promised | clean photographs | realised mean | standard error | corrosion found | promises made |")
    print("|---|---|---|---|---|---|")
    for fear in fears:
        for share in _SHARES:
            found = np.array(realised(measured, clean, share, PromiseRequest(fear, _LEVEL.value)))
            cells = ["-", "-", "-"]
            if len(found):
                error = found[:, 0].std(ddof=1) / np.sqrt(len(found))
                cells = [f"{value:.3f}" for value in (found[:, 0].mean(), error, found[:, 1].mean())]
            made = f"{len(found)} of {_DIVISIONS}"
            print(f"| {fear} {_LEVEL.value:g} | {share:.0%} | {' | '.join(cells)} | {made} |")


if __name__ == "__main__":
    app.run(main)
