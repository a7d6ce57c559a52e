"""Pictures on request: their pixels and levels against the known maps."""

import dataclasses

import matplotlib
import numpy as np
import pytest
from PIL import Image

from spotrust_jax.batch.folder import analyse_photographs
from spotrust_jax.batch.photograph_job import Job
from spotrust_jax.inference.analysis import Analysis
from spotrust_jax.inference.preprocessing import list_photographs
from spotrust_jax.io import streamed_files
from spotrust_jax.outputs import rendering
from spotrust_jax.outputs.picture_options import PictureOptions
from tests.inference.known_segmenter import KnownSegmenter, known_maps


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (70, 50, 3), np.uint8)


@pytest.fixture
def job(tmp_path, image):
    (tmp_path / "in").mkdir()
    Image.fromarray(image).save(tmp_path / "in" / "a.png")
    return Job(tmp_path / "out", Analysis(None, 2), 0.5)


def run(job):
    photographs = list_photographs(str(job.output.parent / "in"))
    segmenter = KnownSegmenter()
    list(analyse_photographs([segmenter], photographs, job))
    return len(segmenter.calls)


def pixels(job, name):
    return np.asarray(Image.open(job.output / f"a_{name}.png"))


@pytest.mark.parametrize("at_once", [4_000_000, 500])
def test_plain_maps_and_levels_have_a_pixel_for_each_of_the_photographs(job, image, monkeypatch, at_once):
    monkeypatch.setattr(streamed_files, "_PIXELS_AT_ONCE", at_once)
    run(dataclasses.replace(job, picture_options=PictureOptions(plain=True, levels=True)))
    known = known_maps(image)
    expected = matplotlib.colormaps["viridis"](known.probability, bytes=True)[..., :3]
    np.testing.assert_array_equal(pixels(job, "probability_plain"), expected)
    np.testing.assert_array_equal(pixels(job, "epistemic_plain"), pixels(job, "epistemic")[:, :50])
    np.testing.assert_array_equal(pixels(job, "aleatoric_plain"), pixels(job, "aleatoric")[:, :50])
    for name, values in (
        ("probability", known.probability),
        ("epistemic", known.epistemic),
        ("aleatoric", known.log_variance),
    ):
        picture = Image.open(job.output / f"a_{name}_16bit.png")
        assert picture.mode == "I;16"
        text = picture.info["Description"].split()  # value = lower + range * level / 65535
        read = float(text[2]) + float(text[4]) * np.asarray(picture).astype(np.float64) / 65535
        np.testing.assert_allclose(read, values, atol=0.51 * float(text[4]) / 65535)


def test_palette_and_opacity(job, image):
    run(dataclasses.replace(job, style=rendering.Style(rendering.COLOUR_BLIND, 1.0)))
    mask = image[..., 0] / 255 >= 0.5
    blue = (86, 180, 233)
    np.testing.assert_array_equal(pixels(job, "mask"), np.where(mask[..., None], blue, 0))
    np.testing.assert_array_equal(pixels(job, "overlay"), np.where(mask[..., None], blue, image))
    colours = matplotlib.colormaps["cividis"](np.arange(256), bytes=True)[:, :3]
    found = pixels(job, "epistemic")[:, :50].reshape(-1, 3)
    assert {tuple(colour) for colour in found} <= {tuple(colour) for colour in colours}


def test_panel_shows_all_side_by_side(job, image):
    run(dataclasses.replace(job, picture_options=PictureOptions(panel=True)))
    panel = pixels(job, "panel")
    # Somewhere in it is the photograph, to the right of it the overlay.
    below_title = panel.shape[0] - 70
    np.testing.assert_array_equal(panel[below_title:, :50], image)
    overlay = rendering.overlay_picture(image, image[..., 0] / 255 >= 0.5)
    places = [x for x in range(panel.shape[1] - 49) if (panel[below_title:, x : x + 50] == overlay).all()]
    assert len(places) == 1 and places[0] > 50
    assert panel.shape[1] > 5 * 50


def test_another_look_is_done_again_and_the_usual_one_is_not(job):
    assert run(job) == 1 and run(job) == 0
    assert run(dataclasses.replace(job, picture_options=PictureOptions(plain=True))) == 1
    assert run(dataclasses.replace(job, style=rendering.Style(opacity=0.2))) == 1
