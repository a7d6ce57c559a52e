"""Sources of every format as the tools write them, from shapes and masks whose pixels the tests know.

Photographs have class `rust`, which is corrosion, and class `paint`, which is not.
"""

import base64
import io
import itertools
import json
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw
from pycocotools import mask as coco_mask

CLASSES = ("paint", "rust")


class Shape(NamedTuple):
    """A polygon in pixels with its class."""

    label: str
    points: list[tuple[float, float]]


class Photograph(NamedTuple):
    """`index` distinguishes photographs; `mask` holds the corrosion of formats that store pixels."""

    index: int
    height: int
    width: int
    shapes: list[Shape]
    mask: np.ndarray

    @property
    def name(self):
        return f"photo {self.index}"


def save_photograph(path, photograph):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(photograph.index).integers(
        0, 256, (photograph.height, photograph.width, 3), np.uint8
    )
    Image.fromarray(pixels).save(path)


def write_json(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def png(values, **options):
    file = io.BytesIO()
    Image.fromarray(values, **options).save(file, "PNG")
    return file.getvalue()


def corroded(photograph):
    return [shape.points for shape in photograph.shapes if shape.label == "rust"]


def as_coco_draws(photograph):
    polygons = [np.ravel(points).tolist() for points in corroded(photograph)]
    height, width = photograph.height, photograph.width
    if not polygons:
        return np.zeros((height, width), bool)
    return coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(polygons, height, width))).astype(bool)


def as_labelme_draws(photograph):
    canvas = Image.new("L", (photograph.width, photograph.height))
    for points in corroded(photograph):
        ImageDraw.Draw(canvas).polygon(points, outline=1, fill=1)
    return np.asarray(canvas, bool)


def as_stored(photograph):
    return photograph.mask


def folder(root, photographs):
    for each in photographs:
        save_photograph(root / "images" / f"{each.name}.png", each)
        (root / "masks").mkdir(exist_ok=True)
        (root / "masks" / f"{each.name}.png").write_bytes(png(each.mask.astype(np.uint8) * 255))


def voc(root, photographs):
    """Palettes with a class's colour, and void around the first pixel that is none of corrosion."""
    (root / "SegmentationClass").mkdir()
    (root / "labelmap.txt").write_text("# label:color_rgb:parts:actions\nbackground:0,0,0::\nrust:128,0,0::\n")
    for each in photographs:
        save_photograph(root / "JPEGImages" / f"{each.name}.png", each)
        values = np.where(each.mask, np.uint8(1), np.where(np.arange(each.width) == 0, np.uint8(255), np.uint8(0)))
        image = Image.fromarray(values)
        image.putpalette([0, 0, 0, 128, 0, 0] + [9] * (3 * 253) + [224, 224, 192])
        image.save(root / "SegmentationClass" / f"{each.name}.png")


def tsv(root, photographs):
    lines = ["Image\tMask"]
    for each in photographs:
        save_photograph(root / "photos" / f"{each.name}.png", each)
        (root / f"{each.name}.png").write_bytes(
            png(np.where(each.mask[..., None], np.uint8([255, 0, 255]), np.uint8([255, 0, 0])))
        )
        lines.append(f"photos/{each.name}.png\t{each.name}.png")
    (root / "table.tsv").write_text("\n".join(lines) + "\n")


def roboflow(root, photographs):
    for each in photographs:
        save_photograph(root / "train" / f"{each.name}.png", each)
        (root / "train" / f"{each.name}_mask.png").write_bytes(png(each.mask.astype(np.uint8) * 2))
    (root / "train" / "_classes.csv").write_text("Pixel Value, Class\n0, background\n1, paint\n2, rust\n")


def labelme(root, photographs):
    for each in photographs:
        save_photograph(root / f"{each.name}.png", each)
        shapes = [{"label": label, "points": points, "shape_type": "polygon"} for label, points in each.shapes]
        write_json(root / f"{each.name}.json", _labelme(each, shapes))


def labelme_masks(root, photographs):
    for each in photographs:
        save_photograph(root / f"{each.name}.png", each)
        corners = [[0.0, 0.0], [each.width - 1.0, each.height - 1.0]]
        encoded = base64.b64encode(png(each.mask)).decode()
        shapes = [{"label": "rust", "points": corners, "shape_type": "mask", "mask": encoded}] * bool(each.mask.any())
        write_json(root / f"{each.name}.json", _labelme(each, shapes))


