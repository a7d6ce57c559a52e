"""Which photographs to look at again, which to take again, and how well such an order finds what was missed.

docs/report.md says in words what the numbers mean.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image
from scipy import ndimage

# What full corrosion and a photograph wholly unlike training add to a score of 100, at most. The second, and that it is
# squared, was chosen on validation scenes: with more weight the order finds less there.
_AREA_WEIGHT, _UNFAMILIAR_WEIGHT = 1 / 4, 1 / 8
# The picture is judged at this long side at most: the network sees no more, and noise of the sensor matters less.
_JUDGED_SIDE = 512
# Retaking helps where doubt is at least so much (nats a pixel) and passes agree about so much of it.
_DOUBT, _ALEATORIC_SHARE = 0.02, 0.5
# Brightness of the lighter pixels below which a picture is dark, share of white pixels from which it is overexposed,
# and share of the contrast that lies between neighbouring pixels below which it is blurred.
_DARK, _OVEREXPOSED, _BLURRED = 50, 0.2, 0.012
_WHITE = 250

_RESAMPLES = 1000


class Quality(NamedTuple):
    """What a photograph's pixels say about how it was taken.

    Attributes:
        brightness: of the 95th percentile, 0 to 255.
        white: share of pixels without detail because they are too bright.
        sharpness: variance of the Laplacian over the variance of the brightness; 0 where nothing is to be seen.
    """

    brightness: float
    white: float
    sharpness: float


class Ranking(NamedTuple):
    """Shares of all missed corrosion that are found by looking at some photographs again.

    Attributes:
        found: in the order of the score.
        low, high: ends of its 95% bootstrap interval over photographs.
        random: on average in random order.
        perfect: in the best order there is.
    """

    found: float
    low: float
    high: float
    random: float
    perfect: float


def review_score(area: float, entropy: float, mutual_information: float, unfamiliarity: float) -> float:
    """What a second look is worth, 0 to 100: 100 (1 - (1 - q) (1 - a / 4) (1 - u^2 / 8)).

    The doubt q is the entropy in bits, which counts fully where it is all disagreement between passes, which a person
    can settle, and half where it is none: H / log 2 (1 + I / H) / 2.

    Args:
        area: corroded share a, 0 to 1: what is missed lies near what is found.
        entropy: mean total entropy H of the pixels, in nats.
        mutual_information: the part I of it that passes or members disagree about, in nats.
        unfamiliarity: any score u from 0, like the training photographs, to 1, such as `unfamiliarity`.
    """
    doubt = (entropy + mutual_information) / (2 * math.log(2))
    unlike = _UNFAMILIAR_WEIGHT * unfamiliarity**2
    return 100 * (1 - (1 - min(doubt, 1.0)) * (1 - _AREA_WEIGHT * area) * (1 - unlike))


def unfamiliarity(
    image: UInt8[np.ndarray, "height width 3"], mean: Sequence[float], deviation: Sequence[float]
) -> float:
    """How far a photograph's colours are from those of training, 0 to 1: 1 - exp(-d / 2).

    d is the mean over the channels of the squared difference of the means, in training's deviations, and of the squared
    logarithm of the ratio of the deviations. It sees other light and other cameras, not other things.
    """
    step = max(1, max(image.shape) // (_JUDGED_SIDE // 2))
    pixels = image[::step, ::step].reshape(-1, 3).astype(np.float32) / 255
    shift = (pixels.mean(axis=0) - np.array(mean)) / np.array(deviation)
    spread = np.log(np.maximum(pixels.std(axis=0), 1 / 255) / np.array(deviation))
    return float(1 - np.exp(-np.mean(shift**2 + spread**2) / 2))


def quality(image: UInt8[np.ndarray, "height width 3"]) -> Quality:
    """Of a photograph, or of one that was made smaller."""
    grey = Image.fromarray(image).convert("L")
    grey.thumbnail((_JUDGED_SIDE, _JUDGED_SIDE))
    levels = np.asarray(grey, np.float32)
    variance = float(levels.var())
    detail = float(ndimage.laplace(levels).var())
    white = float(np.mean(levels >= _WHITE))
    return Quality(float(np.percentile(levels, 95)), white, detail / variance if variance else 0.0)


def retake_advice(seen: Quality, entropy: float, mutual_information: float) -> str:
    """Why a photograph should be taken again, such as "dark" or "blurred and overexposed"; empty where it should not.

    Only where the doubt is mostly in the picture, not between passes; those a person should rather look at.
    """
    if entropy < _DOUBT or mutual_information > (1 - _ALEATORIC_SHARE) * entropy:
        return ""
    reasons = {
        "dark": seen.brightness < _DARK,
        "blurred": seen.sharpness < _BLURRED,
        "overexposed": seen.white >= _OVEREXPOSED,
    }
    return " and ".join(reason for reason, holds in reasons.items() if holds)


def evaluate_ranking(
    scores: Float[np.ndarray, "photographs"], missed: Float[np.ndarray, "photographs"], share: float = 0.2
) -> Ranking | None:
    """How much of the missed corrosion (pixels of each photograph) the highest scores have; None where none is missed.

    Args:
        scores: of each photograph; equal ones count as if in random order.
        missed: corroded pixels that the mask leaves out.
        share: of the photographs that are looked at again, rounded up.
    """
    if not missed.any():
        return None
    drawn = np.random.default_rng(0).integers(len(scores), size=(_RESAMPLES, len(scores)))
    found = [_found(scores[places], missed[places], share) for places in drawn if missed[places].any()]
    low, high = np.quantile(found, [0.025, 0.975]).tolist()
    random = _looked_at(len(scores), share) / len(scores)
    return Ranking(_found(scores, missed, share), low, high, random, _found(missed, missed, share))


def _looked_at(count: int, share: float) -> int:
    return math.ceil(share * count - 1e-9)


def _found(scores: Float[np.ndarray, "photographs"], missed: Float[np.ndarray, "photographs"], share: float) -> float:
    count = _looked_at(len(scores), share)
    last = np.sort(scores)[::-1][count - 1]
    above, equal = scores > last, scores == last
    return float((missed[above].sum() + missed[equal].mean() * (count - above.sum())) / missed.sum())
