"""The class limits of standards that grade rust by its share of a surface, each with its source.

The standards' own texts were not read: limits are as public sources state them. How a share with an interval becomes a
set of grades is in assignment.py.
"""

import itertools
import math
from typing import NamedTuple


class Class(NamedTuple):
    """One grade.

    Attributes:
        label: as the standard writes it.
        limit: largest corroded share, 0 to 1, that the grade holds.
        inclusive: whether a share of exactly `limit` still has this grade.
    """

    label: str
    limit: float
    inclusive: bool = True

    def holds(self, share: float) -> bool:
        """Whether a share is not beyond the upper limit."""
        return share <= self.limit if self.inclusive else share < self.limit


class Standard(NamedTuple):
    """Grades in order, the best first; the last one holds every share up to 1.

    Attributes:
        name: short, as in reports.
        key: the same as part of the names of columns and fields.
        classes: the best first.
        rule: how a share becomes a grade, in words.
        remarks: what the share alone does not see.
        source: where the limits are from.
    """

    name: str
    key: str
    classes: tuple[Class, ...]
    rule: str
    remarks: str
    source: str


ASTM_D610 = Standard(
    "ASTM D610",
    "astm_d610",
    (
        Class("10", 0.0001),
        Class("9", 0.0003),
        Class("8", 0.001),
        Class("7", 0.003),
        Class("6", 0.01),
        Class("5", 0.03),
        Class("4", 0.10),
        Class("3", 0.16),
        Class("2", 0.33),
        Class("1", 0.50),
        Class("0", 1.0),
    ),
    "the corroded share is not above the limit of the class",
    "Stains and iron-bearing dirt are not rust; large structures are to be subdivided; paint with iron oxide misleads.",
    "ASTM D610-08(2012), Table 1, from a public copy",
)

# Reference pictures of Ri 1 to Ri 5. Ri 5 is given as 40 to 50%, of which this is the middle on a log scale.
_RI_PICTURES = (0.0005, 0.005, 0.01, 0.08, math.sqrt(0.40 * 0.50))
# Ri 0 has no rust at all, which has no logarithm: half a step below Ri 1, as wide as the half step above it.
_RI_NONE = _RI_PICTURES[0] * math.sqrt(_RI_PICTURES[0] / _RI_PICTURES[1])
_RI_BETWEEN = tuple(math.sqrt(one * other) for one, other in itertools.pairwise(_RI_PICTURES))
_RI_REMARKS = "The standard compares with reference pictures, whose areas are no limits of classes; edges are left out."
_RI_SOURCE = "ISO 4628-3, from two independent secondary accounts; edition 2024-11 replaces 2016"

ISO_4628_3 = Standard(
    "ISO 4628-3",
    "iso_4628_3",
    tuple(Class(f"Ri {i}", limit) for i, limit in enumerate((_RI_NONE, *_RI_BETWEEN, 1.0))),
    "the reference picture whose area is nearest on a log scale",
    _RI_REMARKS,
    _RI_SOURCE,
)

ISO_4628_3_NOT_ABOVE = Standard(
    "ISO 4628-3, not above",
    "iso_4628_3_not_above",
    tuple(Class(f"Ri {i}", limit) for i, limit in enumerate((0.0, *_RI_PICTURES[:4], 1.0))),
    "the first reference picture whose area the corroded share is not above",
    _RI_REMARKS,
    _RI_SOURCE,
)

IMO_1330 = Standard(
    "IMO MSC.1/Circ.1330",
    "imo_1330",
    (Class("GOOD", 0.03, inclusive=False), Class("FAIR", 0.20), Class("POOR", 1.0)),
    "the corroded share of the area under consideration",
    "Partial: the circular also judges edges, welds and hard scale, which a map of corrosion does not see.",
    "IMO MSC.1/Circ.1330 (ballast tanks), published text",
)

IMO_1399 = Standard(
    "IMO MSC.1/Circ.1399",
    "imo_1399",
    (Class("GOOD", 0.05, inclusive=False), Class("FAIR", 0.20, inclusive=False), Class("POOR", 1.0)),
    "the corroded share of the area under consideration",
    "Partial: the circular also judges edges, welds and hard scale, which a map of corrosion does not see.",
    "IMO MSC.1/Circ.1399 (cargo tanks), published text",
)

STANDARDS = (ASTM_D610, ISO_4628_3, ISO_4628_3_NOT_ABOVE, IMO_1330, IMO_1399)
