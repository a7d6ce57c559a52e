"""The report on a job's photographs: what its page shows of each, kept until the end, and then the page."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64, UInt8

from spotrust_jax.inference.preprocessing import Photograph
from spotrust_jax.io.atomic_files import atomic_file
from spotrust_jax.io.streamed_files import windows
from spotrust_jax.outputs.map_files import Result
from spotrust_jax.outputs.region_writer import read_label_places, read_regions
from spotrust_jax.outputs.rendering import display_range, small_photograph
from spotrust_jax.outputs.summary import Row
from spotrust_jax.outputs.writers import Run
from spotrust_jax.report import preview
from spotrust_jax.report.levels import Steps, epistemic_levels, joint_counts, probability_levels, slider_steps, sparse
from spotrust_jax.report.page import INLINE_LIMIT, page_files, write_report
from spotrust_jax.report.parts import detail_part, thumbnail_part, write_detail


@dataclasses.dataclass(frozen=True)
class ReportWriter:
    """report.html. Comes after a `RegionWriter`; the analysis must be decomposed.

    Attributes:
        inline: whether the report is one file; None decides by the number of photographs.
    """

    inline: bool | None = None

    @property
    def settings(self) -> Mapping[str, Any]:
        """None: what is kept of a photograph is the same for every page."""
        return {}

    def photograph_files(self, output: Path, photograph: Photograph) -> list[Path]:
        """What is kept of a photograph for the page."""
        stem = str(photograph.stem)
        return [detail_part(output, stem), thumbnail_part(output, stem)]

    def write(self, output: Path, photograph: Photograph, row: Row, result: Result) -> Row:
        """Keeps what the page shows of a photograph; the row has the expected missed area."""
        stem = str(photograph.stem)
        steps = slider_steps(result.threshold)
        small = small_photograph(result.image)
        counts, shown, aleatoric = _levels(result, steps)
        threshold = np.searchsorted(steps.probability, np.float32(result.threshold))
        lines, places = read_regions(output, stem)[0], read_label_places(output, stem)
        detail = {
            "outputs": row.outputs,
            "size": [row.height, row.width],
            "map_size": list(shown.shape[:2]),
            "photograph": preview.data_url(preview.jpeg(small)),
            "judged": None if result.judged is None else preview.data_url(preview.png(_judged(result))),
            "levels": preview.data_url(preview.png(shown)),
            "aleatoric": aleatoric,
            "counts": sparse(counts),
            "regions": [
                {**line._asdict(), "row": top, "column": left}
                # The page lists those that it can number; the tables have all of them.
                for line, (top, left) in zip(lines, places, strict=False)
            ],
        }
        write_detail(detail_part(output, stem), detail)
        with atomic_file(thumbnail_part(output, stem)) as partial:
            partial.write_bytes(preview.thumbnail(small, (shown[..., 0] > threshold) & (_judged(result) > 0)))
        return dataclasses.replace(row, expected_missed_fraction=expected_missed_fraction(result))

    def run_files(self, output: Path, suffix: str) -> list[Path]:
        """The page, and the folder beside it."""
        return list(page_files(output, suffix))

    def finish(self, run: Run) -> Path:
        """Writes the page."""
        inline = len(run.analysed) <= INLINE_LIMIT if self.inline is None else self.inline
        return write_report(run, inline=inline)


def expected_missed_fraction(result: Result) -> float:
    """Share of what is judged of a photograph that is expected to be corrosion outside of the mask.

    That is the mean over its pixels of the calibrated probability where it is below the threshold, else 0.
    """
    missed, pixels = 0.0, 0
    for window in windows(*result.image.shape[:2]):
        probability = result.judged_values(result.rows("probability", window), window)
        missed += float(probability[probability < result.threshold].sum(dtype=np.float64))
        pixels += probability.size
    return missed / pixels


def _judged(result: Result) -> UInt8[np.ndarray, "height width"]:
    """255 where the pixels that are shown are judged, else 0."""
    shape = result.image.shape[:2]
    places = np.ix_(*preview.map_places(*shape))
    judged = np.broadcast_to(True, shape) if result.judged is None else result.judged
    return np.where(judged[places], np.uint8(255), np.uint8(0))


def _levels(
    result: Result, steps: Steps
) -> tuple[Int64[np.ndarray, "levels cut_offs"], UInt8[np.ndarray, "height width 3"], list[float]]:
    """Pixels by level, the levels of the pixels that are shown, and the range of the third one, the aleatoric."""
    height, width = result.image.shape[:2]
    rows, columns = preview.map_places(height, width)
    lower, upper = display_range(result.prediction.log_variance[::2, ::2])
    shown, counts = np.empty((len(rows), len(columns), 3), np.uint8), []
    for window in windows(height, width):
        values = [result.rows(name, window) for name in ("probability", "epistemic", "log_variance")]
        levels = probability_levels(values[0], steps), epistemic_levels(values[1], steps)
        probability, epistemic = (result.judged_values(level, window).reshape(1, -1) for level in levels)
        counts.append(joint_counts(probability, epistemic, steps))
        places = slice(*np.searchsorted(rows, [window.start, window.stop]))
        taken = np.ix_(rows[places] - window.start, columns)
        scaled = np.clip((values[2][taken] - lower) / (upper - lower), 0, 1)
        shown[places] = np.stack([levels[0][taken], levels[1][taken], np.rint(255 * scaled)], axis=-1)
    return np.sum(counts, axis=0), shown, [lower, upper]
