"""Cases: a program, its input with one piece damaged, and what must hold afterwards."""

import contextlib
import dataclasses
import hashlib
import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from spotrust_jax.models import segmenter
from spotrust_jax.models.hrnet import Backbone
from tests.mutations import damage
from tests.mutations.material import FORMATS, NAMES, Material, copied, training_flags
from tests.programs import Outcome, call

_HEALTHY = frozenset(NAMES[:-1])


@dataclasses.dataclass
class Case:
    """What is run, and what is to be checked.

    Attributes:
        program, arguments: the command.
        damaged: in words, what was done to which piece.
        codes: exit codes that are right.
        written: what the program may write, below the case's folder; anything where the flags say where it goes.
        survivors: names of the photographs that came through, where all that were not damaged must.
        keeps: exit codes with which they must.
    """

    program: str
    arguments: list[str]
    damaged: str
    codes: tuple[int, ...] = (0, 1, 2)
    written: tuple[str, ...] | None = ("out",)
    survivors: Callable[[Path], set[str]] | None = None
    keeps: tuple[int, ...] = (0, 1)


Scenario = Callable[[random.Random, Material, Path], Case]


def run_case(seed: int, number: int, material: Material, folder: Path) -> tuple[Case, Outcome, list[str]]:
    """Makes, runs and judges a case; what was wrong is empty where all holds."""
    rng = random.Random(f"{seed}/{number}")
    case = SCENARIOS[number % len(SCENARIOS)](rng, material, folder)
    before = _state(folder, case.written)
    with _network_of(case.program):
        outcome = call(case.program, case.arguments, folder)
    return case, outcome, _wrong(case, outcome, before, folder)


@contextlib.contextmanager
def _network_of(program: str) -> Iterator[None]:
    """The whole network for `convert`, which knows its names, in place of the small one."""
    before = segmenter.Backbone
    if program == "convert":
        segmenter.Backbone = Backbone
    yield
    segmenter.Backbone = before


def _wrong(case: Case, outcome: Outcome, before: dict, folder: Path) -> list[str]:
    wrong = []
    if outcome.code not in case.codes:
        wrong.append(f"exit code {outcome.code}, expected one of {case.codes}")
    if "Traceback" in outcome.stderr:
        wrong.append("a traceback")
    errors = [line for line in outcome.stderr.replace("\r", "\n").splitlines() if line.startswith("error: ")]
    if outcome.code and not errors:
        wrong.append("no line that says what is wrong")
    if outcome.code == 2 and len(errors) != 1:
        wrong.append(f"{len(errors)} lines that say what is wrong")
    if any(len(line) < 20 for line in errors):
        wrong.append("an error without words")
    if list(folder.rglob(damage.MARKER)):
        wrong.append("something was executed")
    after = _state(folder, case.written)
    changed = sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
    if changed:
        wrong.append(f"changed what is not its output: {', '.join(changed)}")
    if case.survivors and outcome.code in case.keeps and (lost := _HEALTHY - case.survivors(folder)):
        wrong.append(f"lost {', '.join(sorted(lost))}")
    return wrong


def _state(folder: Path, but: tuple[str, ...] | None) -> dict[str, str]:
    """Every file and folder around a case with what it holds, except what its program may write."""
    found = {}
    if but is None:
        return found
    for path in sorted([*folder.rglob("*"), *folder.parent.glob("*")]):
        name = str(path.relative_to(folder.parent))
        below = str(path.relative_to(folder)) if path.is_relative_to(folder) else ""
        if path == folder or any(below == one or below.startswith(f"{one}/") for one in but):
            continue
        plain = path.is_file() and not path.is_symlink()
        found[name] = hashlib.sha1(path.read_bytes()).hexdigest() if plain else "no file"
    return found


def _predicted(folder: Path) -> set[str]:
    """Photographs with a line of their own and maps."""
    rows = json.loads((folder / "out" / "summary.json").read_text())
    done = {Path(row["photograph"]).stem for row in rows if row["status"] == "ok"}
    return {name for name in done if list((folder / "out").glob(f"{name}*_maps.npz"))}


def _prepared(folder: Path) -> set[str]:
    return {path.stem for path in (folder / "out" / "images").rglob("*.png")}


def _apply(rng: random.Random, path: Path, change: Callable[[random.Random, bytes], bytes]) -> str:
    content = path.read_bytes()
    path.write_bytes(change(rng, content))
    return f"{path.name}: {change.__name__}"


