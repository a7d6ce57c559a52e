"""Runs a bundle's files on prepared images, as somebody would who does not have the library. A program of its own.

python -P without_library.py BUNDLE CASES: for each CASES/NAME.case.npz it writes CASES/NAME.maps.npz, arrays named
FILES/MAP by the files of the bundle that they come from.
"""

import sys
from pathlib import Path
from typing import Any, cast

import jax
import numpy as np


def main() -> None:
    """Reads the bundle once, then runs it case by case."""
    # Nothing of the library may help: from here on an import of it fails.
    cast(dict[str, Any], sys.modules)["spotrust_jax"] = None
    bundle, cases = map(Path, sys.argv[1:])
    model = jax.export.deserialize(bytearray((bundle / "model.stablehlo").read_bytes()))
    with np.load(bundle / "variables.npz") as file:
        variables = dict(file)
    for name, values in variables.items():
        if not np.isfinite(values).all():
            raise ValueError(f"{name} of variables.npz has values that are not finite")
    variables = jax.device_put(variables)
    run = jax.jit(model.call)
    networks = dict(map(_sessions, sorted(bundle.glob("features_*.onnx"))))
    for path in sorted(cases.glob("*.case.npz")):
        case = dict(np.load(path))
        image = case["image"][None]
        maps = run(variables, image, case["key"][None], case["num_samples"])
        found: dict[str, Any] = {
            f"model.stablehlo, variables.npz/{name}": np.asarray(values[0]) for name, values in maps.items()
        }
        for name, sessions in networks.items():
            noise = [case[f"{name}/noise_{index}"] for index in range(4)]
            found.update({f"{name}/{kind}": values for kind, values in _one_pass(sessions, image, noise).items()})
        np.savez(str(path).replace(".case.npz", ".maps.npz"), **found)


def _sessions(features: Path) -> tuple[str, tuple]:
    """Names of the files of a network's encoder and decoder, and what runs them."""
    import onnxruntime  # noqa: PLC0415  # only bundles with ONNX files need it

    decode = features.with_name(features.name.replace("features", "decode"))
    providers = ["CPUExecutionProvider"]
    sessions = tuple(onnxruntime.InferenceSession(path, providers=providers) for path in (features, decode))
    return f"{features.name}, {decode.name}", sessions


def _one_pass(sessions: tuple, images: np.ndarray, noise: list[np.ndarray]) -> dict[str, np.ndarray]:
    """Probability and log variance of the first image: noise times standard deviations is added, or it is a factor."""
    first, second = sessions
    names = [output.name for output in first.get_outputs()]
    features = dict(zip(names, first.run(None, {"images": images}), strict=True))
    branches = {}
    for index, values in enumerate(noise):
        name, branch = f"branch_{index}", features[f"branch_{index}"]
        added = f"std_{index}" in features
        branches[name] = branch + features[f"std_{index}"] * values if added else branch * values
    (logits,) = second.run(None, branches)
    return {"probability": 1 / (1 + np.exp(-logits[0])), "log_variance": features["log_variance"][0]}


if __name__ == "__main__":
    main()
