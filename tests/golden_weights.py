"""Writes the reference numbers with their weights as safetensors, for a Python without PyTorch.

python -m tests.golden_weights ../shared/golden OUTPUT
"""

import shutil
import sys
from pathlib import Path

from safetensors.numpy import save_file

from spotrust_jax.io.weight_files import read_state


def main(golden: Path, output: Path) -> None:
    output.mkdir(parents=True)
    for path in golden.iterdir():
        if path.suffix == ".state":
            save_file(read_state(path).tensors, output / f"{path.stem}.safetensors")
        elif path.suffix in (".json", ".npz"):
            shutil.copy(path, output)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