def _damage_file(rng: random.Random, path: Path) -> str:
    """By what the file is."""
    match path.suffix:
        case ".json":
            return _apply(rng, path, damage.any_json)
        case ".yaml":
            return _apply(rng, path, damage.any_yaml)
        case ".csv" | ".tsv" | ".txt":
            separator = {".csv": ",", ".tsv": "\t", ".txt": " "}[path.suffix]

            def any_table(rng: random.Random, content: bytes) -> bytes:
                return damage.any_table(rng, content, separator)

            return _apply(rng, path, any_table)
        case ".png" | ".jpg":
            return _apply(rng, path, damage.any_image)
        case _:
            return _apply(rng, path, damage.any_bytes)


def _any_file(rng: random.Random, folder: Path) -> str:
    return _damage_file(rng, rng.choice(sorted(path for path in folder.rglob("*") if path.is_file())))


# predict


def _predict(material: Material, *more: str, photographs: str = "in", model: str | Path = "") -> list[str]:
    checkpoint = f"--checkpoint={model or material.model}"
    return [checkpoint, f"--input={photographs}", "--output=out", "--num_samples=2", *more]


def _photograph(rng: random.Random, material: Material, folder: Path) -> Case:
    photographs = copied(material.photographs, folder / "in")
    suffix = rng.choice([".png", ".png", ".jpg", ".tif", ".webp", ".bmp", ".gif", ".jp2", ".mpo", ".dng"])
    victim = (photographs / "victim.png").rename(photographs / f"victim{suffix}")
    words = _apply(rng, victim, damage.any_image)
    more = rng.choice([[], ["--report"], ["--scale=native"], ["--tta"]])
    return Case("predict", _predict(material, *more), words, (0, 1), survivors=_predicted)


def _odd_file(rng: random.Random, material: Material, folder: Path) -> Case:
    photographs = copied(material.photographs, folder / "in")
    words = damage.replace_file(rng, photographs / "victim.png")
    more = rng.choice([[], ["--report"]])
    return Case("predict", _predict(material, *more), words, (0, 1), survivors=_predicted)


def _true_mask(rng: random.Random, material: Material, folder: Path) -> Case:
    copied(material.photographs, folder / "in")
    masks = copied(material.dataset / "masks", folder / "masks")
    if rng.random() < 0.3:
        words = damage.replace_file(rng, masks / "victim.png")
    else:
        words = _damage_file(rng, masks / "victim.png")
    return Case("predict", _predict(material, "--ground_truth=masks"), words, (0, 1), survivors=_predicted)


def _checkpoint(rng: random.Random, material: Material, folder: Path) -> Case:
    copied(material.photographs, folder / "in")
    model = copied(rng.choice([material.model, material.shipped]), folder / "model")
    config = model / "config.json"
    words = _damage_file(rng, config) if rng.random() < 0.5 else _any_file(rng, model)
    return Case("predict", _predict(material, model="model"), words)


def _odd_checkpoint(rng: random.Random, material: Material, folder: Path) -> Case:
    copied(material.photographs, folder / "in")
    model = copied(rng.choice([material.model, material.shipped]), folder / "model")
    paths = sorted(model.rglob("*"))
    victim = rng.choice(paths)
    if victim.is_dir():
        shutil.rmtree(victim)
        words = f"{victim.name}: removed"
    else:
        words = f"{victim.name}: {damage.replace_file(rng, victim)}"
    return Case("predict", _predict(material, model="model"), words)


def _earlier_run(rng: random.Random, material: Material, folder: Path) -> Case:
    copied(material.photographs, folder / "in")
    words = _any_file(rng, copied(material.maps, folder / "out"))
    return Case("predict", _predict(material, "--report"), words, survivors=_predicted)


_PREDICT_FLAGS = [
    *("num_samples", "scale", "seed", "tile_size", "overlap", "threshold", "ground_truth", "shard", "max_map_pixels"),
    *("opacity", "palette", "area_draws", "millimetres_per_pixel", "aruco_millimetres", "min_region_pixels", "report"),
    *("report_images", "tta", "calibrated", "panel"),
]


def _predict_flags(rng: random.Random, material: Material, folder: Path) -> Case:
    copied(material.photographs, folder / "in")
    valid = {"checkpoint": str(material.model), "input": "in", "output": "out"}
    arguments = damage.any_flags(rng, valid, _PREDICT_FLAGS)
    return Case("predict", arguments, "flags", written=None)


# prepare_data

# Files of each format that belong to the photograph `victim` alone, and those that belong to all.
_OWN = {
    "folder": ["images/victim.png", "masks/victim.png"],
    "tsv": ["images/victim.png", "masks/victim.png"],
    "labelme": ["photographs/victim.png", "photographs/victim.json"],
    "coco": ["images/victim.png"],
    "yolo": ["images/train/victim.png", "labels/train/victim.txt"],
}
_COMMON = {"tsv": "data.tsv", "coco": "annotations.json", "yolo": "data.yaml"}


