"""Models on disk: what comes back of half precision, and damage of every kind, reported in one line."""

import asyncio
import dataclasses
import gc
import json
import math
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
import safetensors.numpy

import spotrust_jax
from spotrust_jax.checkpoints import (
    CheckpointConfig,
    ModelCard,
    Score,
    load_model,
    read_config,
    save_model,
    save_safetensors,
)
from spotrust_jax.config import ModelConfig
from spotrust_jax.convert.reference_config import read_reference_config
from spotrust_jax.errors import InputError
from spotrust_jax.io.orbax_reads import quiet_reads
from spotrust_jax.models.mismatch import MismatchError
from spotrust_jax.models.teacher import load_teacher
from spotrust_jax.outputs.labels import checked_in, read_run
from spotrust_jax.parallel import DeviceGrid
from spotrust_jax.training.checkpointing import LatestState
from tests.trained_like import trained_like

MODEL = ModelConfig("deterministic", "w18_small_v1", width=4)
CARD = ModelCard("tiny", "1.2", "CC0-1.0", ("nothing",), (Score("F1", "no photographs", 0.5, 0.4, 0.6),))
CONFIG = CheckpointConfig(MODEL, 2, (0.5,) * 3, (0.2,) * 3, 64, threshold=0.4, card=CARD)


@pytest.fixture(scope="module")
def variables():
    return trained_like(MODEL, 2)


