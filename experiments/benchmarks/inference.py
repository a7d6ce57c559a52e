"""How fast photographs become files: folders, many sizes, one very large photograph, and the start of the program.

Networks here have random weights, on which no time depends.
"""

import dataclasses
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import jax
import numpy as np
from PIL import Image

from experiments.benchmarks.measurement import Measurement, summary, timed
from spotrust_jax.batch.folder import analyse_photographs
from spotrust_jax.batch.photograph_job import Job
from spotrust_jax.checkpoints import CheckpointConfig
from spotrust_jax.config import ModelConfig
from spotrust_jax.data.scenes import DEMO_SCENES, SceneDataset
from spotrust_jax.inference.analysis import Analysis, analyse
from spotrust_jax.inference.preprocessing import fit_image, list_photographs
from spotrust_jax.inference.segmenter import Segmenter, compiled_sizes
from spotrust_jax.inference.tiling import plan_tiles
from spotrust_jax.models.segmenter import initial_variables

# Of the network; a width of 0 is the preset's own.
_PRESET, _WIDTH = "w18_small_v1", 0
# Networks, long sides at which a folder is analysed, and photographs in a round, of 640 x 640 pixels; rounds.
_FOLDERS, _ROUNDS = (("w48", 512, 8), ("w18_small_v1", 256, 20)), 5
# Sides of large photographs, in pixels, and how often each is analysed; passes over them.
_LARGE_SIDES, _LARGE_PASSES = ((2000, 5), (3000, 3), (4000, 3), (10_000, 1)), 2
# Photographs, their sizes, and the long side at which they are analysed.
_MANY, _SIZES, _MANY_SCALE = 1000, 200, 512
_FORMATS = ((4, 3), (3, 2), (16, 9), (1, 1), (5, 4), (16, 10))
_START_NETWORKS, _STARTS = (("w18_small_v1", 256), ("w48", 512)), 5


def folder() -> list[Measurement]:
    """Photographs a second from JPEG to maps in a folder, and as a share of the network alone on arrays in memory."""
    return [measurement for case in _FOLDERS for measurement in _folder_with(*case)]


def large_image() -> list[Measurement]:
    """Microseconds for each pixel of large photographs in tiles, from JPEG to maps, and the memory at its peak."""
    segmenter = random_segmenter(_PRESET, 256)
    return [measurement for side, repeats in _LARGE_SIDES for measurement in _large(segmenter, side, repeats)]


def sizes() -> list[Measurement]:
    """Programs that photographs of many sizes need at the trained scale: formats of cameras, off by a few pixels."""
    # The network is narrow, as its programs are only counted.
    segmenter, rng = random_segmenter(_PRESET, _MANY_SCALE, 4), np.random.default_rng(0)
    shapes = [_random_shape(rng) for _ in range(_SIZES)]
    for number in range(_MANY):
        image = np.full((*shapes[number % _SIZES], 3), number % 256, np.uint8)
        analyse(segmenter, image, Analysis(_MANY_SCALE, num_samples=1))
    count = len(compiled_sizes(segmenter.config).sizes)
    return [summary(f"programs, {_MANY} photographs of {_SIZES} sizes", np.array([count]), "programs")]


def start() -> list[Measurement]:
    """Seconds from the command to the files of one small photograph, all programs compiled before."""
    return [measurement for case in _START_NETWORKS for measurement in _start_of(*case)]


def _start_of(preset: str, scale: int) -> list[Measurement]:
    with tempfile.TemporaryDirectory() as scratch:
        random_segmenter(preset, scale).save(f"{scratch}/model")
        (Path(scratch) / "in").mkdir()
        write_photographs(Path(scratch) / "in", 1, 640)
        flags = [f"--checkpoint={scratch}/model", f"--input={scratch}/in", f"--output={scratch}/out", "--overwrite"]
        command = [sys.executable, "-m", "spotrust_jax.launch.predict", *flags]
        runs = [_child(command) for _ in range(_STARTS + 1)][1:]
    passed, processor = np.array(runs).T
    return [
        summary(f"predict, {preset}, {scale} x {scale}, one photograph, warm cache", passed, "s"),
        summary(f"predict, {preset}, {scale} x {scale}, processor time", processor, "s"),
    ]