def _own_label(rng: random.Random, material: Material, folder: Path) -> Case:
    format = rng.choice(FORMATS)
    source = copied(material.sources / format, folder / "in")
    victim = source / rng.choice(_OWN[format])
    words = damage.replace_file(rng, victim) if rng.random() < 0.3 else _damage_file(rng, victim)
    arguments = ["--source=in", "--output=out", "--to=folder", f"--format={format}"]
    return Case("prepare_data", arguments, f"{format} {victim.name}: {words}", (0,), survivors=_prepared, keeps=(0,))


def _common_label(rng: random.Random, material: Material, folder: Path) -> Case:
    format = rng.choice(sorted(_COMMON))
    source = copied(material.sources / format, folder / "in")
    words = _damage_file(rng, source / _COMMON[format])
    arguments = ["--source=in", "--output=out", "--to=folder", f"--format={rng.choice([format, 'auto'])}"]
    return Case("prepare_data", arguments, f"{format} {words}", (0, 2))


_PREPARE_FLAGS = [
    *("format", "to", "corrosion_classes", "folds", "train_share", "seed", "max_pixels", "name", "version", "strict"),
    *("description", "licence"),
]


def _prepare_flags(rng: random.Random, material: Material, folder: Path) -> Case:
    copied(material.sources / "folder", folder / "in")
    valid = {"source": "in", "output": "out"}
    return Case("prepare_data", damage.any_flags(rng, valid, _PREPARE_FLAGS), "flags", written=None)


# programs that read data sets


def _data_set(rng: random.Random, material: Material, folder: Path) -> Case:
    program = rng.choice(["evaluate", "calibrate", "last_layer"])
    kind = rng.choice([material.dataset, material.dataset, material.prepared])
    words = _any_file(rng, copied(kind, folder / "data"))
    copied(material.model, folder / "model")
    arguments = ["--checkpoint=model", "--data=data", f"--split={rng.choice(['train', 'validation'])}"]
    arguments += {"last_layer": ["--output=out"], "evaluate": ["--output=out"]}.get(program, [])
    arguments += [] if program == "last_layer" else ["--num_samples=2"]
    written = ("out", "model/config.json") if program == "calibrate" else ("out",)
    return Case(program, arguments, f"{kind.name} {words}", written=written)


def _data_flags(rng: random.Random, material: Material, folder: Path) -> Case:
    program = rng.choice(["evaluate", "calibrate", "last_layer"])
    copied(material.model, folder / "model")
    valid = {"checkpoint": "model", "data": str(material.dataset), "split": "validation"}
    valid |= {"output": "out"} if program in ("evaluate", "last_layer") else {}
    return Case(program, damage.any_flags(rng, valid, _DATA_FLAGS[program]), "flags", written=None)


_DATA_FLAGS = {
    "evaluate": ["out_of_distribution", "patch", "figures", "num_samples", "scale", "threshold"],
    "calibrate": ["miss_rate", "false_discovery", "clean_marked", "tolerance", "num_samples", "scale", "tile_size"],
    "last_layer": ["kind", "held_out"],
}


def _training_data(rng: random.Random, material: Material, folder: Path) -> Case:
    words = _any_file(rng, copied(rng.choice([material.dataset, material.prepared]), folder / "data"))
    return Case("train", training_flags("data", "out"), words)


_FIELDS = [
    *("model.preset", "model.variant", "model.width", "data.source", "data.fold", "data.image_size", "data.mean"),
    *("data.std", "augmentation.crop_size", "augmentation.scale", "augmentation.flip", "loss.positive_weight"),
    *("optimizer.learning_rate", "optimizer.name", "schedule.kind", "plateau.factor", "plateau.metric", "members"),
    *("run.checkpoint_steps", "batch_size", "accumulation", "epochs", "validation_samples", "seed"),
    *("fine_tuning.checkpoint", "fine_tuning.freeze_epochs"),
]


def _training_flags(rng: random.Random, material: Material, folder: Path) -> Case:
    arguments = training_flags(material.dataset, "out")
    wrong = ["0", "-1", "nan", "inf", "(0, 0)", "(64,)", "(64, 'x')", "None", "[]", *damage.STRINGS]
    match rng.randrange(6):
        case 0:
            arguments[0] = f"--config={rng.choice(['configs/nothing.py', '.', '', 'configs/demo.py:x', 'README.md'])}"
        case 1:
            del arguments[rng.randrange(2)]  # one that is required: the paper's sizes take long
        case 2:
            arguments += damage.any_flags(rng, {"config.nothing": "1"}, ["strict_batch", "config.model"])
        case _:
            arguments.append(f"--config.{rng.choice(_FIELDS)}={rng.choice(wrong)}")
    return Case("train", arguments, "flags", written=None)


