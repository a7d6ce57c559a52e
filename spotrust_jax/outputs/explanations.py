"""What each figure of the report and the workbook means, and what it does not, for people who are no statisticians."""

from typing import NamedTuple


class Explanation(NamedTuple):
    """A figure's name as pages show it, and a few plain sentences about it."""

    term: str
    text: str


EXPLANATIONS = {
    "photographs": Explanation(
        "photographs",
        "Photographs that were analysed. Those that could not be read are listed.",
    ),
    "with_marks": Explanation(
        "with marked pixels",
        "Photographs with at least one pixel marked as corrosion. Also photographs without any corrosion often have "
        "some marked pixels, so this is no count of corroded parts.",
    ),
    "checked": Explanation(
        "checked",
        "Photographs that somebody marked as checked on this page.",
    ),
    "failed": Explanation(
        "failed",
        "Files that could not be analysed. Nothing is known about them; reasons are listed.",
    ),
    "area": Explanation(
        "corroded area, estimate",
        "Estimated share of the judged area that is corroded: the whole picture, background included, unless a "
        "region was drawn or given. It is the mean of the calibrated probabilities, so it can differ from the "
        "marked area.",
    ),
    "interval": Explanation(
        "interval of the area",
        "Range that is to hold the true corroded share, at the stated rate: measured on labelled photographs, over "
        "many photographs of new sites of the same kind as those. It is no promise for this one photograph, nor for "
        "a kind of site that was not among them. Without calibration on labelled photographs there is no interval.",
    ),
    "grade": Explanation(
        "grade",
        "Grades that the standard gives to shares within the interval of the area. Several grades mean that the "
        "photograph does not decide. Grades of this program look at area alone; where the standard asks for more, "
        "you must judge it.",
    ),
    "novelty": Explanation(
        "not of a kind the model knows",
        "The photograph's features are further from all photographs that the model was trained on than those of most "
        "new photographs of known kinds. It gets no grade, and its area, interval and marks are not to be relied on. "
        "Novelty is the distance as a multiple of the limit. Few photographs of known kinds are above the limit, and "
        "not all photographs of other kinds are.",
    ),
    "survey_area": Explanation(
        "corroded area of the survey",
        "Mean of the photographs' estimated corroded shares; all photographs count the same. Photographs show what "
        "somebody chose to take, so it is no share of the surface of the structure.",
    ),
    "marked_area": Explanation(
        "marked area",
        "Share of all judged pixels whose probability reaches the threshold, exactly as they are drawn. It "
        "moves with the threshold and is a count of marks, not a measurement of corrosion.",
    ),
    "marked_pixels": Explanation(
        "marked pixels",
        "Number of marked pixels, of all pixels of the photograph.",
    ),
    "marked_size": Explanation(
        "marked size",
        "Marked pixels times the size of a pixel at the scale given. It holds only for surfaces that face the "
        "camera at the distance for which the scale was given.",
    ),
    "left_out": Explanation(
        "left out as uncertain",
        "Pixels that reach the threshold but whose disagreement is above the cut-off chosen here. They may well be "
        "corroded.",
    ),
    "expected_missed": Explanation(
        "expected missed area",
        "Share of the picture that is expected to be corrosion outside of the marks: the probabilities below the "
        "threshold, added up. It says what to look at first. It holds on average and only for photographs of the "
        "kinds that the model was calibrated on; what the model overlooks completely is not in it.",
    ),
    "sampled_spread": Explanation(
        "spread of the samples",
        "How far the marked areas of single samples or members of the model are apart. It is no error of the area: "
        "what all of them get wrong does not show.",
    ),
    "mean_epistemic": Explanation(
        "mean epistemic",
        "Mean over all pixels of the standard deviation of the probability between samples or members of the model. "
        "A technical figure: small values say that they agree, not that they are right. It is no error of the area.",
    ),
    "mean_entropy": Explanation(
        "mean entropy",
        "Mean over all pixels of how far the probability is from a clear yes or no, in nats, 0 to 0.69. A technical "
        "figure.",
    ),
    "mean_log_variance": Explanation(
        "mean log variance",
        "Mean of the model's second output, which is large where labels were noisy in training. A technical figure "
        "without a unit that could be compared between models.",
    ),
    "mean_local_novelty": Explanation(
        "mean local novelty",
        "Mean over all pixels of how far each place is from places in the photographs that the model was trained on. "
        "Few places of known kinds are above 1. A technical figure: whether a photograph counts as unknown is "
        "decided from all of it.",
    ),
    "position": Explanation(
        "position",
        "Where the camera was, from the photograph's own data (WGS 84), not of the rust.",
    ),
    "scale": Explanation(
        "scale of the analysis",
        "The model sees a reduced photograph. What is narrower than four of its pixels is smaller than one cell of "
        "the network and may be missed, or be marked too wide.",
    ),
    "threshold": Explanation(
        "threshold",
        "Probability from which a pixel is marked. A lower one marks more and gives more false alarms, a higher one "
        "misses more. Moving it here changes the marks alone, not the estimate of the area, its interval or the "
        "grade.",
    ),
    "cut_off": Explanation(
        "uncertainty cut-off",
        "Marked pixels on which samples or members of the model disagree more than this are drawn in orange and not "
        "counted.",
    ),
    "region": Explanation(
        "region",
        "Marked pixels that touch, numbered from the largest, as in regions.csv and in the picture. One spot of "
        "rust may be several regions and a region may be no rust.",
    ),
    "region_probability": Explanation(
        "probability of a region",
        "Mean probability of its pixels. It is not the probability that the region is corrosion.",
    ),
    "region_epistemic": Explanation(
        "epistemic of a region",
        "Mean over its pixels of the disagreement between samples or members of the model.",
    ),
    "F1": Explanation(
        "F1",
        "Agreement of marked pixels with outlines drawn by people, 0 to 1, on photographs that the model had not "
        "seen: twice the pixels in both, divided by the marked plus the outlined pixels. In brackets its 95% "
        "interval.",
    ),
    "calibration error above 0.1": Explanation(
        "calibration error above 0.1",
        "How far probabilities above 0.1 were from the share of pixels that was corroded, on average. 0 is best.",
    ),
    "Brier skill": Explanation(
        "Brier skill",
        "How much closer the probabilities were to the truth than saying the mean share everywhere. 1 is perfect, 0 "
        "no use.",
    ),
    "area marked": Explanation(
        "area marked",
        "Share of the pixels of photographs without any rust that was marked all the same: false alarms.",
    ),
    "photographs with over 1% marked": Explanation(
        "photographs with over 1% marked",
        "Share of photographs without any rust in which more than one pixel in a hundred was marked: false alarms.",
    ),
}
"""By the names that templates, scripts and the workbook use; scores of model cards by their own names."""