def _labelme(each, shapes):
    fields = {"imagePath": f"{each.name}.png", "imageData": None, "imageHeight": each.height, "imageWidth": each.width}
    return {"version": "5.5.0", "flags": {}, "shapes": shapes} | fields


def coco(root, photographs):
    _coco(root, photographs, lambda each: [(label, [np.ravel(points).tolist()]) for label, points in each.shapes])


def coco_runs(root, photographs):
    _coco(root, photographs, lambda each: [("rust", _run_lengths(each.mask))] * bool(each.mask.any()))


def _run_lengths(mask):
    column = mask.ravel(order="F")
    edges = np.flatnonzero(np.diff(np.concatenate([[False], column])))
    return {"size": list(mask.shape), "counts": np.diff([0, *edges, column.size]).tolist()}


def _coco(root, photographs, segmentations):
    images, annotations = [], []
    for each in photographs:
        save_photograph(root / "images" / f"{each.name}.png", each)
        images.append({"id": each.index, "file_name": f"{each.name}.png", "height": each.height, "width": each.width})
        for label, segmentation in segmentations(each):
            ids = {"id": len(annotations), "image_id": each.index, "category_id": CLASSES.index(label) + 1}
            annotations.append(ids | {"segmentation": segmentation, "iscrowd": 0})
    categories = [{"id": i, "name": name, "supercategory": ""} for i, name in enumerate(CLASSES, 1)]
    write_json(root / "all.json", {"images": images, "annotations": annotations, "categories": categories})


def cvat(root, photographs):
    _cvat(root, photographs, lambda each: [_cvat_polygon(*shape) for shape in each.shapes])


def cvat_masks(root, photographs):
    _cvat(root, photographs, lambda each: [_cvat_mask(each.mask)] if each.mask.any() else [])


def _cvat_polygon(label, points):
    joined = ";".join(f"{x},{y}" for x, y in points)
    return f'<polygon label="{label}" source="manual" occluded="0" points="{joined}" z_order="0"></polygon>'


