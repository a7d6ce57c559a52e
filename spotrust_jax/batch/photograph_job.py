"""A photograph from file to files, in three steps that can overlap with those of others: read, predict, write."""

import dataclasses
import functools
import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float32, UInt8

from spotrust_jax.batch.ground_truth import RegionFiles, Truths
from spotrust_jax.batch.records import Records
from spotrust_jax.checkpoints import CheckpointConfig
from spotrust_jax.data.regions_of_interest import read_region
from spotrust_jax.errors import InputError
from spotrust_jax.inference.analysis import Analysis, analyse
from spotrust_jax.inference.area_interval import (
    AreaInterval,
    area_interval,
    coherent,
    has_coherent_samples,
    has_draws,
    why_no_draws,
)
from spotrust_jax.inference.preprocessing import Photograph
from spotrust_jax.inference.segmenter import Segmenter
from spotrust_jax.inference.tiling import Allocate, in_memory
from spotrust_jax.io.display import size_in_words
from spotrust_jax.io.images import count_pixels, mask_limit, read_image, read_mask, resize_mask, size_text
from spotrust_jax.io.streamed_files import on_disk
from spotrust_jax.io.written_files import without_written
from spotrust_jax.models.mismatch import MismatchError
from spotrust_jax.models.variants.registry import variant_of
from spotrust_jax.outputs import rendering
from spotrust_jax.outputs.map_files import MAX_MAP_PIXELS, Result, beside, map_endings, write_maps
from spotrust_jax.outputs.picture_options import NO_OPTIONS, PictureOptions, optional_endings, write_optional_pictures
from spotrust_jax.outputs.summary import Row, describe, with_novelty
from spotrust_jax.outputs.writers import Writer

LARGE = 32_000_000
"""Pixels from which a photograph and its maps lie on disk while they are worked on."""

# Bytes for each pixel that pictures and maps take on disk, roughly: noisy maps and photographs hardly shrink.
_WRITTEN = 14


@dataclasses.dataclass(frozen=True)
class Job:
    """What is done to each photograph.

    Attributes:
        output: folder of the maps.
        analysis: how they are made.
        threshold: probability from which a pixel counts as corrosion.
        truths: masks, where there are any.
        max_map_pixels: photographs of more pixels get their maps as TIFF.
        style: how pictures look.
        picture_options: pictures beyond those that are always written.
        area_draws: draws of the area beyond the passes of the maps; 0 takes those passes where
            they say something about an area, None asks for none.
        writers: of what is written besides maps and pictures, in this order.
        regions: regions of interest, where there are any; photographs without one are judged as a whole.
    """

    output: Path
    analysis: Analysis
    threshold: float
    truths: Truths | None = None
    max_map_pixels: int = MAX_MAP_PIXELS
    style: rendering.Style = rendering.PAPER_STYLE
    picture_options: PictureOptions = NO_OPTIONS
    area_draws: int | None = None
    writers: tuple[Writer, ...] = ()
    regions: RegionFiles | None = None

    def records(self, segmenter: Segmenter) -> Records:
        """Where it is noted what is done."""
        settings = [segmenter.fingerprint, dataclasses.asdict(self.analysis), self.threshold, self.max_map_pixels]
        # What is as it always was leaves the records of earlier versions valid.
        if self.area_draws is not None:
            settings.append(self.area_draws)
        settings += [[type(writer).__name__, dict(writer.settings)] for writer in self.writers]
        settings += [list(chosen) for chosen in (self.style, self.picture_options) if chosen != type(chosen)()]
        return Records(self.output, json.dumps(settings))

    def files(self, photograph: Photograph) -> list[Path]:
        """All files that may be written of a photograph."""
        stem = str(photograph.stem)
        maps_and_pictures = [beside(self.output / stem, ending) for ending in _endings()]
        return [
            *maps_and_pictures,
            *(file for one in self.writers for file in one.photograph_files(self.output, photograph)),
        ]

    def inputs(self, photograph: Photograph) -> tuple[Path | None, Path | None]:
        """The photograph's mask and its region of interest, where it has one.

        Where it is not clear which region is the photograph's, the folder of regions stands for it, so that no
        earlier result without a region counts.
        """
        truth = None if self.truths is None else self.truths.find(photograph)
        if self.regions is None or not self.regions.has(photograph):
            return truth, None
        return truth, self.regions.find(photograph) or self.regions.folder


