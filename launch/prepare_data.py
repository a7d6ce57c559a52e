"""Turns labelled photographs, whatever tool labelled them, into a data set, and says what is wrong with them.

spotrust prepare_data --source=photographs --output=data
"""

import sys
from pathlib import Path
from typing import cast

from absl import flags

from spotrust_jax.data.prepare.readers import FORMATS

from . import program

_SOURCE = flags.DEFINE_string("source", None, "Folder of photographs and labels, or a table; only read.", required=True)
_FORMAT = flags.DEFINE_string(
    "format",
    "auto",
    f"How they are labelled: {', '.join(FORMATS)}. auto recognises the format.",
)
_OUTPUT = flags.DEFINE_string("output", None, "Folder for the data set: new, or empty.", required=True)
_TO = flags.DEFINE_enum("to", "tfds", ["tfds", "folder"], "What to write: a tfds data set, or images and masks.")
_CLASSES = flags.DEFINE_list("corrosion_classes", [], "Names or numbers of the classes that are corrosion.")
_FOLDS = flags.DEFINE_integer("folds", 0, "Number of folds instead of train and validation; 0 is none.")
_TRAIN_SHARE = flags.DEFINE_float("train_share", 0.6, "Share of training where the source has no splits.")
_TEST_SHARE = flags.DEFINE_float("test_share", 0.2, "Share of testing there, or 0; validation has the rest.")
_SEED = flags.DEFINE_integer("seed", 0, "Seed of splits and folds.")
_MAX_PIXELS = flags.DEFINE_integer(
    "max_pixels", 500_000_000, "Photographs of more pixels are not decoded.", lower_bound=1
)
_STRICT = flags.DEFINE_bool("strict", False, "Whether any finding stops the program before a data set is written.")
_NAME = flags.DEFINE_string("name", None, "Name of the data set; by default that of the source.")
_VERSION = flags.DEFINE_string("version", "1.0.0", "Version of the data set.")
_DESCRIPTION = flags.DEFINE_string("description", "", "What the photographs show.")
_CITATION = flags.DEFINE_string("citation", "", "How the source wants to be cited.")
_LICENCE = flags.DEFINE_string("licence", "", "Licence of the photographs.")


def main() -> int:
    from spotrust_jax.data.card import DatasetCard
    from spotrust_jax.data.prepare.preparation import Target, prepare
    from spotrust_jax.data.prepare.readers import read_source

    source = read_source(
        Path(_SOURCE.value),
        _FORMAT.value,
        corrosion_classes=tuple(_CLASSES.value),
        max_pixels=_MAX_PIXELS.value,
    )
    card = DatasetCard(
        name=_NAME.value or Path(_SOURCE.value).resolve().stem,
        description=_DESCRIPTION.value,
        version=_VERSION.value,
        citation=_CITATION.value,
        licence=_LICENCE.value,
    )
    output = Path(_OUTPUT.value)
    audited = prepare(
        source,
        output,
        card,
        to=cast(Target, _TO.value),
        folds=_FOLDS.value,
        train_share=_TRAIN_SHARE.value,
        test_share=_TEST_SHARE.value,
        seed=_SEED.value,
        max_pixels=_MAX_PIXELS.value,
        strict=_STRICT.value,
    )
    if audited.left_out:
        left_out = f"{len(audited.left_out)} files or rows were left out"
        print(f"warning: {left_out}, see {output / 'audit.json'}", file=sys.stderr)
    print(f"{len(audited.records)} photographs written: {output}")
    return 0


def run() -> None:
    program.run(main)


if __name__ == "__main__":
    run()
