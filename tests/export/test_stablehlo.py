"""The program against the library, after serialisation, at another size and batch than it was made with."""

import jax
import numpy as np
import pytest

from spotrust_jax.export.stablehlo import PLATFORMS, export_maps, flat_variables
from spotrust_jax.random import content_keys


@pytest.fixture(scope="module")
def program(ensemble):
    return jax.export.deserialize(export_maps(ensemble).serialize())


def test_equals_the_library_with_the_same_key(program, ensemble, images):
    key = jax.random.key(7)
    keys = np.asarray(jax.random.key_data(content_keys(key, images)))
    maps = program.call(flat_variables(ensemble), images, keys, np.int32(3))
    expected = ensemble.predict(images, key=key, num_samples=3, scale="native")
    assert expected.epistemic.mean() > 1e-3
    for name in ("probability", "epistemic", "log_variance"):
        difference = np.abs(maps[name] - getattr(expected, name))
        assert difference.max() <= 1e-4 and difference.mean() <= 1e-5, name


def test_is_for_all_platforms_and_sides_of_whole_cells(program, ensemble):
    assert program.platforms == PLATFORMS
    odd, keys = np.zeros((1, 64, 80, 3), np.uint8), np.zeros((1, 2), np.uint32)
    with pytest.raises(ValueError, match=r"32\*columns"):
        program.call(flat_variables(ensemble), odd, keys, np.int32(1))