@pytest.fixture(scope="module")
def half(variables, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("half") / "model"
    save_safetensors(folder, variables, CONFIG)
    return folder


@pytest.fixture(scope="module")
def orbax(variables, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("orbax") / "model"
    save_model(folder, variables, CONFIG)
    return folder


@pytest.fixture
def copied(half, orbax, tmp_path):
    """A copy of one of the two to damage."""
    return lambda kind: shutil.copytree({"half": half, "orbax": orbax}[kind], tmp_path / "copy")


def refusal(folder) -> str:
    with pytest.raises(InputError) as caught:
        load_model(folder)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600
    return str(caught.value)


def test_half_precision_comes_back_rounded_once_and_as_float32(half, variables):
    found, config = load_model(half)
    assert dataclasses.asdict(config) == dataclasses.asdict(CONFIG)
    assert jax.tree.structure(found) == jax.tree.structure(variables)
    for leaf, original in zip(jax.tree.leaves(found), jax.tree.leaves(variables), strict=True):
        assert leaf.dtype == np.float32
        # Half precision has 11 significant bits, below 2^-14 steps of 2^-24.
        np.testing.assert_allclose(leaf, original, rtol=2**-11, atol=2**-25)
    assert (half / "model.safetensors").stat().st_size < 1.2 * 2 * sum(leaf.size for leaf in jax.tree.leaves(variables))


def test_a_folder_and_its_file_are_one_model(half):
    by_folder, by_file = spotrust_jax.load(half), spotrust_jax.load(half / "model.safetensors")
    assert by_folder.fingerprint == by_file.fingerprint
    # The card says of the model what no map depends on.
    other = dataclasses.replace(by_folder, config=dataclasses.replace(by_folder.config, card=ModelCard()))
    assert other.fingerprint == by_folder.fingerprint and other.config == by_folder.config


def test_reading_half_precision_is_fast_and_needs_no_orbax(tmp_path):
    model = ModelConfig("deterministic", "w18")
    random = np.random.default_rng(0)
    # 25 MB, of a network that would take seconds to trace.
    tensors = {f"layer_{i}": {"kernel": random.normal(size=(1, 250_000)).astype(np.float32)} for i in range(50)}
    save_safetensors(tmp_path / "model", {"params": tensors}, dataclasses.replace(CONFIG, model=model, members=1))
    code = (
        "import sys, time; from spotrust_jax.checkpoints import load_model; start = time.monotonic(); "
        f"load_model({str(tmp_path / 'model')!r}); assert time.monotonic() - start < 1, time.monotonic() - start; "
        "assert not any(name.startswith(('orbax', 'tensorstore')) for name in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_files_of_another_writer_are_checked_against_the_network(half, copied):
    folder = copied("half")
    path = folder / "model.safetensors"
    tensors = safetensors.numpy.load_file(path)
    safetensors.numpy.save_file(tensors, path)  # without what our files say of themselves
    assert spotrust_jax.load(folder).fingerprint == spotrust_jax.load(half).fingerprint
    name = "params/backbone/stem/unit1/conv/kernel"
    shape = list(tensors[name].shape[1:])
    safetensors.numpy.save_file({**tensors, name: tensors[name][..., :-1], "params/more": tensors[name]}, path)
    wrong = [*shape[:-1], shape[-1] - 1]
    assert f"{name} has shape {wrong}, not {shape}; params/more is unknown" in refusal(folder)


def test_configuration_of_another_network(copied):
    folder = copied("half")
    config = json.loads((folder / "config.json").read_text())
    config["model"]["width"] = 8
    (folder / "config.json").write_text(json.dumps(config))
    message = refusal(folder)
    assert "holds another network than its config.json describes (deterministic, w18_small_v1)" in message
    assert "has shape [3, 3, 4, 4], not [3, 3, 8, 8]" in message or "not [" in message


def test_values_that_half_precision_does_not_hold(tmp_path):
    for value, words in ((1e6, "1e\\+06"), (math.nan, "nan")):
        with pytest.raises(InputError, match=f"a/b has values of up to {words}, half precision"):
            save_safetensors(tmp_path, {"a": {"b": np.full((2, 3), value, np.float32)}}, CONFIG)
    assert list(tmp_path.iterdir()) == []


def test_weights_may_be_read_by_whoever_may_read_the_configuration(half):
    assert (half / "model.safetensors").stat().st_mode == (half / "config.json").stat().st_mode


def test_no_model_is_written_over_another(half, orbax, variables):
    for folder in (half, orbax):
        with pytest.raises(InputError, match="has a model already: give another folder"):
            save_safetensors(folder, variables, CONFIG)
    with pytest.raises(InputError, match="has a model already"):
        save_model(half, variables, CONFIG)


def _edit(**changes):
    return lambda folder: (folder / "config.json").write_text(
        json.dumps({**json.loads((folder / "config.json").read_text()), **changes})
    )


def _write(contents: bytes):
    return lambda folder: (folder / "config.json").write_bytes(contents)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (_write(b""), "is not JSON"),
        (_write(b"\xff\xfe\xff"), "is not JSON"),
        (_write(b"[" * 100_000), "is not JSON"),
        (_edit(model=json.loads("[" * 900 + "]" * 900)), "checkpoint.model is [[[[[[[...]]]]]]]"),
        (_write(b'{"format": ' + b"9" * 5000 + b"}"), "is not JSON"),
        (_write(b"[]"), "is not of checkpoint format 1"),
        (_write(b'{"format": 1}'), "checkpoint.model is missing"),
        (_edit(std=[0.2, 0.0, 0.2]), "checkpoint.std is (0.2, 0.0, 0.2), expected positive numbers"),
        (_edit(std=[0.2, -1.0, 0.2]), "checkpoint.std is (0.2, -1.0, 0.2)"),
        (_edit(std=[math.nan] * 3), "checkpoint.std is (nan, nan, nan)"),
        (_edit(mean=[0.5, math.inf, 0.5]), "checkpoint.mean is (0.5, inf, 0.5), expected finite numbers"),
        (_edit(mean=[0.5, 0.5]), "checkpoint.mean is [0.5, 0.5]: give 3 values"),
        (_edit(threshold=2), "checkpoint.threshold is 2.0, expected a probability from 0 to 1"),
        (_edit(threshold=math.nan), "checkpoint.threshold is nan"),
        (_edit(threshold="x" * 10**6), "checkpoint.threshold is 'xxx"),
        (_edit(members=0), "checkpoint.members is 0, expected at least 1"),
        (_edit(members=3), "says 3 members, but"),
        (_edit(members=1001), "checkpoint.members is 1001, expected at least 1 and at most 1000"),
        (_edit(members=10**400), "checkpoint.members is about 2**1328, expected at least 1 and at most 1000"),
        (_edit(threshold=10**400), "checkpoint.threshold is about 2**1328: give a number that is not as large"),
        (_edit(positive_weight=10**400), "checkpoint.positive_weight is about 2**1328: give a number"),
        (_edit(mean=[0.5, 0.5, 10**400]), "checkpoint.mean[2] is about 2**1328: give a number"),
        (_edit(calibration={"slope": 10**400, "intercept": 0}), "checkpoint.calibration.slope is about 2**1328: give"),
        (_edit(inference_size=10**9), "checkpoint.inference_size is 1000000000, expected 32 to 32768 pixels"),
        (_edit(positive_weight=0), "checkpoint.positive_weight is 0.0"),
        (_edit(log_variance_bound=-1), "checkpoint.log_variance_bound is -1.0"),
        (_edit(calibration={"slope": math.nan}), "slope of a calibration is nan"),
        (_edit(calibration={"slope": math.inf}), "slope of a calibration is inf"),
        (_edit(calibration={"intercept": math.inf}), "intercept of a calibration is inf"),
        (_edit(surprise=1), "checkpoint.surprise does not exist"),
        (lambda folder: (folder / "config.json").unlink(), "model.safetensors has no config.json beside it"),
    ],
)
def test_damaged_configuration(copied, damage, words):
    folder = copied("half")
    damage(folder)
    assert words in refusal(folder)


def _overwrite(pattern: str, change):
    def damage(folder: Path) -> None:
        for path in folder.glob(pattern):
            change(path)

    return damage


HALVED = lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])  # noqa: E731