class Loaded(NamedTuple):
    """A photograph that has been read, and its line so far.

    Attributes:
        row: the line.
        image: the photograph.
        truth: its ground truth where there is a usable one.
        judged: true where the photograph is judged, its region of interest where it has one.
    """

    row: Row
    image: UInt8[np.ndarray, "height width 3"]
    truth: Bool[np.ndarray, "height width"] | None = None
    judged: Bool[np.ndarray, "height width"] | None = None


def read(photograph: Photograph, job: Job) -> Loaded:
    """Reads photograph and ground truth; without a usable one the row says so, and the maps are made all the same.

    Raises:
        InputError: where the photograph or its region of interest cannot be used, or the disk has no room for its maps.
    """
    pixels = count_pixels(photograph.path)
    _require_space(photograph, pixels, job)
    image = _read_large(photograph.path, job.output) if pixels > LARGE else read_image(photograph.path)
    judged = _read_region(photograph, job, image.shape[:2])
    region = "" if judged is None else str(job.inputs(photograph)[1])
    row = Row(str(photograph.path), str(photograph.stem), region_of_interest=region)
    if job.truths is None:
        return Loaded(row, image, judged=judged)
    try:
        return Loaded(row, image, _read_truth(photograph, job.truths, image.shape[:2]), judged)
    except InputError as error:
        return Loaded(dataclasses.replace(row, status="failed", message=str(error)), image, judged=judged)


def predict(segmenter: Segmenter, loaded: Loaded, job: Job, between_tiles: Callable[[], None]) -> Result:
    """The maps; where a device has too little memory an `InputError` says what helps.

    A `MismatchError` is not of this photograph, but of the model.
    """
    height, width = loaded.image.shape[:2]
    large = height * width > LARGE
    allocate = functools.partial(on_disk, job.output) if large else in_memory
    try:
        counted = job.threshold if job.area_draws is not None and has_coherent_samples(segmenter.config) else None
        within = _judged_of_analysis(loaded, job)
        prediction = analyse(segmenter, loaded.image, job.analysis, allocate, between_tiles, counted, judged=within)
        areas = _drawn_areas(segmenter, loaded, job, allocate, between_tiles)
    except MismatchError:
        raise
    except InputError as error:
        raise InputError(f"photograph {loaded.row.photograph} cannot be analysed: {error}") from error
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        remedy = f"give less than --tile_size={job.analysis.tile_size}, or a smaller --scale"
        raise InputError(
            f"photograph {loaded.row.photograph} needs more memory than the device has: {remedy}"
        ) from error
    interval = area_interval(prediction.areas if areas is None else areas)
    return Result(loaded.image, prediction, job.threshold, loaded.truth, interval, loaded.judged)


def write(
    loaded: Loaded, result: Result, photograph: Photograph, job: Job, records: Records, config: CheckpointConfig
) -> Row:
    """Writes the maps, notes that they are there, and returns the photograph's line of the summary."""
    with records.writing(photograph, job.files(photograph)):
        stem = job.output / photograph.stem
        measured, files = write_maps(stem, result, max_map_pixels=job.max_map_pixels, style=job.style)
        files += write_optional_pictures(stem, result, job.picture_options, job.style, config.log_variance_bound)
        row = describe(loaded.row, result, measured, config.areas)
        row = with_novelty(row, result.prediction.novelty)
        if job.area_draws is not None:
            row = _with_interval(row, config, result.interval)
        for writer in job.writers:
            row = writer.write(job.output, photograph, row, result)
            files += writer.photograph_files(job.output, photograph)
        if row.status == "ok":
            truth, region = job.inputs(photograph)
            records.save(photograph, truth, row, files, region)
    return row


def require_apart(photographs: Sequence[Photograph], output: Path) -> None:
    """Raises an `InputError` where a photograph would be lost under a picture of another one."""
    places = {os.path.realpath(photograph.path): photograph.path for photograph in photographs}
    folder, endings = os.path.realpath(output), _endings()
    for photograph in photographs:
        stem = f"{folder}/{photograph.stem}"
        for lost in filter(None, (places.get(stem + ending) for ending in endings)):
            where = f"lies where a picture of {photograph.path} is to be written"
            raise InputError(f"photograph {lost} {where}: give another --output")


