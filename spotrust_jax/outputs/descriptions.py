"""A model and an analysis in plain sentences, for the heads of the report and the workbook: what is known, what not."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from spotrust_jax.checkpoints import Score
from spotrust_jax.data.sizes import inference_shape
from spotrust_jax.outputs.summary import Row
from spotrust_jax.outputs.survey import SurveyRow
from spotrust_jax.outputs.writers import Model

_FRACTIONS = ("half", "a third", "a quarter", "a fifth", "a sixth", "a seventh", "an eighth", "a ninth", "a tenth")
UNKNOWN_KIND = "not of a kind the model knows: no grade"
"""What is said of a novel photograph."""

# The smallest share that is shown as a number.
_SMALLEST = 0.0001
# Reductions below which people need not be warned.
_MUCH = 2
# Pixels of the analysis along the side of one cell of the network's output.
_CELL = 4


class Statement(NamedTuple):
    """A fact about the model: what it is about, the sentence, and whether it limits what may be concluded."""

    about: str
    text: str
    warning: bool = False


class ScoreTable(NamedTuple):
    """Scores of a model card that are known for the same photographs.

    Attributes:
        measures: names of the columns.
        lines: what photographs they are of, and a score for each column.
    """

    measures: list[str]
    lines: list[tuple[str, list[Score]]]


def statements(model: Model, rows: Sequence[Row]) -> list[Statement]:
    """What a reader of areas and maps must know, about these photographs."""
    return [
        *_novelty(rows),
        _training(model),
        _calibration(model),
        _areas(model),
        _quality(model),
        *_scale(model, rows),
        _threshold(model),
    ]


def score_tables(scores: Sequence[Score]) -> list[ScoreTable]:
    """A table for all measures that were taken on the same photographs, in the order of the card."""
    places: dict[str, dict[str, Score]] = {}
    for score in scores:
        places.setdefault(score.measure, {})[score.on] = score
    tables: dict[tuple[str, ...], list[str]] = {}
    for measure, found in places.items():
        tables.setdefault(tuple(found), []).append(measure)
    return [
        ScoreTable(measures, [(on, [places[measure][on] for measure in measures]) for on in names])
        for names, measures in tables.items()
    ]


def estimate(share: float | None) -> str:
    """A share that is estimated, with no more digits than mean anything."""
    if share is None:
        return "–"
    return f"{100 * share:.{_digits(share)}f} %" if share == 0 or share >= _SMALLEST else f"below {_SMALLEST:.2%}"


def interval(row: Row | SurveyRow) -> str:
    """The interval of an area, rounded outwards so that it holds as often as the one that was measured."""
    if row.area_low is None or row.area_high is None:
        return "none, not calibrated"
    low, high = (
        rounded(100 * share * 10 ** _digits(share)) / 10 ** _digits(share)
        for rounded, share in ((math.floor, row.area_low), (math.ceil, row.area_high))
    )
    return f"{low:.{_digits(row.area_low)}f} to {high:.{_digits(row.area_high)}f} %"


def survey_conditions(survey: SurveyRow) -> str:
    """What the area of a survey is a mean of, and when its interval holds."""
    mean = (
        "Mean over photographs that all count the same, of what is judged in each: no share of the structure's surface."
    )
    folders = (
        "A folder stands for a structure. All photographs are in one folder and count as one structure, which makes "
        "the interval wide; put each structure into a folder of its own."
        if survey.structures == 1
        else f"A folder stands for a structure: here are {survey.structures}. Photographs in one folder count as one "
        "structure, because their errors are alike: more structures narrow the interval, more photographs hardly do."
    )
    held = (
        "There is no interval, because this model's areas were not compared with labelled photographs."
        if survey.area_low is None
        else f"The interval is to hold the true mean in {survey.area_level:.0%} of surveys of new structures of the "
        "kinds that the model's areas were compared on."
    )
    count = survey.novel
    novel = (
        f"{count} of the photographs {'is' if count == 1 else 'are'} not of a kind that the model knows: counted here, "
        "and the interval does not allow for it."
    )
    return " ".join([mean, folders, held, *([novel] if count else [])])


def _digits(share: float) -> int:
    """Decimals of a percentage."""
    return 0 if share == 0 or share >= 0.1 else 1 if share >= 0.01 else 2


def fraction_in_words(share: float) -> str:
    """A share of a size above 0: "a fifth" for about 0.2, "70%" between a half and the whole, "1.5 times" above it."""
    if share >= 1.05:
        return f"{share:.1f} times"
    if share >= 0.95:
        return "all"
    if share > 0.55:
        return f"{share:.0%}"
    parts = round(1 / share)
    return _FRACTIONS[parts - 2] if parts <= len(_FRACTIONS) + 1 else f"one part in {parts}"


def reduction(row: Row, scale: int | None) -> float:
    """The long side at which a photograph was analysed, as a share of its own."""
    return max(inference_shape(row.height, row.width, scale)) / max(row.height, row.width)


def scale_in_words(row: Row, scale: int | None) -> str:
    """At which size a photograph was analysed, and what that leaves out."""
    height, width = inference_shape(row.height, row.width, scale)
    share = reduction(row, scale)
    sizes = f"{width} x {height} of {row.width} x {row.height} pixels"
    if share >= 0.95:
        return f"Analysed at {sizes}."
    narrow = round(_CELL / share)
    part = fraction_in_words(share)
    return f"Analysed at {part} of its size ({sizes}): details narrower than {narrow} pixels may be missed."


def _novelty(rows: Sequence[Row]) -> list[Statement]:
    known = [row.novel for row in rows if row.novel is not None]
    if not rows:
        return []
    if not known:
        text = "This model has no novelty: it does not recognise photographs of kinds that it does not know."
        return [Statement("novelty", text, warning=True)]
    if note := novel_alert(rows):
        return [Statement("novelty", note, warning=True)]
    text = (
        f"None of the {len(known)} photographs was recognised as of a kind that the model does not know. Not all of "
        "such photographs are recognised."
    )
    return [Statement("novelty", text)]


def novel_alert(rows: Sequence[Row]) -> str:
    """How many photographs are novel and what follows, without their names; empty where none is."""
    known = [row.novel for row in rows if row.novel is not None]
    count = sum(known)
    if not count:
        return ""
    if count == len(known):
        which = "THE ONLY PHOTOGRAPH IS" if count == 1 else f"ALL {count} PHOTOGRAPHS ARE"
        return (
            f"{which} NOT OF A KIND THAT THE MODEL KNOWS: there is no grade, and areas and marks are not to be relied "
            "on. Use a model that was trained on such photographs."
        )
    which = f"{count} of {len(known)} photographs {'is' if count == 1 else 'are'} not of a kind that the model knows."
    return f"{which} Such photographs get no grade, and their areas and marks are not to be relied on."


def _training(model: Model) -> Statement:
    known = f"Its weights learnt from {model.trained_on:,} known images." if model.trained_on else ""
    if model.card.sources:
        text = (
            f"{known} Photographs of other kinds of structure, coating or light may give wrong results, and not all of "
            "them are recognised."
        )
        return Statement("training", text.strip())
    missing = "Its model card does not say what the photographs show, so nobody knows for which structures it is fit."
    return Statement("training", f"{known} {missing}".strip(), warning=True)


def _calibration(model: Model) -> Statement:
    if not model.calibrated:
        text = (
            "NOT CALIBRATED: its probabilities are no frequencies. Areas, expected missed areas and colours say where "
            "to look, not how much is corroded."
        )
        return Statement("calibration", text, warning=True)
    text = "Probabilities were calibrated on labelled photographs. They hold for photographs of those kinds."
    return Statement("calibration", text)


def _areas(model: Model) -> Statement:
    if not model.areas.groups:
        text = "There is NO INTERVAL for areas, because this model's areas were not compared with labelled photographs."
        return Statement("areas", text, warning=True)
    text = (
        f"Intervals were measured on {model.areas.groups} groups of labelled photographs (sites, flights) and are to "
        f"hold the true share for {model.area_level} of photographs of new groups of the same kind."
    )
    return Statement("areas", text)


def _quality(model: Model) -> Statement:
    scores = [score for score in model.card.scores if score.measure == "F1"]
    if not scores:
        text = "Its model card has no scores: how good it is on photographs that it has not seen is unknown."
        return Statement("quality", text, warning=True)
    worst, best = (choose(scores, key=lambda score: score.value) for choose in (min, max))
    shown = (f"{one.value:.2f} ({one.low:.2f} to {one.high:.2f}; {one.on})" for one in (worst, best))
    text = (
        f"On photographs that it had not seen, marks agree with outlines drawn by people by F1 {' to '.join(shown)}; "
        "1 would be full agreement. Expect less on other kinds of site."
    )
    return Statement("quality", text)


def _scale(model: Model, rows: Sequence[Row]) -> list[Statement]:
    shares = sorted(reduction(row, model.scale) for row in rows)
    if not shares:
        return []
    least, most = (fraction_in_words(share) for share in (shares[0], shares[-1]))
    if shares[0] >= 0.95:
        return [Statement("scale", "Photographs were analysed at their own size.")]
    sizes = f"{least} of their size" if least == most else f"between {least} and {most} of their size"
    at = f" ({model.scale} pixels on the long side)" if model.scale else ""
    narrow = round(_CELL / shares[0])
    text = f"Photographs were analysed at {sizes}{at}: details narrower than up to {narrow} pixels may be missed."
    return [Statement("scale", text, warning=shares[0] < 1 / _MUCH)]


def _threshold(model: Model) -> Statement:
    return Statement(
        "threshold", f"Pixels are marked from a probability of {model.threshold:.3f} ({model.threshold_rule})."
    )