def _folder_with(preset: str, scale: int, count: int) -> list[Measurement]:
    segmenter = random_segmenter(preset, scale)
    with tempfile.TemporaryDirectory() as scratch:
        photographs = Path(scratch) / "in"
        photographs.mkdir()
        write_photographs(photographs, count, 640)
        listed = list_photographs(str(photographs))
        job = Job(Path(scratch) / "out", Analysis(scale), 0.5)
        arrays = [fit_image(np.asarray(Image.open(photograph.path)), (scale, scale)) for photograph in listed]
        by_files = lambda: list(analyse_photographs([segmenter], listed, job, overwrite=True))  # noqa: E731
        by_arrays = lambda: [segmenter.predict(array, key=job.analysis.key) for array in arrays]  # noqa: E731
        segmenter.predict(arrays[0], key=job.analysis.key)
        rounds = [(*timed(by_files), *timed(by_arrays)) for _ in range(_ROUNDS)]
    files, files_processor, memory, memory_processor = np.array(rounds).T
    name = f"{preset}, {scale} x {scale}"
    return [
        summary(f"folder, {name}", count / files, "photographs/s"),
        summary(f"arrays in memory, {name}", count / memory, "photographs/s"),
        summary(f"folder over arrays, {name}", 100 * memory / files, "%"),
        summary(f"processor time of arrays over folder, {name}", 100 * memory_processor / files_processor, "%"),
    ]


def _large(segmenter: Segmenter, side: int, repeats: int) -> list[Measurement]:
    with tempfile.TemporaryDirectory() as scratch:
        photographs = Path(scratch) / "in"
        photographs.mkdir()
        write_photographs(photographs, 1, side)
        job = Job(Path(scratch) / "out", Analysis(None, _LARGE_PASSES), 0.5)
        # Compile before the time is taken: a photograph of one tile.
        tile = plan_tiles(side, side, job.analysis.tile_size, job.analysis.overlap).shape
        analyse(segmenter, np.zeros((*tile, 3), np.uint8), job.analysis)
        listed = list_photographs(str(photographs))
        run = lambda: list(analyse_photographs([segmenter], listed, job, overwrite=True))  # noqa: E731
        passed, processor = 1e6 / side**2 * np.array([timed(run) for _ in range(repeats)]).T
    name, memory = f"{side} x {side}", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return [
        summary(f"{name}, {_LARGE_PASSES} passes", passed, "us/pixel"),
        summary(f"{name}, processor time", processor, "us/pixel"),
        summary(f"{name}, peak memory so far", np.array([memory]), "GiB"),
    ]


def random_segmenter(preset: str, scale: int, width: int | None = None) -> Segmenter:
    """A variational network with random weights."""
    model = ModelConfig("variational", preset, width=_WIDTH if width is None else width)
    variables = jax.tree.map(lambda leaf: leaf[None], initial_variables(model, jax.random.key(0)))
    return Segmenter(variables, CheckpointConfig(model, 1, (0.5,) * 3, (0.2,) * 3, scale))


def write_photographs(folder: Path, count: int, side: int) -> None:
    """Scenes, repeated where the side is longer than one."""
    times = -(-side // 640)
    for number, scene in enumerate(SceneDataset(dataclasses.replace(DEMO_SCENES, size=640), "test", count)):
        image = np.tile(scene.image, (times, times, 1))[:side, :side]
        Image.fromarray(image).save(folder / f"{number:03}.jpg", quality=90)


def _random_shape(rng: np.random.Generator) -> tuple[int, int]:
    long, short = _FORMATS[rng.integers(len(_FORMATS))]
    width = int(rng.integers(320, 1600))
    shape = (round(width * short / long) + int(rng.integers(-3, 4)), width)
    return shape if rng.random() < 0.5 else shape[::-1]


def _child(command: list[str]) -> tuple[float, float]:
    """Seconds that pass until a command is done, and seconds of the processor that it takes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    passed, _ = timed(lambda: subprocess.run(command, check=True, capture_output=True))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return passed, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
