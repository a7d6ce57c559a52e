"""Tiles cover every pixel with weights that sum to one, and blend to the moments of the mixture, in float64 numpy."""

import numpy as np
import pytest

from spotrust_jax.inference.prediction import Prediction
from spotrust_jax.inference.tiling import TileBlend, in_memory, plan_tiles


@pytest.mark.parametrize(("tile_size", "overlap"), [(64, 32), (256, 32), (1024, 128)])
def test_tiles_cover_and_weigh_one(tile_size, overlap):
    for length in (tile_size + 1, 2 * tile_size, 5 * tile_size + 77, 50 * tile_size + 5):
        axis = plan_tiles(length, 40, tile_size, overlap).rows
        total = np.zeros(length)
        for start, weight in zip(axis.starts, axis.weights, strict=True):
            total[start : start + axis.side] += weight
        np.testing.assert_allclose(total, 1, atol=1e-6)
        assert axis.side <= tile_size and axis.side % 32 == 0
        assert axis.starts[0] == 0 and axis.starts[-1] + axis.side == length
        assert all(start % 32 == 0 for start in axis.starts[:-1])
        assert (axis.weights > 0).all()
        ends = np.array(axis.starts[:-1]) + axis.side
        assert (ends - axis.starts[1:] >= overlap).all() and (np.diff(axis.starts) > 0).all()
        # Where a tile meets its neighbour its edge counts next to nothing.
        assert axis.weights[0, -1] < 0.1 and axis.weights[1, 0] < 0.1


def test_one_tile_where_it_covers_the_photograph():
    tiling = plan_tiles(500, 64, 512, 64)
    assert tiling.shape == (500, 64)
    assert [tiling.window(tile) for tile in tiling.tiles()] == [(slice(0, 500), slice(0, 64))]


def test_work_is_linear_in_pixels():
    def share(side):
        tiling = plan_tiles(side, side, 1024, 128)
        return len(list(tiling.tiles())) * np.prod(tiling.shape) / side**2

    shares = [share(side) for side in range(2000, 12_000, 250)]
    assert max(shares) / min(shares) < 1.15


def test_blend_has_the_moments_of_the_mixture():
    rng = np.random.default_rng(0)
    tiling = plan_tiles(100, 150, 64, 32)
    names = ("weight", "probability", "epistemic", "log_variance", "augmentation")
    # Summed in float64 from the definition: mean of the means, mean of the squares.
    sums = {name: np.zeros((100, 150)) for name in (*names, "square", "spread")}
    blend = TileBlend(tiling, in_memory)
    for tile in tiling.tiles():
        # Deviations far below the probabilities would be lost if squares were summed in float32.
        scales = (1.0, 1e-4, 1.0, 1e-2)
        maps = [(scale * rng.random(tiling.shape)).astype(np.float32) for scale in scales]
        maps[0] = (0.9 + 1e-4 * maps[0]).astype(np.float32)
        blend.add(tile, Prediction(*maps[:3], 0.5, augmentation=maps[3]))
        window = tiling.window(tile)
        weight = np.outer(tiling.rows.weights[tile.row], tiling.columns.weights[tile.column]).astype(np.float64)
        probability, epistemic, log_variance, augmentation = (values.astype(np.float64) for values in maps)
        sums["weight"][window] += weight
        sums["probability"][window] += weight * probability
        sums["square"][window] += weight * (epistemic**2 + probability**2)
        sums["log_variance"][window] += weight * log_variance
        sums["spread"][window] += weight * augmentation**2
    blended = blend.finish()
    mean = {name: values / sums["weight"] for name, values in sums.items()}
    np.testing.assert_allclose(blended.probability, mean["probability"], rtol=1e-6)
    std = np.sqrt(mean["square"] - mean["probability"] ** 2)
    np.testing.assert_allclose(blended.epistemic, std, rtol=2e-3, atol=1e-8)
    np.testing.assert_allclose(blended.log_variance, mean["log_variance"], atol=1e-6)
    np.testing.assert_allclose(blended.augmentation, np.sqrt(mean["spread"]), rtol=1e-5)
