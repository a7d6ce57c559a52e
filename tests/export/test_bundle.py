"""A bundle from its files alone: the comparison with the library, its README, and bundles that cannot be used."""

import dataclasses
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import ExifTags, Image

import spotrust_jax
from spotrust_jax.errors import InputError, RunError
from spotrust_jax.export.bundle import read_description, write_bundle
from spotrust_jax.export.verify import read_photographs, verify
from spotrust_jax.inference.segmenter import Segmenter
from spotrust_jax.io.images import read_image
from tests.data.icc_profiles import DISPLAY_P3, matrix_profile, srgb_decoded

ONNX = all(importlib.util.find_spec(name) for name in ("onnx", "onnxruntime"))

NUM_SAMPLES = 5  # as `verify` takes, so that nothing is compiled twice


@pytest.fixture(scope="module")
def bundle(single, tmp_path_factory):
    """A bundle, with ONNX files where there is onnx, and beside it the photograph that its README names."""
    folder = tmp_path_factory.mktemp("exported") / "a bundle"
    write_bundle(single, folder, onnx=ONNX)
    return folder


@pytest.fixture(scope="module")
def photograph(tmp_path_factory):
    """Portrait of 9:16, stored lying on its side, in the colours of another profile than sRGB."""
    path = tmp_path_factory.mktemp("photographs") / "photograph.jpg"
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    profile = matrix_profile(DISPLAY_P3, srgb_decoded)
    image = np.random.default_rng(1).integers(0, 256, (9, 16, 3), np.uint8)
    Image.fromarray(image).resize((160, 90), Image.Resampling.BICUBIC).save(path, exif=exif, icc_profile=profile)
    return path


@pytest.fixture(scope="module")
def differences(bundle, photograph, compilation_cache):
    return verify(bundle, read_photographs(str(photograph), 64))


def test_verified_files_are_within_the_limits(differences):
    assert all(difference.within for difference in differences), differences
    program = [difference for difference in differences if difference.files == "model.stablehlo, variables.npz"]
    assert [difference.kind for difference in program] == ["probability", "epistemic", "log_variance"]


@pytest.mark.skipif(not ONNX, reason="needs the packages onnx and onnxruntime, which are not installed")
def test_verified_files_are_also_those_of_onnx(differences):
    files = {difference.files for difference in differences}
    assert files == {"model.stablehlo, variables.npz", "features_0.onnx, decode_0.onnx"}


def test_not_a_number_is_beyond_the_limits(differences):
    assert not differences[0]._replace(largest=float("nan")).within


def test_readme_runs_without_the_library_and_gives_its_maps(bundle, single, photograph, differences, compilation_cache):
    code = re.search(r"```python\n(.*?)```", (bundle / "README.md").read_text(), re.DOTALL)[1]
    shutil.copy(photograph, bundle)
    # Passes for which the library's program is there already.
    code = code.replace("np.int32(24)", f"np.int32({NUM_SAMPLES})")
    code += "import sys\nassert not any(name.startswith(('spotrust', 'flax', 'orbax')) for name in sys.modules)\n"
    code += "np.savez('maps', image=image, mask=mask, **maps)\n"
    _python(code, bundle, compilation_cache)
    with np.load(bundle / "maps.npz") as maps:
        np.testing.assert_array_equal(maps["image"], read_image(photograph))
        expected = single.predict(read_image(photograph), num_samples=NUM_SAMPLES)
        assert maps["probability"].shape == (160, 90)
        np.testing.assert_allclose(maps["probability"], expected.probability, atol=1e-4)
        np.testing.assert_allclose(maps["epistemic"], expected.epistemic, atol=1e-4)
        assert (maps["mask"] == expected.mask()).mean() > 0.999


@pytest.mark.skipif(not ONNX, reason="needs the packages onnx and onnxruntime, which are not installed")
def test_readme_of_onnx_runs(bundle, single, photograph):
    code = re.findall(r"```python\n(.*?)```", (bundle / "README.md").read_text(), re.DOTALL)[1]
    shutil.copy(photograph, bundle)
    code += "assert all(m.shape[2:] == (1, 1) for m in masks)\n"
    _python(code + "assert probability.shape == (1, 64, 32) and np.isfinite(probability).all()\n", bundle, None)


def _python(code, folder, cache):
    environment = {**os.environ, "JAX_COMPILATION_CACHE_DIR": cache or ""}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_checkpoint_and_description_are_those_of_the_model(bundle, single):
    again, description = spotrust_jax.load(bundle / "checkpoint"), read_description(bundle)
    assert again.fingerprint == single.fingerprint == description.fingerprint
    assert (description.noise, description.threshold, description.members) == ("mask", 0.4, 1)


@pytest.fixture
def copy(bundle, tmp_path):
    return shutil.copytree(bundle, tmp_path / "copy")


