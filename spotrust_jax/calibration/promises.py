"""Thresholds that keep an error that the user fears at or below a level in expectation, and what that promises.

All are conformal risk control over groups (Angelopoulos, Bates, Fisch, Lei and Schuster, Conformal Risk Control, ICLR
2024, Theorem 1), which asks for a loss of each group, 0 to 1, that only grows, or only falls, with the threshold. False
discovery does neither. Of each group it is replaced by the largest value at this or any higher threshold: that never
rises as the threshold does and is nowhere below the loss, so the theorem holds for it, and the loss is no larger.

Where no threshold keeps the level nothing is promised. What is bounded then is the expectation of the loss, counted as
0 where there is no promise; given that there is one the loss may be larger, where promises are seldom made.
"""

import dataclasses
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float64

from spotrust_jax.calibration.conformal import needed_groups
from spotrust_jax.calibration.fitting import conformal_threshold, of_groups
from spotrust_jax.errors import InputError
from spotrust_jax.fields import is_finite, shown

Fear = Literal["miss_rate", "false_discovery", "clean_marked"]

TOLERANCE = 0.01
"""Share of the pixels of a photograph without corrosion up to which it counts as not marked."""

# A threshold that finds less of the corrosion than this keeps its promise by marking next to nothing.
_FOUND = 0.01

_ERROR = {
    "miss_rate": "a miss rate",
    "false_discovery": "a false discovery rate",
    "clean_marked": "a share of clean photographs marked",
}


class PromiseRequest(NamedTuple):
    """What a threshold is to promise: the error, its level, and the tolerance of photographs without corrosion."""

    fear: Fear
    level: float
    tolerance: float = TOLERANCE


class Marked(NamedTuple):
    """What thresholds mark in photographs, as shares of a photograph's pixels.

    Attributes:
        corrosion, sound: marked pixels that are corrosion, and that are none, at each threshold.
        corroded: share of each photograph that is corrosion.
    """

    corrosion: Float64[np.ndarray, "photographs thresholds"]
    sound: Float64[np.ndarray, "photographs thresholds"]
    corroded: Float64[np.ndarray, "photographs"]

    def chosen(self, which: Bool[np.ndarray, "photographs"]) -> "Marked":
        """Some of the photographs."""
        return Marked(*(values[which] for values in self))


@dataclasses.dataclass(frozen=True)
class Promise:
    """What a threshold promises, kept in the checkpoint.

    Attributes:
        fear: the error that is kept at or below `level`; "" where nothing is promised.
        level: of its expectation.
        tolerance: share of the pixels up to which a photograph without corrosion counts as not marked.
        photographs, groups: that the promise was measured on.
        clean: share of photographs without corrosion among all that were there.
        found: mean share of corrosion that the threshold finds in them, which is not promised; so is
        false_discovery: mean share of marked pixels that are none.
    """

    fear: Literal["", "miss_rate", "false_discovery", "clean_marked"] = ""
    level: float = 0.1
    tolerance: float = TOLERANCE
    photographs: int = 0
    groups: int = 0
    clean: float = 0.0
    found: float = 0.0
    false_discovery: float = 0.0

    def __post_init__(self) -> None:
        shares = ("tolerance", "clean", "found", "false_discovery")
        if not 0 < self.level < 1:
            raise InputError(f"the level of the threshold's promise is {shown(self.level)}: give one between 0 and 1")
        for name in shares:
            value = getattr(self, name)
            if not (is_finite(value) and 0 <= value <= 1):
                raise InputError(f"{name} of the threshold's promise is {shown(value)}: give a share from 0 to 1")

    @property
    def words(self) -> str:
        """The promise in one line."""
        counted = f"{self.photographs} photographs in {self.groups} groups"
        return {
            "": "nothing is promised",
            "miss_rate": f"at most {self.level:g} of the corrosion of a group that has some missed in expectation, on "
            f"{self.photographs} photographs with corrosion in {self.groups} groups",
            "false_discovery": f"at most {self.level:g} of what is marked in a photograph of a new group no corrosion "
            f"in expectation, on {counted}",
            "clean_marked": f"at most {self.level:g} of the photographs without corrosion marked on more than "
            f"{self.tolerance:.1%} of their pixels, on {self.photographs} photographs without corrosion in "
            f"{self.groups} groups",
        }[self.fear]

    @property
    def conditions(self) -> list[str]:
        """When it holds, what it cannot promise, and what was measured beside it, one sentence each."""
        if not self.fear:
            return []
        mixed = f", {self.clean:.0%} of them without corrosion as here" if self.fear == "false_discovery" else ""
        rest = {
            "miss_rate": "how much of what is marked is no corrosion",
            "false_discovery": "how much corrosion is missed",
            "clean_marked": "how much corrosion is missed, nor how much of what is marked elsewhere is none",
        }[self.fear]
        return [
            f"It holds for photographs of new groups that are like these{mixed}, analysed at the same size, at this "
            f"threshold.",
            "It is a mean over groups, and over which groups calibrate, those that lead to a refusal included: it says "
            "nothing of a single photograph.",
            f"It does not promise {rest}. On these photographs the threshold finds {self.found:.0%} of the corrosion "
            f"of a group, and {self.false_discovery:.0%} of what it marks is none (measured, not promised).",
        ]