@pytest.mark.parametrize(
    "damage",
    [
        _overwrite("0/default/_METADATA", Path.unlink),
        _overwrite("0/default/_METADATA", HALVED),
        _overwrite("0/default/_METADATA", lambda path: path.write_bytes(b"[" * 100_000)),
        _overwrite("0/default/manifest.ocdbt", Path.unlink),
        _overwrite("0/default/d/*", Path.unlink),
        _overwrite("0/default/ocdbt.process_0/d/*", Path.unlink),
        _overwrite("0/default/ocdbt.process_0/d/*", HALVED),
        _overwrite("0/_CHECKPOINT_METADATA", lambda path: path.write_bytes(b"[" * 100_000)),
        _overwrite("0/default", shutil.rmtree),
    ],
)
def test_damaged_orbax_checkpoint(copied, damage, caplog, capfd, monkeypatch):
    unraisable = []  # Python prints their tracebacks
    monkeypatch.setattr(sys, "unraisablehook", unraisable.append)
    folder = copied("orbax")
    damage(folder)
    assert f"checkpoint {folder} is damaged and cannot be restored" in refusal(folder)
    gc.collect()  # by which asyncio reports what nobody awaited
    assert not unraisable and not caplog.records
    assert capfd.readouterr() == ("", "")


def test_arrays_that_are_still_read_when_one_fails_are_waited_for():
    read = []

    async def slow():
        await asyncio.sleep(0.05)
        read.append("the other")

    async def both():
        task = asyncio.create_task(slow())
        await asyncio.sleep(0)
        raise ValueError(f"an array is damaged beside {task}")

    policy = asyncio.get_event_loop_policy()
    with quiet_reads():
        loop = asyncio.new_event_loop()
        with pytest.raises(ValueError, match="an array is damaged"):
            loop.run_until_complete(both())
        loop.close()
    assert read == ["the other"]
    assert asyncio.get_event_loop_policy() is policy


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _device(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("special", [_pipe, _device])
@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("orbax", "0/default/_METADATA"),
        ("orbax", "0/default/manifest.ocdbt"),
        ("orbax", "0/_CHECKPOINT_METADATA"),
        ("half", "model.safetensors"),
    ],
)
def test_what_can_be_read_for_ever_is_refused(copied, kind, name, special):
    path = copied(kind) / name
    path.unlink()
    special(path)
    assert f"{path} is a pipe or a device, no file: " in refusal(path.parents[len(Path(name).parts) - 1])


@pytest.mark.parametrize("name", ["0/default/_METADATA", "0/default/manifest.ocdbt"])
def test_folder_in_place_of_a_file(copied, name):
    folder = copied("orbax")
    (folder / name).unlink()
    (folder / name).mkdir()
    assert "is damaged and cannot be restored" in refusal(folder)


