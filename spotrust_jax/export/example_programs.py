"""The README of a bundle, for people who do not have this library."""

from spotrust_jax.calibration.platt import PlattScaling
from spotrust_jax.checkpoints import CheckpointConfig
from spotrust_jax.inference.maps import given_by
from spotrust_jax.inference.prediction import MAPS
from spotrust_jax.models.variants.registry import variant_of


def usage_text(config: CheckpointConfig, *, onnx: bool) -> str:
    """What is in a bundle and how to use it; the Python in it runs in the bundle's folder."""
    side = config.inference_size
    maps = "\n".join(_line(name) for name in given_by(MAPS, config))
    text = _TEXT.format(side=side, threshold=config.threshold, maps=maps)
    return text + _onnx_text(config) if onnx else text


def _line(name: str) -> str:
    described = MAPS[name]
    return f"  - `{name}`: {described.meaning} ({described.unit}, {described.column})"


_TEXT = """# Corrosion in photographs, as files that need no library but jax

`model.stablehlo` is the whole model as a program for CPU, CUDA and TPU, and `variables.npz` are its weights. With jax,
numpy and Pillow, in this folder:

```python
import zlib
import jax
import numpy as np
import photographs

model = jax.export.deserialize(open("model.stablehlo", "rb").read())
variables = jax.device_put(dict(np.load("variables.npz")))
run = jax.jit(model.call)  # compiled once for each size

image = photographs.read("photograph.jpg")
seen = photographs.fitted(image, {side})
key = jax.random.fold_in(jax.random.key(0), np.uint32(zlib.crc32(seen)))
maps = run(variables, seen[None], jax.random.key_data(key)[None], np.int32(24))
maps = {{name: photographs.restored(values[0], *image.shape[:2]) for name, values in maps.items()}}
mask = maps["probability"] >= {threshold}
```

- `photographs.py` turns a photograph upright as its EXIF says, takes its colours to sRGB and resizes it as the library
  does, in nearly its own proportions: the model was trained at a long side of {side} pixels.
- Images are uint8, RGB: normalisation is in the program. Sides are multiples of 32.
- Each image has a key of its own, as key data, uint32 [batch, 2]. Made of the seed and of the image's bytes as above,
  it gives the maps that the library gives with that seed.
- The last argument is the number of passes of each network, at least 1; more make the maps less noisy.
- The maps are of one number a pixel:
{maps}

`checkpoint` holds the same weights for the library (`spotrust_jax.load("checkpoint")`), `bundle.json` says all of this
to programs. Newer versions of jax read `model.stablehlo` for at least half a year.
"""

_ONNX_HEAD = """
## Without jax

`features_M.onnx` and `decode_M.onnx` are network M, an encoder and a decoder. Noise enters between them, so one run of
the encoder serves all passes:

```python
import numpy as np
import onnxruntime
import photographs

first, second = (onnxruntime.InferenceSession(f"{{name}}_0.onnx") for name in ("features", "decode"))
image = photographs.read("photograph.jpg")
seen = photographs.fitted(image, {side})
features = dict(zip([x.name for x in first.get_outputs()], first.run(None, {{"images": seen[None]}})))
branches = [features[f"branch_{{index}}"] for index in range(4)]
{noise}
(logits,) = second.run(None, {{f"branch_{{index}}": x for index, x in enumerate(branches)}})
probability = 1 / (1 + np.exp(-logits))  # [batch, height, width], at the size of `seen`
```

{note} Mean and standard deviation of the probability over passes and networks are the maps above; the log variance is
among the features, its mean over networks is the map.
"""

_CALIBRATION = """
The mean probability p is then calibrated, which the ONNX files do not do: sigmoid(a logit(p) + b) with a = {slope:.6g}
and b = {intercept:.6g}. The threshold above is one of calibrated probability.
"""


def _onnx_text(config: CheckpointConfig) -> str:
    noise = variant_of(config.model).branch_noise()
    text = _ONNX_HEAD.format(side=config.inference_size, noise=noise.code, note=noise.note)
    if config.calibration == PlattScaling():
        return text
    return text + _CALIBRATION.format(slope=config.calibration.slope, intercept=config.calibration.intercept)
