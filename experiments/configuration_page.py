"""Writes docs/configuration.md from spotrust_jax/config.py: `python -m experiments.configuration_page`."""

import dataclasses
import inspect
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from spotrust_jax.config import PretrainConfig, TrainConfig
from spotrust_jax.fields import Field, describe

PAGE = Path(__file__).parent.parent / "docs" / "configuration.md"

_INTRODUCTION = """\
# Configuration

<!-- Written by `python -m experiments.configuration_page` from spotrust_jax/config.py. Change it there. -->

A run is described by a config file such as `configs/variational.py`. It changes fields of the configuration below, and
the command line may change any of them again:

```bash
spotrust train --config=configs/variational.py --config.data.path=DATA --config.optimizer.learning_rate=1e-3 \\
    --config.augmentation.crop_size='(320, 320)' --workdir=runs/variational
```

A field that no config file and no flag sets has the default of the table. `spotrust train --help` and
`spotrust pretrain --help` show the same. A value out of its range, or a field that does not exist, ends the program
with one line and exit code 2.
"""

_COLUMNS = "| field | default | values | meaning |\n|---|---|---|---|"


def page() -> str:
    """The page as it should be."""
    parts = [
        _INTRODUCTION,
        "## Training\n",
        "Fields of `spotrust train`. The defaults are the paper's (Nash et al. 2022), or those of its code.\n",
        *_tables(TrainConfig()),
        "## Pretraining\n",
        "Fields of `spotrust pretrain`. `model` and `augmentation` have the fields of a training.\n",
        *_tables(PretrainConfig(), without=("model", "augmentation")),
    ]
    return "\n".join(parts)


def _tables(config: Any, without: Iterable[str] = ()) -> list[str]:
    """The configuration's own fields, then a heading, the documentation and the fields of each section."""
    fields = list(describe(config))
    sections = [field.name for field in dataclasses.fields(config) if dataclasses.is_dataclass(field.default)]
    parts = [_table([field for field in fields if "." not in field.path])]
    for name in sections:
        if name not in without:
            documentation = inspect.getdoc(getattr(config, name))
            own = [field for field in fields if field.path.startswith(f"{name}.")]
            parts += [f"### {name}\n", f"{documentation}\n", _table(own)]
    return parts


def _table(fields: Iterable[Field]) -> str:
    rows = (f"| `{path}` | `{default}` | {values} | {meaning} |" for path, default, values, meaning in fields)
    return "\n".join([_COLUMNS, *rows]) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
