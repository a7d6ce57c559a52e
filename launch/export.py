"""Writes a trained model as a folder of files that run without this library, and compares them with it.

spotrust export --checkpoint=RUN/best --output=BUNDLE --onnx --verify=PHOTOGRAPHS
spotrust export --output=BUNDLE --verify=PHOTOGRAPHS    # the default detector, or a bundle that is there
"""

from pathlib import Path

from absl import flags

from . import program

_CHECKPOINT = flags.DEFINE_string(
    "checkpoint",
    None,
    "Model: a name, a folder such as RUN/best, or a .safetensors file; the default detector, unless --output is a "
    "bundle to verify.",
)
_OUTPUT = flags.DEFINE_string("output", None, "Folder of the bundle.", required=True)
_ONNX = flags.DEFINE_bool("onnx", False, "ONNX files as well.")
_VERIFY = flags.DEFINE_string("verify", None, "Photograph, folder, or glob in quotes, to compare the files on.")


def main() -> int:
    import spotrust_jax
    from spotrust_jax.checkpoints import read_config
    from spotrust_jax.export.bundle import CHECKPOINT, read_description, write_bundle
    from spotrust_jax.export.verify import read_photographs, verify
    from spotrust_jax.io.model_folders import DEFAULT

    bundle, photographs, segmenter = Path(_OUTPUT.value), [], None
    if _CHECKPOINT.value is not None or _VERIFY.value is None or not bundle.exists():
        segmenter = spotrust_jax.load(_CHECKPOINT.value or DEFAULT)
    else:
        read_description(bundle)
    if _VERIFY.value is not None:
        config = segmenter.config if segmenter else read_config(bundle / CHECKPOINT)
        photographs = read_photographs(_VERIFY.value, config.inference_size)
    if segmenter:
        write_bundle(segmenter, bundle, onnx=_ONNX.value)
        print(f"{bundle}: {', '.join(read_description(bundle).files)}")
    return _report(verify(bundle, photographs), bundle) if photographs else 0


def _report(differences: list, bundle: Path) -> int:
    """A line for each way to the maps, and an error where one is too far from the library."""
    from spotrust_jax.errors import RunError
    from spotrust_jax.export.verify import LARGEST, MEAN

    print("checkpoint: the weights and settings that were exported")
    for files in dict.fromkeys(difference.files for difference in differences):
        print(f"{files}: {'; '.join(str(difference) for difference in differences if difference.files == files)}")
    beyond = [difference for difference in differences if not difference.within]
    if beyond:
        limits = f"{LARGEST:g} at most and {MEAN:g} on average"
        raise RunError(f"{bundle}: {beyond[0].files}: {beyond[0]}, more than {limits}: do not use it, export again")
    return 0


def run() -> None:
    program.run(main)


if __name__ == "__main__":
    run()
