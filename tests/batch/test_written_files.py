"""What a run wrote is no photograph; a mask belongs to one photograph, an output folder to one run."""

import contextlib
import dataclasses
import itertools
import shutil
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from PIL import Image

from spotrust_jax.batch.folder import analyse_photographs
from spotrust_jax.batch.ground_truth import Truths
from spotrust_jax.batch.photograph_job import Job, require_apart, require_ours
from spotrust_jax.batch.records import only_run
from spotrust_jax.errors import InputError
from spotrust_jax.inference.analysis import Analysis
from spotrust_jax.inference.preprocessing import list_photographs
from spotrust_jax.io.written_files import read_record
from spotrust_jax.outputs.map_files import write_maps
from spotrust_jax.outputs.picture_options import PictureOptions
from tests.inference.known_segmenter import KnownSegmenter
from tests.report.surveys import MODEL, REPORTED, publish

NAMES = ("a.png", "bridge/0001.jpg", "tank/0001.jpg")


@pytest.fixture
def folder(tmp_path):
    """Three photographs, two of one name."""
    for seed, name in enumerate(NAMES):
        path = tmp_path / "data" / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(seed).integers(0, 256, (40, 50, 3), np.uint8)).save(path)
    return tmp_path / "data" / "in"


def full_job(output):
    """One that leaves every kind of file."""
    asked = Analysis(None, 2, decomposed=True, augment=True)
    return Job(output, asked, 0.5, **REPORTED, picture_options=PictureOptions(True, True, True))


def run(pattern, job):
    photographs = list_photographs(str(pattern))
    return [item.row for item in sorted(analyse_photographs([KnownSegmenter()], photographs, job))]


def names(pattern, folder):
    return tuple(one.path.relative_to(folder).as_posix() for one in list_photographs(str(pattern)))


@pytest.mark.parametrize("place", [".", "..", "maps", "../out"])
def test_written_files_are_no_photographs(folder, place):
    output = folder / place
    rows = run(folder, full_job(output))
    publish(output, rows, MODEL, inline=False)
    assert names(folder, folder) == NAMES
    assert names(f"{folder}/**/*.*", folder) == NAMES
    assert names(folder.parent, folder.parent) == tuple(f"in/{name}" for name in NAMES)
    again = run(folder, full_job(output))
    assert again == rows and [row.status for row in rows] == ["ok"] * 3
    # With other settings they are still the photographs, whatever lies beside them.
    assert len(run(folder, dataclasses.replace(full_job(output), threshold=0.4))) == 3


def test_single_photograph_beside_its_maps(folder):
    for _ in range(2):
        (row,) = run(folder / "a.png", full_job(folder))
        assert row.status == "ok" and (folder / "a_mask.png").is_file()
    with pytest.raises(InputError, match=r"a_mask\.png' has no photographs, only what an earlier run wrote"):
        list_photographs(str(folder / "a_mask.png"))


def test_records_name_every_file_before_it_is_written(folder, tmp_path):
    output = tmp_path / "out"
    run(folder, full_job(output))
    written = {path for path in output.rglob("*") if path.is_file() and ".records" not in path.parts}
    claimed = itertools.chain(*(full_job(output).files(one) for one in list_photographs(str(folder))))
    assert written <= set(claimed)


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_files_of_a_run_that_broke_off_are_none(folder, monkeypatch, error):
    def broken(*arguments, **options):
        write_maps(*arguments, **options)
        raise error

    monkeypatch.setattr("spotrust_jax.batch.photograph_job.write_maps", broken)
    with contextlib.suppress(KeyboardInterrupt):
        run(folder, full_job(folder))
    assert (folder / "a_mask.png").is_file() and names(folder, folder) == NAMES


def test_files_of_a_run_that_was_killed_are_none(folder):
    photograph = list_photographs(str(folder))[1]
    job = full_job(folder)
    job.records(KnownSegmenter()).claim(photograph, job.files(photograph))
    shutil.copy(folder / "a.png", folder / "bridge" / "0001_overlay.png")
    assert names(folder, folder) == NAMES


def test_photograph_in_the_place_of_a_map_is_one(folder):
    run(folder, full_job(folder))
    shutil.copy(folder / "a.png", folder / "a_overlay.png")
    assert "a_overlay.png" in names(folder, folder)


def test_no_photograph_is_lost_under_a_map(folder):
    shutil.copy(folder / "a.png", folder / "a_mask.png")
    with pytest.raises(InputError, match=r"a_mask\.png lies where a picture of .*a\.png is to be"):
        require_apart(list_photographs(str(folder)), folder)
    require_apart(list_photographs(str(folder)), folder / "maps")


