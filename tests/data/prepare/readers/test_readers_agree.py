"""The same 79 photographs through every format: the labels are the same."""

import json
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from spotrust_jax.data.folder_dataset import FolderDataset
from spotrust_jax.data.prepare.readers import read_source
from spotrust_jax.io.images import read_mask

SIDE = 640  # of all these photographs


@pytest.fixture(scope="module")
def masks(corrosion_photos):
    return {file.stem: read_mask(file) for file in sorted((corrosion_photos / "masks").iterdir())}


@pytest.fixture(scope="module")
def polygons(corrosion_photos):
    """Points in pixels, parsed here."""
    rows = {file.stem: file.read_text().splitlines() for file in (corrosion_photos / "yolo_labels").iterdir()}
    return {name: [[float(word) * SIDE for word in line.split()[1:]] for line in lines] for name, lines in rows.items()}


def linked(corrosion_photos, folder):
    folder.mkdir()
    (folder / "images").symlink_to(corrosion_photos / "images")
    (folder / "splits.csv").symlink_to(corrosion_photos / "splits.csv")
    return folder


def write_yolo(folder, corrosion_photos):
    (folder / "labels").symlink_to(corrosion_photos / "yolo_labels")


def write_labelme(folder, polygons):
    (folder / "json").mkdir()
    for name, parts in polygons.items():
        shapes = [
            {"label": "Corrosion", "shape_type": "polygon", "points": np.reshape(part, (-1, 2)).tolist()}
            for part in parts
        ]
        content = {"version": "5.5.0", "flags": {}, "shapes": shapes, "imagePath": f"..\\images\\{name}.jpg"}
        content |= {"imageData": None, "imageHeight": SIDE, "imageWidth": SIDE}
        (folder / "json" / f"{name}.json").write_text(json.dumps(content))


def write_coco(folder, segmentations):
    names = sorted(segmentations)
    images = [{"id": i, "file_name": f"{name}.jpg", "height": SIDE, "width": SIDE} for i, name in enumerate(names)]
    annotations = [
        {"id": 1000 * i + j, "image_id": i, "category_id": 7, "segmentation": part, "iscrowd": int("size" in part)}
        for i, name in enumerate(names)
        for j, part in enumerate(segmentations[name])
    ]
    categories = [{"id": 3, "name": "primer"}, {"id": 7, "name": "Corrosion"}]
    (folder / "annotations").mkdir()
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "annotations" / "instances_default.json").write_text(json.dumps(content))


def run_lengths(mask, compressed):
    encoded = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    if compressed:
        return {"size": [SIDE, SIDE], "counts": encoded["counts"].decode()}
    column = mask.ravel(order="F")
    edges = np.flatnonzero(np.diff(np.concatenate([[False], column])))
    return {"size": [SIDE, SIDE], "counts": np.diff([0, *edges, column.size]).tolist()}


def write_table(folder, masks, form):
    (folder / "labels").mkdir()
    lines = ["Image\tMask"]
    for name, mask in masks.items():
        coloured = np.where(mask[..., None], np.uint8([255, 0, 255]), np.uint8([255, 0, 0]))
        Image.fromarray(coloured).save(folder / "labels" / f"{name}.{form}", compress_level=1)
        lines.append(f"images/{name}.jpg\tlabels/{name}.{form}")
    (folder / "corrosion.tsv").write_text("\n".join(lines) + "\n")


class Agreement(NamedTuple):
    """Of a photograph's mask with the fixture's: share of equal pixels, and intersection over union of corrosion."""

    equal: float
    iou: float


def agreements(source, masks):
    """Share of equal pixels in each photograph, which must be those of the fixture, each without findings."""
    return {name: agreement.equal for name, agreement in all_agreements(source, masks).items()}


def all_agreements(source, masks):
    assert [photograph.name for photograph in source.photographs] == sorted(masks)
    assert not source.findings
    found = {}
    for name, _, label, *_ in source.photographs:
        mask, findings, *_ = label.read(SIDE, SIDE)
        assert {finding.kind for finding in findings} <= {"jpeg_mask"}
        union = (mask | masks[name]).sum()
        iou = (mask & masks[name]).sum() / union if union else 1.0
        found[name] = Agreement((mask == masks[name]).mean(), iou)
    return found


def test_masks(corrosion_photos, masks):
    source = read_source(corrosion_photos)
    assert source.format == "folder"  # the polygons are there, too
    assert set(agreements(source, masks).values()) == {1.0}
    splits = {split: FolderDataset(corrosion_photos, split) for split in ("train", "validation", "test")}
    for photograph in source.photographs:
        assert photograph.name in splits[photograph.split].names
    groups = {example.name: example.group for example in splits["test"]}
    assert groups.items() <= {photograph.name: photograph.group for photograph in source.photographs}.items()


def assert_as_the_format_draws(form, found):
    """These masks were drawn with Pillow, as labelme draws; COCO's tools leave out most of the outlines' pixels."""
    shares = [agreement.equal for agreement in found.values()]
    if form == "labelme":
        assert set(shares) == {1.0}
    else:
        assert len(found) == 79
        assert np.mean([agreement.iou for agreement in found.values()]) == pytest.approx(0.947, abs=5e-4)
        assert min(shares) == pytest.approx(0.9938, abs=1e-4)
        assert np.mean(shares) == pytest.approx(0.9984, abs=1e-4)


@pytest.mark.parametrize("form", ["yolo", "labelme", "coco"])
def test_polygons(corrosion_photos, masks, polygons, tmp_path, form):
    folder = linked(corrosion_photos, tmp_path / form)
    if form == "yolo":
        write_yolo(folder, corrosion_photos)
    elif form == "labelme":
        write_labelme(folder, polygons)
    else:
        write_coco(folder, {name: [[part] for part in parts] for name, parts in polygons.items()})
    source = read_source(folder, corrosion_classes=("0",) if form == "yolo" else ())
    assert source.format == form
    assert_as_the_format_draws(form, all_agreements(source, masks))
    assert sum(photograph.split == "test" for photograph in source.photographs) == 14


def test_polygons_beside_masks_on_request(corrosion_photos, masks):
    source = read_source(corrosion_photos, "yolo", corrosion_classes=("0",))
    assert_as_the_format_draws("yolo", all_agreements(source, masks))


@pytest.mark.parametrize("compressed", [False, True])
def test_run_lengths(corrosion_photos, masks, tmp_path, compressed):
    folder = linked(corrosion_photos, tmp_path / "coco")
    write_coco(folder, {name: [run_lengths(mask, compressed)] for name, mask in masks.items()})
    assert set(agreements(read_source(folder), masks).values()) == {1.0}


def test_table_with_class_colours(corrosion_photos, masks, tmp_path):
    folder = linked(corrosion_photos, tmp_path / "tsv")
    write_table(folder, masks, "png")
    source = read_source(folder)
    assert source.format == "tsv"
    assert set(agreements(source, masks).values()) == {1.0}
    assert read_source(folder / "corrosion.tsv") == source


def test_jpeg_masks_are_nearly_right(corrosion_photos, masks, tmp_path):
    folder = linked(corrosion_photos, tmp_path / "tsv")
    (folder / "splits.csv").unlink()
    some = dict(list(masks.items())[::8])
    write_table(folder, some, "jpg")
    assert min(agreements(read_source(folder), some).values()) >= 0.997
