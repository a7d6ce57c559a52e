"""What the demo must reach, on a run of it: `SPOTRUST_DEMO` names the folder, else runs/demo is looked at."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score

from spotrust_jax.data.scenes import DEMO_SCENES, SceneDataset

RUN = Path(os.environ.get("SPOTRUST_DEMO", Path(__file__).resolve().parent.parent / "runs" / "demo"))


@pytest.fixture(scope="module")
def demo():
    if not (RUN / "metrics.json").is_file():
        pytest.skip(f"needs a run of the demo in {RUN}: python -m launch.demo")
    return RUN


def _pixels(split: str, count: int) -> tuple[np.ndarray, np.ndarray]:
    examples = list(SceneDataset(DEMO_SCENES, split, count))
    colours = np.concatenate([example.image.reshape(-1, 3) for example in examples]) / 255.0
    return colours, np.concatenate([example.mask.ravel() for example in examples])


def test_model_finds_what_colour_alone_does_not(demo):
    score = json.loads((demo / "metrics.json").read_text())[0]["pooled"]["f1"]["value"]
    colours, corroded = _pixels("train", 60)
    test_colours, test_corroded = _pixels("test", 64)
    baseline = max(
        f1_score(test_corroded, LogisticRegression(class_weight=weight).fit(colours, corroded).predict(test_colours))
        for weight in (None, "balanced")
    )
    print(f"demo F1 {score:.3f}, logistic regression on colours {baseline:.3f}")
    assert score > 0.75
    assert score >= baseline + 0.15


def test_every_map_is_there_and_not_constant(demo):
    rows = json.loads((demo / "maps" / "summary.json").read_text())
    assert len(rows) == 12 and all(row["status"] == "ok" for row in rows)
    for row in rows:
        stem = str(demo / "maps" / row["outputs"])
        for ending in ("mask", "overlay", "epistemic", "aleatoric", "accuracy"):
            assert Path(f"{stem}_{ending}.png").is_file()
        arrays = np.load(f"{stem}_maps.npz")
        assert all(arrays[name].std() > 0 for name in ("probability", "epistemic", "log_variance"))
    assert (demo / "showcase.png").is_file()
