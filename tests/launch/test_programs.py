"""The programs as a person runs them: one small run from training to maps, and bad input in one line."""

import csv
import hashlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spotrust_jax.command_line import config_file
from spotrust_jax.errors import InputError
from tests.programs import Outcome, call
from tests.training.small_network import use_it

REPOSITORY = Path(__file__).resolve().parent.parent.parent

PREDICT = ("--checkpoint=.", "--input=README.md")


TWO_DEVICES = ["--platform=cpu", "--num_devices=2"]


@pytest.fixture(scope="module", autouse=True)
def small_network():
    """One convolution a branch as the backbone: the programs do not know the network."""
    with pytest.MonkeyPatch.context() as patch:
        use_it(patch.setattr)
        yield


def run(name: str, *arguments: object) -> Outcome:
    return call(name, arguments, REPOSITORY)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder of ten scenes: six to train, two to validate, two to test; one photograph is portrait and larger."""
    from spotrust_jax.data.card import DatasetCard
    from spotrust_jax.data.folder_writer import write_folder
    from spotrust_jax.data.scenes import DEMO_SCENES, SceneDataset

    folder = tmp_path_factory.mktemp("data with spaces")
    write_folder({"train": SceneDataset(DEMO_SCENES, "train", 10)}, folder, DatasetCard("scenes"))
    rows = list(csv.reader((folder / "splits.csv").open()))
    for number, row in enumerate(rows[1:]):
        row[1] = ["train"] * 6 + ["validation"] * 2 + ["test"] * 2
        row[1] = row[1][number]
    csv.writer((folder / "splits.csv").open("w", newline="")).writerows(rows)
    name = rows[-1][0]
    for kind in ("images", "masks"):
        path = folder / kind / f"{name}.png"
        Image.open(path).resize((150, 260), Image.Resampling.NEAREST).save(path)
    return folder


@pytest.fixture(scope="module")
def trained(data, small_network, tmp_path_factory):
    """A run directory after two steps."""
    run_directory = tmp_path_factory.mktemp("run")
    result = run(
        "train",
        "--config=configs/variational.py:w18_small_v1",
        f"--workdir={run_directory}",
        f"--config.data.path={data}",
        "--config.model.width=4",
        "--config.data.image_size=64",
        "--config.augmentation.crop_size=(64, 64)",
        "--config.epochs=2",
        "--config.batch_size=4",
    )
    assert result.code == 0, result.stderr
    assert "2 epochs, 2 steps" in result.stdout
    return run_directory


def test_predict_writes_maps_and_one_bad_file_loses_no_other(data, trained, tmp_path):
    photographs = tmp_path / "photographs"
    (photographs / "below").mkdir(parents=True)
    names = sorted(path.stem for path in (data / "images").iterdir())
    for name, place in ((names[0], "a.jpg"), (names[-1], "below/ünï 'x'.png"), (names[1], "a.png")):
        Image.open(data / "images" / f"{name}.png").save(photographs / place)
    (photographs / "broken.jpg").write_bytes((photographs / "a.jpg").read_bytes()[:400])
    arguments = (f"--checkpoint={trained}/best", f"--input={photographs}", "--num_samples=3")
    result = run("predict", *arguments, f"--output={tmp_path}/out")
    assert result.code == 1
    assert result.stderr.count("error:") == 1 and "broken.jpg" in result.stderr and "Traceback" not in result.stderr
    assert "3 of 4 photographs analysed" in result.stdout
    assert "warning: 1 of 4" in result.stderr  # the portrait is more than twice as large as 64 pixels

    rows = {Path(row["photograph"]).name: row for row in json.loads((tmp_path / "out" / "summary.json").read_text())}
    assert [rows[name]["status"] for name in ("a.jpg", "a.png", "broken.jpg")] == ["ok", "ok", "failed"]
    for stem in ("a.jpg", "a.png", "below/ünï 'x'"):
        for ending in ("mask.png", "overlay.png", "epistemic.png", "aleatoric.png", "maps.npz"):
            assert (tmp_path / "out" / f"{stem}_{ending}").is_file()
    arrays = np.load(tmp_path / "out" / "below" / "ünï 'x'_maps.npz")
    assert arrays["probability"].shape == (260, 150)
    mask = np.asarray(Image.open(tmp_path / "out" / "below" / "ünï 'x'_mask.png"))
    # Half precision rounds what is just below the threshold to it.
    clear = np.abs(arrays["probability"].astype(np.float32) - 0.5) > 2**-11
    assert clear.mean() > 0.9
    np.testing.assert_array_equal((mask[..., 1] == 255)[clear], (arrays["probability"] >= 0.5)[clear])
    fraction = rows["ünï 'x'.png"]["corroded_fraction"]
    np.testing.assert_allclose(fraction, (mask[..., 1] == 255).mean(), atol=1e-3)

    # A second start has only the broken one left to try; a shard has its own summary.
    again = run("predict", *arguments, f"--output={tmp_path}/out", "--shard=1/2")
    assert again.code == 0, again.stderr
    assert "2 of 2 photographs analysed, 2 of them by an earlier run" in again.stdout
    summary = {row["outputs"]: row for row in json.loads((tmp_path / "out" / "summary-1-of-2.json").read_text())}
    assert summary["below/ünï 'x'"] == rows["ünï 'x'.png"]

    # The same photograph alone, under another name: the same maps, bit for bit.
    alone = tmp_path / "alone.png"
    alone.write_bytes((photographs / "a.png").read_bytes())
    arguments = (f"--checkpoint={trained}/best", f"--input={alone}", "--num_samples=3")
    assert run("predict", *arguments, f"--output={tmp_path}/alone").code == 0
    one, other = np.load(tmp_path / "alone" / "alone_maps.npz"), np.load(tmp_path / "out" / "a.png_maps.npz")
    for name in ("probability", "epistemic", "log_variance"):
        np.testing.assert_array_equal(one[name], other[name])


def test_evaluate_agrees_with_ground_truth_of_predict(data, trained, tmp_path):
    common = (f"--checkpoint={trained}/best", "--num_samples=3", "--threshold=0.4")
    result = run("evaluate", *common, f"--data={data}", "--split=test", f"--output={tmp_path}/scores")
    assert result.code == 0, result.stderr
    assert "iou_corrosion" in result.stdout and "2 images" in result.stdout
    rows = list(csv.DictReader((tmp_path / "scores" / "per_image.csv").open()))
    assert len(rows) == 2
    images = [f"--input={data}/images", f"--ground_truth={data}/masks", f"--output={tmp_path}/maps"]
    assert run("predict", *common, *images).code == 0
    summary = {row["outputs"]: row for row in json.loads((tmp_path / "maps" / "summary.json").read_text())}
    for row in rows:
        assert (tmp_path / "maps" / f"{row['image']}_accuracy.png").is_file()
        for metric in ("f1", "iou_corrosion", "accuracy"):
            np.testing.assert_allclose(float(row[metric]), summary[row["image"]][metric], atol=1e-6)


def test_report_and_labels(data, trained, tmp_path):
    photographs = tmp_path / "photographs"
    photographs.mkdir()
    names = sorted(path.name for path in (data / "images").iterdir())[:3]
    for name in names:
        (photographs / name).write_bytes((data / "images" / name).read_bytes())
    (photographs / "broken.png").write_bytes(b"")
    output = tmp_path / "out"
    common = (f"--checkpoint={trained}/best", "--num_samples=3", "--threshold=0.45")
    report = (
        f"--input={photographs}",
        f"--output={output}",
        "--report",
        "--area_draws=20",
        "--millimetres_per_pixel=2",
    )
    result = run("predict", *common, *report)
    assert result.code == 1 and f"report: {output}/report.html" in result.stdout, result.stderr
    rows = json.loads((output / "summary.json").read_text())
    done = [row for row in rows if row["status"] == "ok"]
    assert len(done) == 3 and len(rows) == 4
    for row in done:
        assert 0 <= row["sampled_area_low"] <= row["sampled_area_high"] <= 1 and row["sampled_areas"] == 20
        assert row["area"] == row["mean_probability"] and row["area_low"] is row["area_high"] is None
        probability = np.load(output / f"{row['outputs']}_maps.npz")["probability"].astype(float)
        missed = np.where(probability < 0.45, probability, 0).mean()
        np.testing.assert_allclose(row["expected_missed_fraction"], missed, atol=1e-3)
        assert row["mean_entropy"] > row["mean_mutual_information"]
        assert row["corroded_square_millimetres"] == 4 * row["corroded_fraction"] * row["height"] * row["width"]
        assert set(np.load(output / f"{row['outputs']}_maps.npz").files) == {"probability", "epistemic", "log_variance"}
    page = (output / "report.html").read_text()
    assert "analysed at half of their size (64 pixels on the long side)" in page and "broken.png" in page
    # A second start analyses nothing and gives the whole report again, now with the pictures beside it.
    (photographs / "broken.png").unlink()
    again = run("predict", *common, *report, "--report_images=folder")
    assert "3 of 3 photographs analysed, 3 of them by an earlier run" in again.stdout
    assert len(list((output / "report_files").iterdir())) == 6
    assert json.loads((output / "summary.json").read_text()) == done

    labels = run("labels", f"--predictions={output}", f"--output={tmp_path}/labels")
    assert labels.code == 0 and "3 photographs with labels" in labels.stdout, labels.stderr
    prepared = run("prepare_data", f"--source={tmp_path}/labels", "--format=labelme", f"--output={tmp_path}/data")
    assert prepared.code == 0, prepared.stderr


def test_calibration_is_kept_and_used(data, trained, tmp_path):
    model = tmp_path / "model"
    shutil.copytree(trained / "best", model)
    common = (f"--checkpoint={model}", "--num_samples=3")
    result = run("calibrate", *common, f"--data={data}", "--split=all", "--allow_seen")
    assert result.code == 0, result.stderr
    config = json.loads((model / "config.json").read_text())
    assert f"threshold: {config['threshold']:.4f} (best F1, on 10 photographs in 10 groups)" in result.stdout
    image = f"--input={next((data / 'images').iterdir())}"
    for name, options in (("calibrated", []), ("raw", ["--nocalibrated"])):
        assert run("predict", *common, image, f"--output={tmp_path / name}", *options).code == 0
    calibrated, raw = (np.load(next((tmp_path / name).glob("*_maps.npz"))) for name in ("calibrated", "raw"))
    slope, intercept = config["calibration"]["slope"], config["calibration"]["intercept"]
    p = np.clip(raw["probability"].astype(np.float64), 1e-4, 1 - 1e-4)
    expected = 1 / (1 + np.exp(-slope * np.log(p / (1 - p)) - intercept))
    np.testing.assert_allclose(calibrated["probability"], expected, atol=2e-2)
    np.testing.assert_array_equal(calibrated["epistemic"], raw["epistemic"])
    masks = [np.asarray(Image.open(next((tmp_path / name).glob("*_mask.png")))) for name in ("calibrated", "raw")]
    assert (masks[0] == masks[1]).mean() > 0.98
    refused = run("calibrate", *common, f"--data={data}", "--split=all", "--miss_rate=0.05", "--allow_seen")
    assert refused.code == 2 and "from 9 groups" in refused.stderr  # one shows no corrosion
    refused = run("calibrate", *common, f"--data={data}", "--miss_rate=0.3", "--clean_marked=0.2")
    assert refused.code == 2 and "--miss_rate and --clean_marked are given" in refused.stderr
    refused = run("calibrate", *common, f"--data={data}", "--miss_rate=0.3", "--tolerance=0.1")
    assert refused.code == 2 and "--tolerance=0.1 is of --clean_marked" in refused.stderr
    promised = run("calibrate", *common, f"--data={data}", "--split=all", "--miss_rate=0.3", "--allow_seen")
    assert promised.code == 0 and "says nothing of a single photograph" in promised.stdout
    assert json.loads((model / "config.json").read_text())["promise"]["groups"] == 9
    kind = run("last_layer", f"--checkpoint={model}", f"--data={data}", f"--output={tmp_path / 'laplace'}")
    assert kind.code == 2 and "deterministic" in kind.stderr


def test_novelty_takes_splits_that_share_nothing(data, trained):
    asked = (f"--checkpoint={trained / 'best'}", f"--data={data}", "--allow_seen")
    refused = run("novelty", *asked, "--split=train")
    assert refused.code == 2 and "--training=train and --split=train share 6 photographs" in refused.stderr
    refused = run("novelty", *asked)
    assert refused.code == 2 and "held-out photographs are of 2 groups" in refused.stderr


def test_photographs_that_the_model_knows_are_refused(data, trained, tmp_path):
    model = tmp_path / "model"
    shutil.copytree(trained / "best", model)
    config = json.loads((model / "config.json").read_text())
    names = {split: [] for split in ("train", "validation", "test")}
    for row in csv.DictReader((data / "splits.csv").open()):
        names[row["split"]].append(row["name"])
    for field, split in (("trained_on", "train"), ("selected_on", "validation")):
        assert config[field]["names"] == sorted(names[split])
        for name, digest in zip(config[field]["names"], config[field]["hashes"], strict=True):
            image = np.asarray(Image.open(data / "images" / f"{name}.png").convert("RGB"))
            assert digest == hashlib.blake2b(f"{image.shape}".encode() + image.tobytes(), digest_size=8).hexdigest()

    common = (f"--checkpoint={model}", "--num_samples=2", f"--data={data}")
    refused = run("calibrate", *common, "--split=train")
    assert refused.code == 2 and refused.stderr.count("\n") == 1
    listed = ", ".join(sorted(names["train"])[:3])
    words = f"6 of these 6 photographs are among those that {model} was trained on ({listed}, ...)"
    assert words in refused.stderr and "--allow_seen" in refused.stderr
    assert json.loads((model / "config.json").read_text()) == config
    # What chose the epoch may calibrate, but neither may measure.
    done = run("calibrate", *common, "--split=validation")
    assert done.code == 0, done.stderr
    assert json.loads((model / "config.json").read_text())["calibrated_on"] == config["selected_on"]
    output = f"--output={tmp_path}/scores"
    for split, words in (("validation", "was selected on"), ("train", "was trained on")):
        refused = run("evaluate", *common, f"--split={split}", output)
        assert refused.code == 2 and words in refused.stderr
    done = run("evaluate", *common, "--split=test", output)
    assert done.code == 0, done.stderr

    # Other names do not hide them, and what is calibrated on is known from then on.
    renamed = tmp_path / "renamed"
    for kind in ("images", "masks"):
        (renamed / kind).mkdir(parents=True)
        for number, name in enumerate((names["train"][0], names["test"][0])):
            shutil.copy(data / kind / f"{name}.png", renamed / kind / f"{number}.png")
    common = (f"--checkpoint={model}", "--num_samples=2", f"--data={renamed}", "--split=all")
    refused = run("evaluate", *common, output)
    assert refused.code == 2 and "1 of these 2 photographs" in refused.stderr and "(0)" in refused.stderr
    copied = run("calibrate", *common, "--allow_seen", f"--output={tmp_path}/copied")
    assert copied.code == 0, copied.stderr
    for name in ("0", "1"):
        for kind in ("images", "masks"):
            (renamed / kind / f"{name}.png").rename(renamed / kind / f"{name}-again.png")
    (renamed / "images" / "0-again.png").unlink()
    refused = run("evaluate", f"--checkpoint={tmp_path}/copied", *common[1:], output)
    assert refused.code == 2 and "was calibrated on (1-again)" in refused.stderr
    assert run("evaluate", f"--checkpoint={tmp_path}/copied", *common[1:], output, "--allow_seen").code == 0


@pytest.mark.parametrize(
    ("program", "arguments", "words"),
    [
        ("train", ["--config=configs/nothing.py", "--workdir=x"], "configs/nothing.py does not exist"),
        ("train", ["--config=configs/demo.py", "--workdir=x", "--config.model.presett=w18"], "did you mean preset"),
        ("train", ["--config=configs/demo.py", "--workdir=x", "--config.batch_size=0"], "from 1 up"),
        ("train", ["--config=configs/demo.py", "--workdir=x", "--config.plateau.factor=1.5"], "above 0 and below 1"),
        ("pretrain", ["--config=configs/pretrain.py"], "--workdir is missing"),
        ("pretrain", ["--config=configs/pretrain.py", "--workdir=x"], "config.data.path has 0 photographs"),
        ("pretrain", ["--config=configs/pretrain.py", "--workdir=x", "--config.batch_size=0"], "from 1 up"),
        ("pretrain", ["--save_teacher=nowhere/teacher.npz"], "in a folder that exists"),
        ("train", ["--config=configs/demo.py", "--workdir=x", "--config.model.preset=w19"], "w18_small_v1"),
        ("train", ["--config=configs/demo.py", "--workdir=x", "--platform=cpu", "--nonsense"], "nonsense"),
        ("train", ["--config=configs/dropout.py", "--workdir=x"], "data.path is empty"),
        ("train", ["--config=configs/demo.py", "--workdir=x", "--process_id=1"], "need all of --coordinator_address"),
        (
            "train",
            ["--config=configs/demo.py", "--workdir=x", "--config.batch_size=3", "--strict_batch", *TWO_DEVICES],
            "batch_size is 3, which 2 devices cannot split evenly: give 4",
        ),
        ("predict", [*PREDICT, "--output={tmp}"], "is not a checkpoint"),
        ("predict", [*PREDICT, "--output=README.md/x"], "--output=README.md/x cannot be written"),
        ("predict", [*PREDICT, "--output={tmp}", "--shard=5/4"], "--shard=5/4 is no part: give i/n"),
        ("predict", [*PREDICT, "--output={tmp}", f"--shard=1/{'9' * 5000}"], "... is no part: give i/n"),
        ("predict", [*PREDICT, "--output={tmp}", "--num_samples=0"], "num_samples=0"),
        ("predict", [*PREDICT, "--output={tmp}", "--threshold=1.5"], "threshold=1.5"),
        ("predict", [*PREDICT, "--output={tmp}", "--area_draws=9"], "--area_draws is for the report: add --report"),
        ("predict", [*PREDICT, "--output={tmp}", "--report", "--millimetres_per_pixel=0"], "give millimetres above 0"),
        (
            "predict",
            [*PREDICT, "--output={tmp}", "--report", "--min_region_square_millimetres=5"],
            "needs a scale: add --millimetres_per_pixel",
        ),
        (
            "predict",
            ["--input=docs/report.png", "--output={tmp}", "--regions=nowhere"],
            "--regions=nowhere is no folder",
        ),
        (
            "predict",
            ["--input=docs/report.png", "--output={tmp}", "--regions=docs"],
            "--regions=docs has no region of interest of any photograph: name them as the photographs are",
        ),
        ("labels", ["--predictions=nowhere", "--output={tmp}"], "nowhere/summary.json does not exist"),
        ("evaluate", ["--checkpoint=.", "--data=nowhere", "--output=x"], "nowhere"),
        ("export", ["--checkpoint=.", "--output={tmp}/bundle"], "is not a checkpoint"),
        ("export", ["--output={tmp}", "--verify=docs"], "is no bundle: it has no bundle.json"),
    ],
)
def test_bad_input_is_one_line_and_code_two(program, arguments, words, tmp_path):
    result = run(program, *(argument.format(tmp=tmp_path) for argument in arguments))
    assert result.code == 2
    lines = [line for line in result.stderr.splitlines() if line.startswith("error:")]
    assert len(lines) == 1 and words in lines[0], result.stderr
    assert "Traceback" not in result.stderr


def test_module_of_a_checkout_names_a_platform_that_is_not_there():
    command = [sys.executable, "-m", "launch.train", "--config=configs/demo.py", "--workdir=x", "--platform=tpu"]
    result = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert result.returncode == 2 and result.stderr.startswith("error:") and result.stderr.count("\n") == 1
    assert "tpu is not on this machine" in result.stderr


def test_console_command_runs_a_program_and_names_them_all(golden, tmp_path):
    pytest.importorskip("torch")
    command = [sys.executable, "-c", "from spotrust_jax.command_line.main import main; main()"]
    arguments = [
        f"--source={golden}/dropout.state",
        f"--reference_config={golden}/dropout.hypes.json",
        f"--output={tmp_path}/model",
    ]
    done = subprocess.run([*command, "convert", *arguments], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "1551 tensors matched, 0 missing" in done.stdout and "optimizer" in done.stdout
    assert (tmp_path / "model" / "config.json").is_file()
    wrong = subprocess.run([*command, "predikt"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert wrong.returncode == 2
    programs = [path.stem for path in (REPOSITORY / "launch").glob("*.py") if "\ndef main() ->" in path.read_text()]
    assert len(programs) >= 15 and ",".join(sorted(programs)) in wrong.stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def get_config(): return 1 / 0", "cannot be loaded (ZeroDivisionError: division by zero)"),
        ("def get_config(: pass", "cannot be loaded (SyntaxError"),
        ("import nothing_there", "cannot be loaded (ModuleNotFoundError: No module named 'nothing_there')"),
        ("x = 1", "cannot be loaded (KeyError: 'get_config')"),
        ("def get_config(): return 3", "gives 3, not a ConfigDict"),
        ("def get_config(): pass", "gives None, not a ConfigDict"),
        ("\0", "cannot be loaded"),
    ],
)
def test_config_file_that_cannot_be_loaded_is_one_line(text, words, tmp_path):
    (tmp_path / "config.py").write_text(text)
    with pytest.raises(InputError, match=re.escape(words)) as caught:
        config_file.complete(["train", f"--config={tmp_path}/config.py"], REPOSITORY)
    assert "\n" not in str(caught.value)


def test_argument_that_a_config_file_does_not_take_is_one_line():
    with pytest.raises(InputError, match=re.escape("demo.py:x cannot be loaded")):
        config_file.complete(["train", "--config=configs/demo.py:x"], REPOSITORY)


@pytest.mark.parametrize("config", ["--config=configs/demo.py", "--config configs/demo.py"])
def test_tuple_given_twice_replaces(config):
    values = [
        "--config.augmentation.crop_size=(64, 96)",
        "--config.augmentation.crop_size=(32, 48)",
        "--config.data.mean=[.1, .2, .3]",
    ]
    code = (
        "import sys; from launch import train; from absl import flags\n"
        "flags.FLAGS(train.complete_arguments(sys.argv))\n"
        "print(train._CONFIG.value.augmentation.crop_size, train._CONFIG.value.data.mean)"
    )
    command = [sys.executable, "-c", code, *config.split(), *values, "--workdir=x"]
    result = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert result.stdout == "(32, 48) (0.1, 0.2, 0.3)\n", result.stderr


def test_crops_above_the_image_size_are_reported():
    code = """
