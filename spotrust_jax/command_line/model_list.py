"""What `spotrust models` prints of the models that come with the package."""

from spotrust_jax.checkpoints import read_config
from spotrust_jax.config import ModelConfig
from spotrust_jax.errors import InputError
from spotrust_jax.io.model_folders import DEFAULT, FOLDER, locate, names
from spotrust_jax.models.presets import architecture


def list_models() -> str:
    """A paragraph for each model.

    Raises:
        InputError: where the package has none, or one of them is damaged.
    """
    if not names():
        raise InputError(f"this installation has no models ({FOLDER} has none): install the package again")
    return "\n\n".join(map(_described, names()))


def _described(name: str) -> str:
    config, place = read_config(name), locate(name)
    card = config.card
    bytes_on_disk = sum(path.stat().st_size for path in place.folder.iterdir())
    lines = [
        f"{name}{' (default)' if name == DEFAULT else ''}",
        f"  version {card.version or 'unknown'}, {_architecture(config.members, config.model)}, "
        f"{bytes_on_disk / 1e6:.1f} MB, for photographs with a long side of {config.inference_size} pixels",
        f"  licence: {card.licence or 'unknown'}",
        *(f"  trained on: {source}" for source in card.sources),
        *(
            f"  {score.measure} {score.value:.3f} ({score.low:.3f} to {score.high:.3f}) on {score.on}"
            for score in card.scores
        ),
    ]
    return "\n".join(lines)


def _architecture(members: int, model: ModelConfig) -> str:
    ensemble = f"ensemble of {members}, " if members > 1 else ""
    width = architecture(model.preset, width=model.width).width
    return f"{ensemble}{model.variant}, {model.preset} of width {width}"
