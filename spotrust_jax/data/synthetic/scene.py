"""One survey scene: a subject of steel in its surroundings, weathered, corroded or not, lit and photographed."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, UInt8

from spotrust_jax.data.synthetic import parts, surfaces
from spotrust_jax.data.synthetic.backgrounds import background, ground
from spotrust_jax.data.synthetic.camera import lit, photograph
from spotrust_jax.data.synthetic.corrosion import corrode
from spotrust_jax.data.synthetic.distractors import weathered
from spotrust_jax.data.synthetic.layers import Layer, Painting, cast_shadow, lay
from spotrust_jax.data.synthetic.lettering import with_card, with_lettering
from spotrust_jax.data.synthetic.sheet import Sheet, blank_sheet


@dataclass(frozen=True)
class SurveyConfig:
    """What is drawn. A version never changes its pictures: whoever changes the drawing code adds a version."""

    version: str
    # Share of the scenes that are drawn without any corrosion.
    clean_share: float
    # Share of the parts that corrode nearly all over; the others have a corroded fraction in this range.
    whole_share: float
    corroded_fraction: tuple[float, float]


SURVEY_SCENES = SurveyConfig("survey-1", clean_share=0.15, whole_share=0.04, corroded_fraction=(0.01, 0.6))

_PARTS = {parts.pipe: 0.3, parts.beam: 0.35, parts.railing: 0.2, parts.lattice: 0.15}


def draw_survey_scene(
    config: SurveyConfig, seed: int, index: int, size: int = 256
) -> tuple[UInt8[np.ndarray, "height width 3"], Bool[np.ndarray, "height width"]]:
    """Image and mask (true where corroded) of one scene, determined by version, size, seed and index alone."""
    sheet = blank_sheet(scene_generator(config.version, seed, index), size)
    corrodes = not sheet.bernoulli(config.clean_share)
    kind = sheet.choose({_surface_scene: 0.42, _part_scene: 0.41, _piece_scene: 0.17})
    canvas = kind(sheet, config, corrodes)
    radiance, coverage = _marked(sheet, canvas)
    return photograph(sheet, lit(sheet, radiance)), coverage >= 0.5


def scene_generator(version: str, seed: int, index: int) -> np.random.Generator:
    """The random generator that one scene is drawn with."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([*version.encode(), seed, index])))


def _surface_scene(sheet: Sheet, config: SurveyConfig, corrodes: bool) -> Painting:
    """A plate, floor or tank that fills the image or ends somewhere in it, perhaps with a part in front of it."""
    layer = sheet.choose({surfaces.plates: 0.4, surfaces.tread_plate: 0.4, surfaces.tank: 0.2})(sheet)
    if sheet.bernoulli(0.3):
        canvas = _empty(background(sheet))
        layer = surfaces.cut_off(sheet, layer)
    else:
        canvas = _empty(np.zeros((3, 1, 1), np.float32) + 0 * sheet.x)
    canvas = _add(sheet, canvas, layer, _fraction(sheet, config) if corrodes else 0.0)
    return _add_part(sheet, canvas, config, corrodes) if sheet.bernoulli(0.25) else canvas


def _part_scene(sheet: Sheet, config: SurveyConfig, corrodes: bool) -> Painting:
    """One to three parts in front of their surroundings; the nearest corrodes if anything does."""
    canvas = _empty(background(sheet))
    for _ in range(sheet.rng.integers(0, 3)):
        canvas = _add_part(sheet, canvas, config, corrodes and sheet.bernoulli(0.6))
    return _add_part(sheet, canvas, config, corrodes)


def _piece_scene(sheet: Sheet, config: SurveyConfig, corrodes: bool) -> Painting:
    """A loose piece of steel, corroded nearly all over, or a post that is."""
    if sheet.bernoulli(0.65):
        canvas, layer = _empty(ground(sheet)), parts.piece(sheet)
    else:
        canvas, layer = _empty(background(sheet)), parts.beam(sheet)
    return _add(sheet, cast_shadow(sheet, canvas, layer.alpha), layer, sheet.uniform(0.85, 1.0) if corrodes else 0.0)


def _add_part(sheet: Sheet, canvas: Painting, config: SurveyConfig, corrodes: bool) -> Painting:
    layer = sheet.choose(_PARTS)(sheet)
    return _add(sheet, cast_shadow(sheet, canvas, layer.alpha), layer, _fraction(sheet, config) if corrodes else 0.0)


def _empty(picture: np.ndarray) -> Painting:
    return Painting(picture, np.zeros_like(picture[0]))


def _add(sheet: Sheet, canvas: Painting, layer: Layer, fraction: float) -> Painting:
    """The layer as its years have left it, with this fraction of it corroded."""
    layer = weathered(sheet, layer)
    if not fraction:
        return lay(canvas, layer, np.zeros_like(sheet.x))
    return lay(canvas, *corrode(sheet, layer, fraction))


def _fraction(sheet: Sheet, config: SurveyConfig) -> float:
    """Fraction of a part that corrodes: each order of magnitude as often as another, and sometimes nearly all."""
    if sheet.bernoulli(config.whole_share):
        return sheet.uniform(0.8, 1.0)
    return float(np.exp(sheet.uniform(*np.log(config.corroded_fraction))))


def _marked(sheet: Sheet, canvas: Painting) -> Painting:
    """With the cards and the writing that inspections and cameras leave."""
    radiance, coverage = canvas
    if sheet.bernoulli(0.12):
        radiance = with_lettering(sheet, radiance)
    if sheet.bernoulli(0.55):
        radiance, coverage = with_card(sheet, radiance, coverage)
    return Painting(radiance, coverage)
