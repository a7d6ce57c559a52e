"""Promises of thresholds: how often they are kept for new groups, in simulations with clean photographs mixed in."""

import numpy as np
import pytest
from scipy.special import expit

from spotrust_jax.calibration.promises import (
    Marked,
    Promise,
    PromiseRequest,
    counted,
    losses,
    marked_shares,
    promised_threshold,
)
from spotrust_jax.errors import InputError

_LOGITS = np.linspace(-9, 9, 181)
_THRESHOLDS = expit(_LOGITS)


def _photographs(generator, groups, clean):
    """Photographs of one to three a group, that share half of what they are off by; some show no corrosion.

    Shares of pixels above each threshold in closed form: logits of sound pixels and of corrosion are logistic.
    """
    place = np.repeat(np.arange(groups), generator.integers(1, 4, groups))
    shift = generator.normal(0, 0.7, groups)[place] + generator.normal(0, 0.7, len(place))
    corroded = np.where(generator.random(len(place)) < clean, 0.0, generator.uniform(0.02, 0.4, len(place)))
    # In some, sound parts look more like rust than rust does, so false discovery rises with the threshold.
    confusing = np.where(generator.random(len(place)) < 0.1, 2.0, -4.0)
    sound = (1 - corroded)[:, None] * expit(1.5 * (confusing + shift)[:, None] - 1.5 * _LOGITS)
    corrosion = corroded[:, None] * expit((2 + shift)[:, None] - _LOGITS)
    few = 1e-4  # less than a pixel
    return Marked(np.where(corrosion < few, 0, corrosion), np.where(sound < few, 0, sound), corroded), place.astype(str)


@pytest.mark.parametrize("clean", [0.0, 0.3, 0.7])
@pytest.mark.parametrize("fear", ["miss_rate", "false_discovery", "clean_marked"])
def test_promises_are_kept_for_new_groups(fear, clean):
    if fear == "clean_marked" and not clean:
        clean = 0.1
    generator, wanted, realised = np.random.default_rng(1), PromiseRequest(fear, 0.2), []
    for _ in range(150):
        marked, groups = _photographs(generator, 120, clean)
        raw, promise = promised_threshold(marked, groups.tolist(), _THRESHOLDS, wanted)
        new, of_new = _photographs(generator, 60, clean)
        which, column = counted(new, wanted), int(np.searchsorted(_THRESHOLDS, raw))
        found, names = losses(new, wanted)[which, column], of_new[which]
        realised.append(np.mean([found[names == name].mean() for name in set(names)]))
        assert promise.fear == fear and promise.found > 0.01
    assert 0.1 < np.mean(realised) <= 0.2 + 2 * np.std(realised) / np.sqrt(len(realised))


def test_false_discovery_that_rises_with_the_threshold_is_held_at_every_higher_one():
    # Everything marked is right at 0.4, and wrong at 0.6 and above; a search from below would stop at 0.4.
    thresholds = np.array([0.2, 0.4, 0.6, 0.8])
    marked = Marked(np.tile([0.4, 0.4, 0.0, 0.0], (30, 1)), np.tile([0.4, 0.0, 0.2, 0.0], (30, 1)), np.full(30, 0.5))
    with pytest.raises(InputError, match=r"false discovery rate of 0.1 is reached at no threshold that finds even 1%"):
        promised_threshold(marked, list(map(str, range(30))), thresholds, PromiseRequest("false_discovery", 0.1))


def test_thresholds_are_those_of_the_bound_by_hand():
    # Nineteen groups, of which k fail at the k-th threshold: (k + 1) / 20 is at most 0.2 for k up to 3.
    thresholds, wrong = np.linspace(0.1, 0.9, 9), np.arange(19)[:, None] < np.arange(9)[None]
    names, some = list(map(str, range(19))), np.full(19, 0.5)
    missing = Marked(np.where(wrong, 0.0, 0.5), np.zeros((19, 9)), some)
    raw, promise = promised_threshold(missing, names, thresholds, PromiseRequest("miss_rate", 0.2))
    assert raw == thresholds[3] and (promise.groups, promise.photographs) == (19, 19)
    assert promise.found == pytest.approx(16 / 19)
    # The same from the other end.
    false = Marked(np.where(wrong[:, ::-1], 0.0, 0.5), np.where(wrong[:, ::-1], 0.5, 0.0), some)
    raw, promise = promised_threshold(false, names, thresholds, PromiseRequest("false_discovery", 0.2))
    assert raw == thresholds[5] and promise.false_discovery == pytest.approx(3 / 19)


