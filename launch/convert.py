"""Turns PyTorch or safetensors weights into a checkpoint that the other programs read.

spotrust convert --source=fold0.pt,fold1.pt,fold2.pt --reference_config=hypes.json --output=runs/paper
spotrust convert --source=hrnetv2_w48_imagenet.pth --preset=w48 --allow_missing=head --output=runs/imagenet
"""

from absl import flags

from . import program

_SOURCE = flags.DEFINE_list(
    "source", [], "Weight file, several separated by commas, or a glob; several are an ensemble."
)
_REFERENCE_CONFIG = flags.DEFINE_string(
    "reference_config", None, "The paper's configuration file (JSON) that belongs to the weights."
)
_PRESET = flags.DEFINE_string("preset", None, "Without a reference config: architecture, such as w48.")
_VARIANT = flags.DEFINE_string(
    "variant", None, "Without a reference config: kind of network, deterministic, variational or dropout."
)
_MEAN = flags.DEFINE_list(
    "mean", None, "Channel means R,G,B in units of [0, 1], instead of the reference config's or ImageNet's."
)
_STD = flags.DEFINE_list("std", None, "Channel standard deviations, likewise.")
_ALLOW_MISSING = flags.DEFINE_list(
    "allow_missing", [], "Parts that may stay at their initial value: head, bayesian, aleatoric."
)
_SEED = flags.DEFINE_integer("seed", 0, "Seed of the initial values of what is missing.")
_OUTPUT = flags.DEFINE_string("output", None, "Folder of the checkpoint.")


def main() -> int:
    import jax

    from spotrust_jax.checkpoints import CheckpointConfig, save_model
    from spotrust_jax.convert.pytorch import convert_files
    from spotrust_jax.convert.reference_config import choose_reference_config
    from spotrust_jax.errors import InputError
    from spotrust_jax.io.weight_files import list_weight_files

    if _OUTPUT.value is None:
        raise InputError("--output is missing: give the folder to write the checkpoint to")
    reference = choose_reference_config(
        _REFERENCE_CONFIG.value, _PRESET.value, _VARIANT.value, mean=_MEAN.value, std=_STD.value
    )
    paths = list_weight_files(_SOURCE.value)
    key = jax.random.key(_SEED.value)
    variables, untrained = convert_files(paths, reference.model, key, allow_missing=_ALLOW_MISSING.value, report=print)
    config = CheckpointConfig(
        model=reference.model,
        members=len(paths),
        mean=reference.mean,
        std=reference.std,
        inference_size=reference.inference_size,
        positive_weight=reference.positive_weight,
        untrained=untrained,
    )
    save_model(_OUTPUT.value, variables, config)
    members = f"{len(paths)} member{'s' * (len(paths) > 1)}"
    print(f"{_OUTPUT.value}: {reference.model.variant} {reference.model.preset}, {members}")
    return 0


def run() -> None:
    program.run(main)


if __name__ == "__main__":
    run()
