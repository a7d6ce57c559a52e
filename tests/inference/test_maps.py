"""The table of maps is what predictions, files, summary and documentation go by."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from spotrust_jax.inference.maps import Combination, markdown_table
from spotrust_jax.inference.prediction import MAPS, Prediction
from spotrust_jax.inference.test_time_augmentation import combine
from spotrust_jax.inference.tiling import TileBlend, in_memory, plan_tiles
from spotrust_jax.outputs.map_files import map_endings
from spotrust_jax.outputs.summary import Row

DOCUMENTATION = Path(__file__).resolve().parents[2] / "docs" / "uncertainty.md"


def random_prediction(rng, shape):
    """All maps, within their ranges."""
    ranges = {name: described.range or (-3.0, 3.0) for name, described in MAPS.items()}
    return Prediction(
        **{name: rng.uniform(*ends, shape).astype(np.float32) for name, ends in ranges.items()}, threshold=0.5
    )


def expected(rule, weights, values, probabilities):
    """From the definitions, in float64; parts on the leading axis, weights that sum to one over it."""
    mean = (weights * probabilities).sum(axis=0)
    between = (weights * (probabilities - mean) ** 2).sum(axis=0)
    within = (weights * values**2).sum(axis=0)
    return {
        Combination.MEAN: (weights * values).sum(axis=0),
        Combination.WITHIN: np.sqrt(within),
        Combination.BETWEEN: np.sqrt(between),
        Combination.TOTAL: np.sqrt(within + between),
    }[rule]


@pytest.mark.parametrize("name", MAPS)
def test_augmentations_combine_as_the_table_says(name):
    parts = [random_prediction(np.random.default_rng(seed), (5, 6)) for seed in range(3)]
    values, probabilities = (np.array([getattr(p, one) for p in parts], np.float64) for one in (name, "probability"))
    found = getattr(combine(parts), name)
    wanted = expected(MAPS[name].augmentations, np.full((3, 1, 1), 1 / 3), values, probabilities)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", MAPS)
def test_tiles_combine_as_the_table_says(name):
    tiling = plan_tiles(64, 100, 64, 32)
    tiles, blend = list(tiling.tiles()), TileBlend(tiling, in_memory)
    shape = (3, len(tiles), 64, 100)
    weights, values, probabilities = np.zeros(shape)
    for tile in tiles:
        part = random_prediction(np.random.default_rng(tile.number), tiling.shape)
        blend.add(tile, part)
        place = (tile.number, *tiling.window(tile))
        weights[place], values[place] = tiling.pixel_weights(tile), getattr(part, name)
        probabilities[place] = part.probability
    found = getattr(blend.finish(), name)
    wanted = expected(MAPS[name].tiles, weights, values, probabilities)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


def test_summary_has_a_mean_of_every_map_and_files_a_picture_of_each_that_is_drawn():
    columns = [field.name for field in dataclasses.fields(Row)]
    assert [f"mean_{name}" for name in MAPS if f"mean_{name}" not in columns] == []
    pictures = [described.picture for described in MAPS.values() if described.picture and described.picture.always]
    assert {f"_{picture.name}.png" for picture in pictures} <= set(map_endings())


def test_documentation_has_the_table():
    table = markdown_table(MAPS)
    assert table in DOCUMENTATION.read_text(), f"put this into {DOCUMENTATION.name}:\n{table}"