@pytest.mark.parametrize(
    ("fear", "words"),
    [
        ("miss_rate", "a miss rate of 0.1 cannot be promised from 8 groups.*photographs with corrosion of 9 or more"),
        ("false_discovery", "a false discovery rate of 0.05 cannot be promised from 14 groups.* of 19 or more"),
        ("clean_marked", "clean photographs marked of 0.1 cannot be promised from 6 groups.*without corrosion of 9 or"),
    ],
)
def test_too_few_groups(fear, words):
    corroded = np.array([0.3] * 8 + [0.0] * 6)
    nothing = np.zeros((14, len(_THRESHOLDS)))
    level = 0.05 if fear == "false_discovery" else 0.1
    with pytest.raises(InputError, match=words):
        promised_threshold(
            Marked(nothing, nothing, corroded), list(map(str, range(14))), _THRESHOLDS, PromiseRequest(fear, level)
        )


def test_a_promise_that_marks_nothing_is_refused():
    # Clean photographs are marked at every threshold that finds corrosion.
    marked = Marked(
        np.tile(0.3 * (_LOGITS < 3), (40, 1)) * (np.arange(40) < 20)[:, None],
        np.tile(0.1 * (_LOGITS < 5), (40, 1)),
        np.where(np.arange(40) < 20, 0.3, 0.0),
    )
    with pytest.raises(InputError, match=r"is reached at no threshold .* so it is not promised"):
        promised_threshold(marked, list(map(str, range(40))), _THRESHOLDS, PromiseRequest("clean_marked", 0.1))


def test_a_miss_rate_that_no_threshold_reaches_is_refused_for_that_reason():
    # Half of the corrosion has probability 0: more groups would not help.
    missing = Marked(np.full((30, len(_THRESHOLDS)), 0.15), np.zeros((30, len(_THRESHOLDS))), np.full(30, 0.3))
    with pytest.raises(InputError, match=r"a miss rate of 0.1 is reached at no threshold"):
        promised_threshold(missing, list(map(str, range(30))), _THRESHOLDS, PromiseRequest("miss_rate", 0.1))


def test_the_bound_counts_draws_of_groups_that_are_refused():
    # False discovery is 0.2 at every threshold: few draws promise 0.1, and all of these promises are broken.
    generator, made, names = np.random.default_rng(0), 0, list(map(str, range(19)))
    for _ in range(500):
        wrong = (generator.random(19) < 0.2)[:, None] & np.ones(3, bool)
        marked = Marked(np.where(wrong, 0.0, 0.3), np.where(wrong, 0.3, 0.0), np.full(19, 0.3))
        try:
            promised_threshold(marked, names, np.array([0.3, 0.5, 0.7]), PromiseRequest("false_discovery", 0.1))
            made += 1
        except InputError:
            pass
    assert 0 < 0.2 * made / 500 < 0.1


def test_marked_shares_are_those_of_masks():
    generator = np.random.default_rng(0)
    p, truth = generator.random((12, 9)).astype(np.float32), generator.random((12, 9)) < 0.3
    corrosion, sound, corroded = marked_shares(p, truth, np.array([0.0, 0.5, float(p.max())]))
    for k, threshold in enumerate((0.0, 0.5, p.max())):
        mask = p >= threshold
        assert (corrosion[k], sound[k]) == ((mask & truth).mean(), (mask & ~truth).mean())
    assert corroded == truth.mean()


def test_words_name_level_numbers_and_conditions():
    promise = Promise("false_discovery", 0.1, 0.01, 60, 25, 0.3, 0.4, 0.08)
    assert "at most 0.1 of what is marked" in promise.words and "60 photographs in 25 groups" in promise.words
    text = " ".join(promise.conditions)
    assert "30% of them without corrosion" in text and "does not promise how much corrosion is missed" in text
    assert "finds 40% of the corrosion" in text and "nothing of a single photograph" in text
    assert Promise().conditions == []
    with pytest.raises(InputError, match=r"promise is 2.0: give a share"):
        Promise(found=2.0)
