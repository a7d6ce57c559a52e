"""The script for lent accelerators, on the CPU with a tiny network: what it carries, installs, runs and brings back."""

import csv
import io
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

from experiments.detector.half_weights import load_half, save_half
from experiments.detector.sites import COUNTS, SITES
from spotrust_jax.data.synthetic import SurveySceneDataset
from spotrust_jax.models.segmenter import ModelConfig, variable_shapes
from tests.compilation import xla_flags

REPOSITORY = Path(__file__).resolve().parents[2]
SIDE = 64
MODEL = ModelConfig("deterministic", "w18_small_v1", width=4)


def _write_photographs(folder: Path) -> None:
    """Of each site two to train, one to validate and one to test, as assemble.py lays them."""
    for name in ("data/images", "data/masks", "unlabelled/images"):
        (folder / name).mkdir(parents=True)
    splits = [(site, split) for site in SITES for split in ("train", "train", "validation", "test")]
    scenes = SurveySceneDataset("train", len(splits) + 2, SIDE)
    with (folder / "data" / "splits.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("name", "split", "group", "site"))
        for number, (site, split) in enumerate([*splits, ("other", "train"), ("other", "train")]):
            name, scene = f"{site}_{number}", scenes[number]
            Image.fromarray(scene.image).save(folder / "data" / "images" / f"{name}.webp", lossless=True)
            Image.fromarray(np.uint8(scene.mask) * 255).save(folder / "data" / "masks" / f"{name}.png")
            table.writerow((name, split, name, site))


def _write_wheel(folder: Path, marker: Path) -> None:
    """A package that Python imports when it starts, and that then leaves a file: so it was installed and found."""
    folder.mkdir()
    info = "carried-1.0.dist-info"
    with zipfile.ZipFile(folder / "carried-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("sitecustomize.py", f"import pathlib\npathlib.Path({str(marker)!r}).touch()\n")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: carried\nVersion: 1.0\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")


@pytest.fixture(scope="module")
def carried(tmp_path_factory):
    """The folder that travels: photographs, pretrained backbones, a teacher that they make superfluous, and a wheel."""
    carried, work = tmp_path_factory.mktemp("carried"), tmp_path_factory.mktemp("packed")
    _write_photographs(work)
    with tarfile.open(carried / "photographs.tgz", "w:gz") as archive:
        for name in ("data", "unlabelled"):
            archive.add(work / name, name)
    backbone = {kind: {"backbone": parts["backbone"]} for kind, parts in variable_shapes(MODEL).items()}
    weights = jax.tree.map(lambda leaf: np.full(leaf.shape, 0.01, np.float32), backbone)
    for name in ("pretrained", "pretrained_others"):
        save_half(weights, carried / f"{name}.npz")
    np.savez(carried / "teacher.npz")
    _write_wheel(carried / "wheels", carried / "imported")
    return carried


def _joined(folder: Path, name: str) -> tarfile.TarFile:
    """An archive whose parts came back."""
    parts = sorted(folder.glob(f"{name}.tar.*"))
    return tarfile.open(fileobj=io.BytesIO(b"".join(part.read_bytes() for part in parts)))


def test_job_runs_with_what_is_carried_and_brings_results_back(carried, tmp_path):
    # The script's limit is for a busy machine; in the one second that the job itself is given it does what it must.
    arguments = ["900", "--small", "--members=1", "--steps=25", "--seconds=1"]
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": xla_flags(),
    }
    command = ["bash", REPOSITORY / "experiments" / "device.sh", carried, tmp_path / "out", *arguments]
    result = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert (carried / "imported").exists()
    with _joined(tmp_path / "out", "results") as archive:
        archive.extractall(tmp_path / "results", filter="data")
    rows = [json.loads(line) for line in (tmp_path / "results" / "log.jsonl").read_text().splitlines()]
    assert rows[-1].get("done"), (rows[-1], result.stderr)
    # What there is no time for is left out and said.
    ran, left_out = ({row[kind] for row in rows if kind in row} for kind in ("run", "left_out"))
    assert ran == {"member_0", *(f"without_{site}" for site in SITES)}
    assert left_out == {f"{site}_{what}" for site in SITES for what in (*COUNTS, "scratch")}
    assert {path.stem for path in (tmp_path / "results" / "measured").iterdir()} == ran
    member = load_half(tmp_path / "results" / "member_0.npz")
    assert jax.tree.structure(member) == jax.tree.structure(variable_shapes(MODEL))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(member))
    with np.load(tmp_path / "results" / "measured" / "member_0.npz") as measured:
        pixels = measured["background"].sum(axis=1) + measured["corrosion"].sum(axis=1)
        assert len(pixels) == 2 * len(SITES) and (pixels == SIDE**2).all()
    with _joined(tmp_path / "out", "cache") as archive:
        assert archive.getnames()
