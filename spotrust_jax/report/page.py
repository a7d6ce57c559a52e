"""The page itself: a template, its script and style, and the data of all photographs put together.

writer.py has what is kept of each photograph.
"""

import datetime
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import jinja2
import numpy as np
from markupsafe import Markup

from spotrust_jax.errors import InputError
from spotrust_jax.io.atomic_files import atomic_file, atomic_folder
from spotrust_jax.io.written_files import record_folder
from spotrust_jax.outputs.descriptions import (
    UNKNOWN_KIND,
    estimate,
    interval,
    novel_alert,
    scale_in_words,
    score_tables,
    statements,
    survey_conditions,
)
from spotrust_jax.outputs.explanations import EXPLANATIONS
from spotrust_jax.outputs.rendering import scale_colours
from spotrust_jax.outputs.summary import WHOLE, Row, grades
from spotrust_jax.outputs.survey import survey_rows
from spotrust_jax.outputs.writers import Run
from spotrust_jax.report.levels import slider_steps
from spotrust_jax.report.parts import detail_json, detail_part, script_json, thumbnail_part
from spotrust_jax.report.preview import data_url

INLINE_LIMIT = 60
"""Photographs up to which a report is one file by default."""

_ASSETS = Path(__file__).parent / "assets"
_TEMPLATE = "report.html"
_SCRIPTS = ("report.js", "inspection.js", "printing.js", "drawing.js", "start.js")
"""Joined in this order into one script."""

# Figures that print explains beside what is not on paper.
_GLOSSARY = (
    "area",
    "interval",
    "grade",
    "novelty",
    "survey_area",
    "marked_area",
    "marked_size",
    "expected_missed",
    "region",
    "scale",
    "threshold",
)


def page_files(output: Path, suffix: str) -> tuple[Path, Path]:
    """The page, and the folder of what lies beside it."""
    return output / f"report{suffix}.html", output / f"report{suffix}_files"


def write_report(run: Run, *, inline: bool) -> Path:
    """Writes the page of a run and returns its path.

    Args:
        run: in whose folder lies what `ReportWriter` kept of each photograph.
        inline: whether everything is in the one file; else pictures and maps are in the folder beside it.

    Raises:
        InputError: where something else has the folder's name, or the template asks for what there is not.
    """
    path, files = page_files(run.output, run.suffix)
    if files.exists() and not files.is_dir():
        raise InputError(f"{files} is no folder, and the report needs one of this name: move it away")
    shown = run.analysed
    areas = survey_rows(shown, run.model.areas)
    content = {
        "model": run.model,
        "created": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "rows": run.rows,
        "failed": [row for row in run.rows if row.status != "ok"],
        "shown": shown,
        "with_marks": sum(row.corroded_fraction > 0 for row in shown),
        "novel": sum(bool(row.novel) for row in shown),
        "with_novelty": any(row.novel is not None for row in shown),
        "novel_alert": novel_alert(shown),
        "unknown_kind": UNKNOWN_KIND,
        "areas": areas,
        "area_conditions": survey_conditions(areas[0]) if areas else "",
        "statements": statements(run.model, shown),
        "scores": score_tables(run.model.card.scores),
        "explanations": EXPLANATIONS,
        "glossary": _GLOSSARY,
        "data": Markup(script_json(_overview(run, None if inline else files.name))),
        "details": _details(run) if inline else (),
        "style": Markup((_ASSETS / "report.css").read_text(encoding="utf-8")),
        "script": Markup("".join((_ASSETS / name).read_text(encoding="utf-8") for name in _SCRIPTS)),
    }
    # What an earlier report had is gone first, so that no page shows another run's pictures.
    path.unlink(missing_ok=True)
    shutil.rmtree(files, ignore_errors=True)
    if not inline:
        _write_files(run, files)
    _render(path, content)
    return path


