"""Whether a model may be measured on photographs that it knows."""

from collections.abc import Mapping, Sequence

from absl import flags

from spotrust_jax.errors import InputError

_ALLOW_SEEN = flags.DEFINE_bool(
    "allow_seen", False, "Take photographs that the model knows, too, although what comes out is then too good."
)

# How many photographs a message names.
_NAMED = 3

_KNOWN_BY = {"trained_on": "was trained on", "selected_on": "was selected on", "calibrated_on": "was calibrated on"}

ALL = tuple(_KNOWN_BY)
"""Fields of a `CheckpointConfig` that have photographs by which no model can be measured."""


def require_unseen(dataset, configs: Mapping[str, object], kinds: Sequence[str]) -> None:
    """Raises an `InputError` that names photographs which a model knows, unless --allow_seen is given.

    `configs` are the `CheckpointConfig` of the models by their names, `kinds` those of its fields that count.
    """
    from spotrust_jax.data.seen import seen_photographs

    records = [(model, kind, getattr(config, kind)) for model, config in configs.items() for kind in kinds]
    records = [record for record in records if len(record[2])]
    if _ALLOW_SEEN.value or not records:
        return
    photographs = seen_photographs(dataset)
    for model, kind, record in records:
        known = photographs.among(record)
        if known:
            listed = ", ".join(known[:_NAMED]) + (", ..." if len(known) > _NAMED else "")
            raise InputError(
                f"{len(known)} of these {len(photographs)} photographs are among those that {model} "
                f"{_KNOWN_BY[kind]} ({listed}): give others, or --allow_seen"
            )