def _cvat_mask(mask):
    """Run lengths row by row within the box around what is painted."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    box = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    edges = np.flatnonzero(np.diff(np.concatenate([[False], box.ravel()])))
    runs = ", ".join(map(str, np.diff([0, *edges, box.size])))
    place = f'left="{columns[0]}" top="{rows[0]}" width="{box.shape[1]}" height="{box.shape[0]}"'
    return f'<mask label="rust" source="manual" occluded="0" rle="{runs}" {place} z_order="0"></mask>'


def _cvat(root, photographs, shapes):
    names = "".join(f"<label><name>{name}</name><color>#aa0000</color></label>" for name in CLASSES)
    images = []
    for each in photographs:
        save_photograph(root / "images" / f"{each.name}.png", each)
        size = f'width="{each.width}" height="{each.height}"'
        images.append(f'<image id="{each.index}" name="{each.name}.png" {size}>{"".join(shapes(each))}</image>')
    meta = f"<meta><task><name>survey</name><labels>{names}</labels></task></meta>"
    content = f"<annotations><version>1.1</version>{meta}{''.join(images)}</annotations>"
    (root / "annotations.xml").write_text(f'<?xml version="1.0" encoding="utf-8"?>\n{content}\n')


def yolo(root, photographs):
    (root / "labels").mkdir()
    (root / "data.yaml").write_text(f"names: [{', '.join(CLASSES)}]\n")
    for each in photographs:
        save_photograph(root / "images" / f"{each.name}.png", each)
        size = np.array([each.width, each.height])
        rows = [
            " ".join([str(CLASSES.index(label)), *map(repr, (np.array(points) / size).ravel().tolist())])
            for label, points in each.shapes
        ]
        (root / "labels" / f"{each.name}.txt").write_text("".join(f"{row}\n" for row in rows))


def via_2(root, photographs):
    images = {}
    for each in photographs:
        save_photograph(root / f"{each.name}.png", each)
        regions = [
            {
                "shape_attributes": {
                    "name": "polygon",
                    "all_points_x": [x for x, _ in points],
                    "all_points_y": [y for _, y in points],
                },
                "region_attributes": {"kind": label},
            }
            for label, points in each.shapes
        ]
        images[f"{each.name}.png-1"] = {"filename": f"{each.name}.png", "size": -1, "regions": regions}
    write_json(root / "via.json", {"_via_settings": {}, "_via_img_metadata": images, "_via_attributes": {}})


def via_3(root, photographs):
    options = {str(i): name for i, name in enumerate(CLASSES)}
    content = {"project": {"vid_list": []}, "attribute": {"1": {"aname": "kind", "options": options}}}
    content |= {"file": {}, "view": {}, "metadata": {}}
    for each in photographs:
        save_photograph(root / f"{each.name}.png", each)
        number = str(each.index)
        content["file"][number] = {"fid": each.index, "fname": f"{each.name}.png", "type": 2, "src": ""}
        content["view"][number] = {"fid_list": [each.index]}
        for i, (label, points) in enumerate(each.shapes):
            region = {"vid": number, "z": [], "xy": [7, *np.ravel(points).tolist()]}
            content["metadata"][f"{number}_{i}"] = region | {"av": {"1": str(CLASSES.index(label))}}
    write_json(root / "via.json", content)


def label_studio(root, photographs):
    def region(each, label, points):
        value = {"points": [[100 * x / each.width, 100 * y / each.height] for x, y in points], "closed": True}
        return {"type": "polygonlabels", "value": value | {"polygonlabels": [label]}}

    _label_studio(root, photographs, lambda each: [region(each, *shape) for shape in each.shapes])


def label_studio_brush(root, photographs):
    def region(each):
        value = {"format": "rle", "rle": brush(each.mask), "brushlabels": ["rust"]}
        return {"type": "brushlabels", "value": value}

    _label_studio(root, photographs, lambda each: [region(each)] * bool(each.mask.any()))


def _label_studio(root, photographs, regions):
    tasks = []
    for each in photographs:
        save_photograph(root / f"{each.name}.png", each)
        size = {"original_width": each.width, "original_height": each.height, "image_rotation": 0}
        results = [region | size | {"id": f"r{i}"} for i, region in enumerate(regions(each))]
        task = {"id": each.index, "annotations": [{"result": results, "was_cancelled": False}]}
        tasks.append(task | {"data": {"image": f"/data/upload/1/0a1b2c3d-{each.name}.png"}})
    write_json(root / "project.json", tasks)


def brush(mask):
    """Run lengths of thi.ng/rle-pack, values of a run written one by one or once: rows of opacity behind colours."""
    values = np.stack([mask, mask, mask, mask], axis=-1).ravel() * 255
    bits = f"{values.size:032b}{7:05b}" + "".join(f"{size - 1:04b}" for size in (3, 4, 8, 16))
    edges = [0, *(np.flatnonzero(np.diff(values)) + 1).tolist(), values.size]
    for number, (start, end) in enumerate(itertools.pairwise(edges)):
        for first in range(start, end, 1 << 16):
            length = min(end - first, 1 << 16)
            if length <= 8 and number % 2:  # not packed
                bits += f"0{0:02b}{length - 1:03b}" + f"{values[first]:08b}" * length
            else:
                bits += f"1{3:02b}{length - 1:016b}{values[first]:08b}"
    bits += "0" * (-len(bits) % 8)
    return [int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)]


FORMATS = {
    "folder": (folder, as_stored),
    "voc": (voc, as_stored),
    "tsv": (tsv, as_stored),
    "roboflow": (roboflow, as_stored),
    "labelme": (labelme, as_labelme_draws),
    "labelme masks": (labelme_masks, as_stored),
    "coco": (coco, as_coco_draws),
    "coco run lengths": (coco_runs, as_stored),
    "cvat": (cvat, as_coco_draws),
    "cvat masks": (cvat_masks, as_stored),
    "yolo": (yolo, as_coco_draws),
    "via 2": (via_2, as_coco_draws),
    "via 3": (via_3, as_coco_draws),
    "label studio": (label_studio, as_coco_draws),
    "label studio brush": (label_studio_brush, as_stored),
}
"""How each format is written, and the pixels of corrosion that a reader must find in it."""

JSON_FORMATS = [name for name in FORMATS if name.split()[0] in ("labelme", "coco", "via", "label")]