def _render(path: Path, content: dict) -> None:
    loader = jinja2.FileSystemLoader(_ASSETS)
    environment = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined)
    environment.filters |= {
        "percent": _percent,
        "number": _number,
        "estimate": estimate,
        "interval": interval,
        "grade": _first_grade,
    }
    environment.trim_blocks = environment.lstrip_blocks = True
    try:
        with atomic_file(path) as partial, partial.open("w", encoding="utf-8", errors="replace") as file:
            file.writelines(environment.get_template(_TEMPLATE).generate(content))
    except jinja2.UndefinedError as error:
        raise InputError(f"template {_ASSETS / _TEMPLATE} asks for a field that there is not: {error}") from error


def _overview(run: Run, files: str | None) -> dict:
    """What the page has from the start, of all photographs."""
    steps = slider_steps(run.model.threshold)
    return {
        "files": files,
        "threshold": int(np.searchsorted(steps.probability, np.float32(run.model.threshold))),
        "area_level": run.model.area_level,
        "unknown_kind": UNKNOWN_KIND,
        "probability_steps": _short(steps.probability),
        "epistemic_steps": _short(steps.epistemic),
        "explanations": {name: one._asdict() for name, one in EXPLANATIONS.items()},
        "viridis": scale_colours("viridis").ravel().tolist(),
        "photographs": [_card(run, number, row, files) for number, row in enumerate(run.analysed)],
    }


def _card(run: Run, number: int, row: Row, files: str | None) -> dict:
    part = thumbnail_part(run.output, row.outputs)
    names = ("outputs", "height", "width", "corroded_fraction", "mean_epistemic", "mean_entropy", "mean_log_variance")
    names += ("expected_missed_fraction", "area", "area_low", "area_high", "regions", "millimetres_per_pixel")
    names += ("sampled_area_low", "sampled_area_high", "sampled_area_note", "latitude", "longitude")
    names += ("judged", "judged_pixels", "area_level", "novelty", "novel", "novelty_note", "mean_local_novelty")
    shown = {
        "area": estimate(row.area),
        "interval": interval(row),
        "expected_missed": estimate(row.expected_missed_fraction),
        "grades": _grades(row),
    }
    return {
        "name": _display_name(row),
        "thumbnail": data_url(part.read_bytes()) if files is None else f"{files}/{number:06}.jpg",
        "scale_text": scale_in_words(row, run.model.scale),
        "shown": shown,
        **{name: getattr(row, name) for name in names},
    }


def _grades(row: Row) -> list[str]:
    """The sets of grades, or why there are none."""
    if row.novel:
        return [f"none: {UNKNOWN_KIND.split(':')[0]}"]
    found = grades(row)
    of = f" (judged: {row.judged})" if row.judged == WHOLE else ""
    return [f"{one}{of}" for one in found if one.labels] or [f"none: {found[0].refusal}"]


def _display_name(row: Row) -> str:
    return Path(row.photograph).name


def _details(run: Run) -> Iterator[Markup]:
    """One after the other, so that not all are in memory."""
    return (Markup(detail_json(detail_part(run.output, row.outputs))) for row in run.analysed)


def _write_files(run: Run, files: Path) -> None:
    """Parts under numbers instead of names, so that no name needs to survive being an address."""
    with atomic_folder(files) as partial:
        for number, row in enumerate(run.analysed):
            _same_file(detail_part(run.output, row.outputs), partial / f"{number:06}.js")
            _same_file(thumbnail_part(run.output, row.outputs), partial / f"{number:06}.jpg")
        # Who looks for photographs below the output is not to take these for some.
        record_folder(run.output, files, partial)


def _same_file(source: Path, target: Path) -> None:
    """A second name of the file; a copy where the disk knows no such thing."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _first_grade(row: Row) -> str:
    """Of the first standard that has one; why there is none is in the viewer and in the print."""
    return next((str(one) for one in grades(row) if one.labels), "none")


def _short(values: np.ndarray) -> list[float]:
    """Without the digits that float32 does not have."""
    return [float(f"{value:.7g}") for value in values.tolist()]


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.2f} %"


def _number(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:.{digits}f}"