def test_files_of_other_kinds_may_be_pipes_as_well(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    os.mkfifo(tmp_path / "summary.json")
    (tmp_path / "run" / "latest" / "3").mkdir(parents=True)
    os.mkfifo(tmp_path / "run" / "latest" / "3" / "_CHECKPOINT_METADATA")
    readers = {
        "reference_config": lambda: read_reference_config(tmp_path / "pipe"),
        "notes": lambda: checked_in(tmp_path / "pipe"),
        "summary": lambda: read_run(tmp_path),
        "teacher": lambda: load_teacher(tmp_path / "pipe"),
        "state of a run": lambda: LatestState(tmp_path / "run", DeviceGrid(1, jax.local_devices()[:1])),
    }
    for read in readers.values():
        with pytest.raises(InputError, match="a pipe or a device, no file") as caught:
            read()
        assert "\n" not in str(caught.value)


def test_orbax_checkpoint_without_weights_and_with_others(copied):
    folder = copied("orbax")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "members": 1}))
    assert "says 1 members, but" in refusal(folder)
    shutil.rmtree(folder / "0")
    assert "no Orbax checkpoint" in refusal(folder)


def _without_head(variables):
    return {**variables, "params": {name: part for name, part in variables["params"].items() if name != "head"}}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_without_head, "params/head/logit/bias is missing; params/head/logit/kernel is missing"),
        (lambda v: {"params": v["params"]}, "batch_stats/aleatoric/stem/unit1/norm/mean is missing"),
        (lambda v: {"a": np.ones((2, 3), np.float32)}, "is missing; "),
        (lambda v: trained_like(dataclasses.replace(MODEL, width=8), 2), "has shape ["),
    ],
)
def test_orbax_checkpoint_of_another_network(variables, tmp_path, change, words):
    save_model(tmp_path / "model", change(variables), CONFIG)
    segmenter = spotrust_jax.load(tmp_path / "model")
    with pytest.raises(MismatchError, match=r"variables do not fit its config\.json: ") as caught:
        segmenter.predict(np.zeros((64, 64, 3), np.uint8))
    assert words in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("save", [save_model, save_safetensors])
def test_values_that_are_not_finite(variables, tmp_path, save):
    broken = jax.tree.map(np.copy, variables)
    broken["params"]["head"]["logit"]["bias"][1, 0] = np.inf
    if save is save_model:
        save(tmp_path / "model", broken, CONFIG)
    else:
        save(tmp_path / "model", variables, CONFIG)
        path = tmp_path / "model" / "model.safetensors"
        tensors = safetensors.numpy.load_file(path)
        tensors["params/head/logit/bias"][1, 0] = np.inf
        safetensors.numpy.save_file(tensors, path)
    assert "has values in params/head/logit/bias that are not finite" in refusal(tmp_path / "model")


def _flipped(path: Path) -> None:
    contents = bytearray(path.read_bytes())
    contents[-5000] ^= 1
    path.write_bytes(contents)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (HALVED, "is no safetensors file, or a damaged one"),
        (lambda path: path.write_bytes(b""), "is no safetensors file, or a damaged one"),
        (lambda path: path.write_bytes(b"hello world" * 9), "is no safetensors file, or a damaged one"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "is no safetensors file, or a damaged one"),
        (_flipped, "is damaged (its contents do not have the hash that it names)"),
        (Path.unlink, "no Orbax checkpoint and no model.safetensors"),
    ],
)
def test_damaged_safetensors(copied, damage, words):
    folder = copied("half")
    damage(folder / "model.safetensors")
    assert words in refusal(folder)


def test_what_is_no_model(tmp_path, half):
    shutil.copy(half / "model.safetensors", tmp_path / "alone.safetensors")
    (tmp_path / "text.txt").write_text("text")
    os.mkfifo(tmp_path / "config.json")
    started = time.monotonic()
    assert "is not a checkpoint: it has no config.json" in refusal(tmp_path)
    assert time.monotonic() - started < 1
    (tmp_path / "config.json").unlink()
    assert "alone.safetensors has no config.json beside it" in refusal(tmp_path / "alone.safetensors")
    assert "is not a checkpoint" in refusal(tmp_path / "text.txt")
    assert "is not there; check the path" in refusal(tmp_path / "nothing")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert "is not there" in refusal(tmp_path / "loop")
    assert "is not there" in refusal(tmp_path / ("x" * 300))
    with pytest.raises(InputError, match="is not there"):
        read_config(tmp_path / "nothing")