def require_ours(photographs: Sequence[Photograph], job: Job) -> None:
    """Raises an `InputError` where a file that no run wrote, or that has changed since, would be replaced."""
    files = (file for photograph in photographs for file in job.files(photograph))
    for lost in without_written([file for file in files if os.path.lexists(file)])[:1]:
        where = "lies where a file of this run is to be written, and no run wrote it as it is"
        raise InputError(f"{lost} {where}: move it away, or give another --output")


def _endings() -> list[str]:
    return [*map_endings(), *optional_endings()]


def failed(photograph: Photograph, error: Exception) -> Row:
    """The line of a photograph that could not be analysed."""
    return Row(str(photograph.path), str(photograph.stem), status="failed", message=str(error))


def _with_interval(row: Row, config: CheckpointConfig, interval: AreaInterval | None) -> Row:
    if interval is None:
        reason = why_no_draws(config) or "the maps' own passes average out over an area: --area_draws=200"
        return dataclasses.replace(row, sampled_area_note=reason)
    note = "" if variant_of(config.model).stochastic else "range of the members, which are few draws"
    return dataclasses.replace(
        row,
        sampled_area_low=interval.low,
        sampled_area_high=interval.high,
        sampled_areas=interval.draws,
        sampled_area_note=note,
    )


def _drawn_areas(
    segmenter: Segmenter, loaded: Loaded, job: Job, allocate: Allocate, between_tiles: Callable[[], None]
) -> Float32[np.ndarray, "draws"] | None:
    """Areas in draws that are made for the interval alone, where they are asked for and the network has any."""
    if not job.area_draws or not has_draws(segmenter.config):
        return None
    analysis = dataclasses.replace(job.analysis, num_samples=job.area_draws, augment=False, decomposed=False)
    within = _judged_of_analysis(loaded, job)
    drawn = coherent(segmenter)
    return analyse(drawn, loaded.image, analysis, allocate, between_tiles, job.threshold, judged=within).areas


def _judged_of_analysis(loaded: Loaded, job: Job) -> Bool[np.ndarray, "height width"] | None:
    """What is judged, at the size of the analysis, where it is not the whole photograph."""
    if loaded.judged is None:
        return None
    shape = job.analysis.shape(*loaded.image.shape[:2])
    judged = resize_mask(loaded.judged, *shape)
    if not judged.any():  # of less than half a pixel there: those that it touches
        places = zip(np.nonzero(loaded.judged), shape, loaded.judged.shape, strict=True)
        judged[tuple(place * size // full for place, size, full in places)] = True
    return judged


def _read_region(photograph: Photograph, job: Job, shape: tuple[int, int]) -> Bool[np.ndarray, "height width"] | None:
    """The photograph's region of interest, where it has one."""
    if job.regions is None or not job.regions.has(photograph):
        return None
    return read_region(job.regions.path(photograph), *shape)


def _read_large(path: Path, folder: Path) -> UInt8[np.ndarray, "height width 3"]:
    from spotrust_jax.io.large_images import read_large_image  # noqa: PLC0415 - brings tifffile, which most need not

    return read_large_image(path, functools.partial(on_disk, folder, dtype=np.uint8))


def _require_space(photograph: Photograph, pixels: int, job: Job) -> None:
    # On disk while it is worked on: three bytes of the photograph, and four maps in float32.
    needed = pixels * (_WRITTEN + (19 if pixels > LARGE else 0))
    free = shutil.disk_usage(job.output).free
    if needed > free:
        raise InputError(
            f"photograph {photograph.path} has {pixels:,} pixels, whose maps need about {size_in_words(needed)}, and "
            f"{job.output} has {size_in_words(free)} free: make room, or choose another --output"
        )


def _read_truth(photograph: Photograph, truths: Truths, shape: tuple[int, int]) -> Bool[np.ndarray, "height width"]:
    path = truths.path(photograph)
    truth = read_mask(path, max_pixels=mask_limit(shape))
    if truth.shape != shape:
        raise InputError(
            f"ground truth {path} has {size_text(truth.shape)} pixels and photograph {photograph.path} "
            f"{size_text(shape)}: give a mask of the photograph's size"
        )
    return truth