def marked_shares(
    probability: Float[np.ndarray, "*shape"],
    truth: Bool[np.ndarray, "*shape"],
    thresholds: Float64[np.ndarray, "thresholds"],
) -> tuple[Float64[np.ndarray, "thresholds"], Float64[np.ndarray, "thresholds"], float]:
    """What `Marked` has of one photograph."""
    corrosion, sound = (
        len(scores) - np.searchsorted(np.sort(scores), thresholds, side="left")
        for scores in (probability[truth], probability[~truth])
    )
    pixels = max(truth.size, 1)
    return corrosion / pixels, sound / pixels, float(truth.sum() / pixels)


def losses(marked: Marked, wanted: PromiseRequest) -> Float64[np.ndarray, "photographs thresholds"]:
    """The error of each photograph at each threshold: of those that `counted` says it is of."""
    if wanted.fear == "miss_rate":
        corroded = marked.corroded[:, None]
        return (corroded - marked.corrosion) / np.where(corroded > 0, corroded, 1)
    if wanted.fear == "false_discovery":
        total = marked.sound + marked.corrosion
        return marked.sound / np.where(total > 0, total, 1)
    return (marked.sound > wanted.tolerance).astype(np.float64)


def counted(marked: Marked, wanted: PromiseRequest) -> Bool[np.ndarray, "photographs"]:
    """The photographs that an error is of: a miss is of those with corrosion, false discovery of all."""
    if wanted.fear == "false_discovery":
        return np.ones(len(marked.corroded), bool)
    return (marked.corroded > 0) == (wanted.fear == "miss_rate")


def promised_threshold(
    marked: Marked, groups: Sequence[str], thresholds: Float64[np.ndarray, "thresholds"], wanted: PromiseRequest
) -> tuple[float, Promise]:
    """The threshold that finds most, or marks least that is wrong, under the promise that is wanted.

    With the loss of group i at a threshold L_i, and n groups that are exchangeable with the new one, the mean of the
    losses plus the worst that the new one can do, (sum of L_i + 1) / (n + 1), is at most the level. For a miss rate it
    is the highest such threshold, else the lowest at and above which it holds.

    Raises:
        InputError: where there are too few groups for the level, or no threshold that finds any corrosion to speak of
            keeps the promise.
    """
    of_fear = counted(marked, wanted)
    names = np.asarray(groups)[of_fear].tolist()
    fewest, there = needed_groups(wanted.level), len(set(names))
    if there < fewest:
        whose = {"miss_rate": " with corrosion", "false_discovery": "", "clean_marked": " without corrosion"}
        raise InputError(
            f"{_ERROR[wanted.fear]} of {wanted.level:g} cannot be promised from {there} groups, whatever the "
            f"threshold: give photographs{whose[wanted.fear]} of {fewest} or more, or a higher level"
        )
    of_each = of_groups(losses(marked.chosen(of_fear), wanted), names)
    if wanted.fear == "miss_rate":
        rising, tried = of_each, thresholds
    else:
        rising, tried = np.maximum.accumulate(of_each[:, ::-1], axis=1), thresholds[::-1]
    if (rising[:, 0].sum() + 1) / (there + 1) > wanted.level:
        raise InputError(_unreached(wanted))
    raw = conformal_threshold(rising, tried, wanted.level)
    found, false = (_mean(marked, groups, thresholds, raw, PromiseRequest(fear, 0.5)) for fear in _MEASURED)
    if 1 - found < _FOUND:
        raise InputError(_unreached(wanted))
    clean = float((marked.corroded == 0).mean())
    return raw, Promise(*wanted, len(names), there, clean, 1 - found, false)


_MEASURED: tuple[Fear, ...] = ("miss_rate", "false_discovery")


def _mean(
    marked: Marked,
    groups: Sequence[str],
    thresholds: Float64[np.ndarray, "thresholds"],
    threshold: float,
    wanted: PromiseRequest,
) -> float:
    """Mean over groups of an error at one of the thresholds."""
    of_error = counted(marked, wanted)
    if not of_error.any():
        return 0.0
    found = losses(marked.chosen(of_error), wanted)[:, [int(np.searchsorted(thresholds, threshold))]]
    return float(of_groups(found, np.asarray(groups)[of_error].tolist()).mean())


def _unreached(wanted: PromiseRequest) -> str:
    return (
        f"{_ERROR[wanted.fear]} of {wanted.level:g} is reached at no threshold that finds even {_FOUND:.0%} of the "
        f"corrosion of these photographs, so it is not promised: give a higher level, or a better model"
    )