def _interrupted_run(rng: random.Random, material: Material, folder: Path) -> Case:
    words = _any_file(rng, copied(material.run, folder / "out"))
    return Case("train", training_flags(material.dataset, "out"), words)


# the others


def _compare(rng: random.Random, material: Material, folder: Path) -> Case:
    run = copied(material.run, folder / "run")
    files = [path for path in sorted(run.glob("*")) if path.is_file()]
    victim = rng.choice(files)
    words = damage.replace_file(rng, victim) if rng.random() < 0.2 else _damage_file(rng, victim)
    return Case("compare", [f"--workdir=run,{material.run}"], f"{victim.name}: {words}")


def _labels(rng: random.Random, material: Material, folder: Path) -> Case:
    maps = copied(material.maps, folder / "maps")
    arguments = ["--predictions=maps", "--output=out"]
    if rng.random() < 0.3:
        notes = folder / "notes.json"
        notes.write_text(json.dumps({"notes": [{"outputs": name, "checked": True} for name in NAMES]}))
        return Case("labels", [*arguments, "--notes=notes.json"], _damage_file(rng, notes))
    victim = maps / rng.choice(["summary.json", "summary.json", "summary.json", "victim_mask.png"])
    return Case("labels", arguments, _damage_file(rng, victim))


def _weights(rng: random.Random, material: Material, folder: Path) -> Case:
    weights = copied(material.weights, folder / "weights")
    valid = {
        "source": f"weights/{rng.choice(['model.safetensors', 'model.pth'])}",
        "reference_config": "weights/reference.json",
    }
    valid |= {"output": "out", "allow_missing": "bayesian,aleatoric"}
    arguments = [f"--{name}={value}" for name, value in valid.items()]
    match rng.randrange(5):
        case 0 | 1:
            words = _damage_file(rng, folder / valid["source"])
        case 2:
            words = _damage_file(rng, folder / valid["reference_config"])
        case 3:
            (weights / "model.pth").write_bytes(_EXECUTES)
            words, arguments[0] = "a pickle that executes", "--source=weights/model.pth"
        case _:
            return Case("convert", damage.any_flags(rng, valid, _CONVERT_FLAGS), "flags", written=None)
    return Case("convert", arguments, words)


# The bytes of a pickle whose reading calls os.system.
_EXECUTES = b"cos\nsystem\n(S'touch " + damage.MARKER.encode() + b"'\ntR."
_CONVERT_FLAGS = ["preset", "variant", "mean", "std", "seed"]


def _bundle(rng: random.Random, material: Material, folder: Path) -> Case:
    bundle = copied(material.bundle, folder / "bundle")
    words = _damage_file(rng, bundle / "bundle.json") if rng.random() < 0.7 else _any_file(rng, bundle)
    photograph = material.photographs / "a.png"
    return Case("export", ["--checkpoint=", "--output=bundle", f"--verify={photograph}"], words, written=())


def _other_flags(rng: random.Random, material: Material, folder: Path) -> Case:
    """Programs that take long once their flags are right, so one is always wrong."""
    (folder / "file").write_text("x")
    program, valid = rng.choice(
        [
            ("demo", {"workdir": "file/x"}),
            ("fleet", {"checkpoint": "nowhere", "input": "file", "output": "out"}),
            ("draw_scenes", {"output": "file/x.png"}),
            ("compare", {"workdir": "nowhere"}),
            ("models", {"nonsense": "1"}),
            ("export", {"checkpoint": "nowhere", "output": "out"}),
            ("labels", {"predictions": "nowhere", "output": "out"}),
        ]
    )
    arguments = [f"--{name}={value}" for name, value in valid.items()]
    if rng.random() < 0.5:
        arguments.append(rng.choice(["--nonsense", "x", "--platform", "--num_devices=-1", "--platform=nonsense"]))
    return Case(program, arguments, "flags", (1, 2))


SCENARIOS: list[Scenario] = [
    _photograph,
    _own_label,
    _checkpoint,
    _predict_flags,
    _common_label,
    _data_set,
    _labels,
    _odd_file,
    _weights,
    _own_label,
    _true_mask,
    _training_flags,
    _odd_checkpoint,
    _prepare_flags,
    _photograph,
    _compare,
    _earlier_run,
    _data_flags,
    _bundle,
    _common_label,
    _training_data,
    _other_flags,
    _interrupted_run,
    _checkpoint,
]
"""Taken in turn, so that any 24 cases in a row have all of them."""