def test_no_file_of_the_user_is_lost_under_a_map(folder):
    mask = folder / "bridge" / "0001_mask.png"
    Image.new("L", (50, 40)).save(mask)
    (folder / ".records").mkdir()
    for record in ("{", '{"files": {"bridge/0001_mask.png": 1}}', '{"files": {"a_mask.png": null}}'):
        (folder / ".records" / "other.json").write_text(record)
        photographs = list_photographs(str(folder / "bridge" / "0001.jpg"))
        with pytest.raises(InputError, match=r"bridge/0001_mask\.png lies where a file of this run is to be written, "):
            require_ours([one._replace(stem=PurePosixPath("bridge/0001")) for one in photographs], full_job(folder))
    require_ours(photographs, full_job(folder / "maps"))
    mask.unlink()
    mask.symlink_to("nowhere")
    with pytest.raises(InputError, match=r"0001_mask\.png lies where"):
        require_ours(photographs, full_job(folder / "bridge"))


def test_maps_of_earlier_runs_are_ours(folder):
    photographs = list_photographs(str(folder))
    plain = dataclasses.replace(full_job(folder), picture_options=PictureOptions(), area_draws=None, writers=())
    # What only the first run writes stays ours after the second.
    for job in (full_job(folder), plain, full_job(folder)):
        require_ours(photographs, full_job(folder))
        assert [row.status for row in run(folder, job)] == ["ok"] * 3
        assert names(folder, folder) == NAMES
    (folder / "a_mask.png").write_bytes(b"corrected by hand")
    with pytest.raises(InputError, match=r"a_mask\.png lies where"):
        require_ours(photographs, full_job(folder))


DAMAGED = (
    '{"files": [[1, 2]]}',
    '{"files": {"a.png": "1"}}',
    '{"files": {"a.png": true}}',
    '{"files": {"a.png": [1]}}',
)
UNSPEAKABLE = ('{"files": {"a\\u0000.png": 1}}', '{"files": {"a\\ud800.png": null}}', "[]", '{"files": 7}', "{")


@pytest.mark.parametrize("record", DAMAGED + UNSPEAKABLE)
def test_damaged_record_hides_nothing_and_stops_no_run(folder, record):
    (folder.parent / ".records").mkdir()
    (folder.parent / ".records" / "w.json").write_text(record)
    assert names(folder, folder) == NAMES


def test_what_is_sound_in_a_damaged_record_counts():
    text = '{"files": {"a": 1, "b": null, "c": "1", "d": 1.5, "e": false, "f\\u0000": 1}}'
    assert read_record(text) == {"a": 1, "b": None}


def masks(folder, *places):
    for place in places:
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((40, 50), bool)).save(folder / place)
    return folder


def test_masks_are_those_of_their_own_photographs(folder, tmp_path):
    photographs = list_photographs(str(folder))
    flat = Truths.of(masks(tmp_path / "flat", "a.png", "0001.png"), photographs)
    assert [flat.find(one) for one in photographs] == [tmp_path / "flat" / "a.png", None, None]
    with pytest.raises(InputError, match=r"bridge/0001\.jpg has no mask of its own .* 0001\.png may be that of"):
        flat.path(photographs[1])
    own = Truths.of(masks(tmp_path / "own", "a.png", "bridge/0001.png", "tank/0001.png"), photographs)
    assert [own.find(one).relative_to(own.folder) for one in photographs] == [
        Path("a.png"),
        Path("bridge/0001.png"),
        Path("tank/0001.png"),
    ]
    # Where names are not shared, a flat folder is clear; a shard of the photographs changes nothing.
    some = [one for one in photographs if one.stem != PurePosixPath("tank/0001")]
    assert Truths.of(flat.folder, some).find(some[1]) == tmp_path / "flat" / "0001.png"


def test_extensions_do_not_share_a_mask(tmp_path):
    for name in ("a.jpg", "a.png"):
        (tmp_path / "in").mkdir(exist_ok=True)
        Image.new("RGB", (50, 40)).save(tmp_path / "in" / name)
    photographs = list_photographs(str(tmp_path / "in"))
    truths = Truths.of(masks(tmp_path / "masks", "a.png", "a.png.png"), photographs)
    assert [truths.find(one) for one in photographs] == [None, tmp_path / "masks" / "a.png.png"]
    masks(tmp_path / "masks", "a.png.tif")
    with pytest.raises(InputError, match=r"has two masks, .*a\.png\.png and a\.png\.tif: keep one"):
        truths.path(photographs[1])


def test_mask_of_another_photograph_is_no_score(folder, tmp_path):
    photographs = list_photographs(str(folder))
    truths = Truths.of(masks(tmp_path / "flat", "a.png", "0001.png"), photographs)
    job = Job(tmp_path / "out", Analysis(None, 2), 0.5, truths)
    rows = run(folder, job)
    assert [row.status for row in rows] == ["ok", "failed", "failed"]
    assert [row.accuracy is None for row in rows] == [False, True, True]


def test_one_run_at_a_time_has_a_folder(tmp_path):
    with only_run(tmp_path):
        for part in ("", "1-of-2"):
            with pytest.raises(InputError, match="another run is writing into"), only_run(tmp_path, part):
                pass
    with only_run(tmp_path, "1-of-2"), only_run(tmp_path, "2-of-2"):
        for part in ("", "2-of-2"):
            with pytest.raises(InputError, match="another run is writing into"), only_run(tmp_path, part):
                pass
    with only_run(tmp_path):
        pass
