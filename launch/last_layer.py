"""Makes a stochastic model of a trained deterministic one, by its last layer alone, in the time of a prediction."""

from absl import flags

from . import program, seen_flags

_CHECKPOINT = flags.DEFINE_string(
    "checkpoint", None, "Deterministic model, or ensemble: folder, file or name.", required=True
)
_DATA = flags.DEFINE_string("data", None, "Data set: images/ and masks/, or one for tfds.", required=True)
_SPLIT = flags.DEFINE_string("split", "train", "Split to fit on, best the one that the model was trained on.")
_HELD_OUT = flags.DEFINE_string(
    "held_out", "validation", "laplace: split that the model was not trained on, to choose how wide the posterior is."
)
_KIND = flags.DEFINE_string(
    "kind", "laplace", "laplace: weights with a posterior; logit_noise: a logit with noise of its own."
)
_OUTPUT = flags.DEFINE_string("output", None, "Folder for the new model.", required=True)


def main() -> int:
    import spotrust_jax
    from spotrust_jax.data.datasets import open_path
    from spotrust_jax.training.post_hoc.fit import post_hoc, with_last_layer

    segmenter = spotrust_jax.load(_CHECKPOINT.value)
    dataset, held_out = open_path(_DATA.value, _SPLIT.value), None
    if post_hoc(_KIND.value).holds_out:
        held_out = open_path(_DATA.value, _HELD_OUT.value)
        seen_flags.require_unseen(held_out, {_CHECKPOINT.value: segmenter.config}, ("trained_on",))
    with_last_layer(segmenter, _KIND.value, dataset, held_out).save(_OUTPUT.value)
    print(f"model with {_KIND.value}: {_OUTPUT.value}; calibrate it before you read its probabilities")
    return 0


def run() -> None:
    program.run(main)


if __name__ == "__main__":
    run()