@pytest.mark.parametrize("name", ["model.stablehlo", "variables.npz", "checkpoint", "README.md", "photographs.py"])
def test_missing_file(copy, name):
    path = copy / name
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(InputError, match=rf"copy has no {re.escape(name)}, which its bundle\.json names: export again"):
        verify(copy, [])


def test_descriptions_that_are_none(copy):
    path = copy / "bundle.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 2}))
    with pytest.raises(InputError, match="not of bundle format 1: use the version"):
        read_description(copy)
    path.write_text("{")
    with pytest.raises(InputError, match="not JSON"):
        read_description(copy)
    path.unlink()
    with pytest.raises(InputError, match=r"is no bundle: it has no bundle\.json"):
        read_description(copy)


def test_checkpoint_of_another_version_and_of_another_model(copy):
    path = copy / "checkpoint" / "config.json"
    values = json.loads(path.read_text())
    path.write_text(json.dumps({**values, "threshold": 0.1}))
    with pytest.raises(RunError, match="is not the model that was exported"):
        verify(copy, [])
    path.write_text(json.dumps({**values, "format": 99}))
    with pytest.raises(InputError, match="not of checkpoint format 1"):
        verify(copy, [])


def _shorten(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _with_arrays(path, change):
    with np.load(path) as file:
        arrays = dict(file)
    name = max(arrays)
    np.savez(path, **{key: value for key, value in arrays.items() if key != name}, **change(name, arrays[name]))


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("model.stablehlo", lambda path: path.write_bytes(b"no program")),
        ("model.stablehlo", _shorten),
        ("variables.npz", _shorten),
        ("variables.npz", lambda path: _with_arrays(path, lambda name, array: {})),
        ("variables.npz", lambda path: _with_arrays(path, lambda name, array: {name: array * np.nan})),
    ],
)
def test_files_that_are_damaged(copy, photograph, name, damage):
    damage(copy / name)
    with pytest.raises(InputError, match="do not run without the library") as caught:
        verify(copy, read_photographs(str(photograph), 64))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"threshold": 2}, r"bundle\.json has threshold 2\.0, the checkpoint beside it 0\.4: export again"),
        ({"std": [0, 0.3, 0.2]}, r"bundle\.json has std \(0\.0, 0\.3, 0\.2\), the checkpoint"),
        ({"members": 3}, r"bundle\.json has members 3, the checkpoint beside it 1"),
        ({"calibration": {"slope": -1.0}}, "slope of a calibration is -1"),
        ({"files": 3}, "bundle.files is 3: give a list"),
        ({"files": ["x" * 300]}, "copy has no xxx"),
    ],
)
def test_descriptions_of_another_model(copy, change, words):
    path = copy / "bundle.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(InputError, match=words):
        verify(copy, [])


@pytest.mark.parametrize("contents", [b"[" * 100_000, b"\xff\xfe\xff", b'{"format": 1}'])
def test_descriptions_that_are_damaged(copy, contents):
    (copy / "bundle.json").write_bytes(contents)
    with pytest.raises(InputError, match=r"bundle\.json is (not JSON|damaged)"):
        verify(copy, [])


def test_output_that_exists_or_cannot_be_written(single, bundle, tmp_path):
    with pytest.raises(InputError, match="exists: give a new folder"):
        write_bundle(single, bundle, onnx=False)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written"):
        write_bundle(single, tmp_path / "file" / "bundle", onnx=False)


def test_failed_export_leaves_nothing(single, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "spotrust_jax.export.bundle.write_program", lambda *_: (_ for _ in ()).throw(OSError(28, "full"))
    )
    with pytest.raises(InputError, match=r"cannot be written \(full\)"):
        write_bundle(single, tmp_path / "bundle", onnx=False)
    assert list(tmp_path.iterdir()) == []


def test_photographs_that_are_none(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_photographs(str(tmp_path / "nothing"), 64)
    with pytest.raises(InputError, match="has no photographs"):
        read_photographs(str(tmp_path), 64)
    (tmp_path / "broken.jpg").write_bytes(b"no photograph")
    with pytest.raises(InputError, match=r"broken\.jpg is damaged"):
        read_photographs(str(tmp_path), 64)


def test_drawn_kernels_have_no_onnx_file(single, tmp_path):
    pytest.importorskip("onnx", reason="needs the package onnx, which is not installed")
    model = dataclasses.replace(single.config.model, variant="variational", estimator="kernel")
    drawing = Segmenter({"params": jnp.zeros(1)}, dataclasses.replace(single.config, model=model))
    with pytest.raises(InputError, match=r"model\.estimator=kernel, which draws weights: leave --onnx out"):
        write_bundle(drawing, tmp_path / "bundle", onnx=True)