from launch import train
from spotrust_jax.config import AugmentationConfig, DataConfig, TrainConfig
for crop in ((64, 64), (64, 96), (128, 32)):
    config = TrainConfig(data=DataConfig(image_size=64), augmentation=AugmentationConfig(crop_size=crop))
    print(train._large_crops(config))
"""
    result = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    fits, wide, high = result.stdout.splitlines()
    assert fits == "None"
    assert wide.startswith("augmentation.crop_size (64, 96) is larger than data.image_size 64: ")
    assert high.startswith("augmentation.crop_size (128, 32) is larger")


def test_training_without_a_config_file_is_fine_tuning():
    fields = ["--config.epochs=3", "--config.fine_tuning.checkpoint=models/own"]
    code = (
        "import sys; from launch import train; from absl import flags\n"
        "flags.FLAGS(train.complete_arguments(sys.argv))\n"
        "config = train._CONFIG.value; print(config.epochs, config.members, config.fine_tuning.checkpoint)"
    )
    command = [sys.executable, "-c", code, *fields, "--workdir=x"]
    result = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert result.stdout == "3 3 models/own\n", result.stderr


def test_drawn_scenes_are_a_data_set(tmp_path):
    from spotrust_jax.data.folder_dataset import FolderDataset
    from spotrust_jax.data.synthetic import SurveySceneDataset

    done = run("draw_scenes", f"--output={tmp_path}/scenes", "--first=3", "--count=2")
    assert done.code == 0, done.stderr
    written, drawn = FolderDataset(tmp_path / "scenes", "test"), SurveySceneDataset("test", 5, 512)
    assert written.names == ("test_0003", "test_0004")
    for number, example in enumerate(written, start=3):
        np.testing.assert_array_equal(example.image, drawn[number].image)
        np.testing.assert_array_equal(example.mask, drawn[number].mask)
    for arguments, words in (
        ([f"--output={tmp_path}/a.png", "--count=2"], "with --count give a folder"),
        ([f"--output={tmp_path}/a"], "or add --count"),
    ):
        refused = run("draw_scenes", *arguments)
        assert refused.code == 2 and words in refused.stderr and refused.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["no such folder"], "error: no such folder is not there: check the path"),
        (["a.jpg", "b.jpg"], "error: 2 arguments were given"),
    ],
)
def test_quickstart_looks_at_its_arguments_before_it_installs(arguments, words, tmp_path):
    script = tmp_path / "repository" / "launch" / "quickstart.sh"
    script.parent.mkdir(parents=True)
    shutil.copy(REPOSITORY / "launch" / "quickstart.sh", script)
    done = subprocess.run(["bash", script, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and words in done.stderr and done.stderr.count("\n") == 1
    assert [path.name for path in (tmp_path / "repository").iterdir()] == ["launch"]
