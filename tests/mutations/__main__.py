"""Runs damaged input through all programs: `python -m tests.mutations --seed=0 --count=400 [--first=N] [--keep=DIR]`.

Prints each case in which something did not hold, with the command; `--keep` keeps the input of these.
"""

import argparse
import contextlib
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--material", type=Path, help="folder of valid input, made if it is not there")
    options = parser.parse_args()
    _prepare()
    import jax

    from tests.mutations.cases import run_case
    from tests.mutations.material import Material, write_material

    failed, start = 0, time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mutations") as root:
        jax.config.update("jax_compilation_cache_dir", f"{root}/compiled")
        place = options.material or Path(root) / "valid"
        found = Material(*(place / name for name in Material._fields)) if place.exists() else write_material(place)
        for number in range(options.first, options.first + options.count):
            folder = Path(root) / "around" / f"case{number}"
            folder.mkdir(parents=True)
            began = time.monotonic()
            case, outcome, wrong = run_case(options.seed, number, found, folder)
            if wrong:
                failed += 1
                print(f"\ncase {number} ({time.monotonic() - began:.0f} s): {'; '.join(wrong)}")
                print(f"  {case.damaged}: spotrust {case.program} {' '.join(map(repr, case.arguments))}"[:1000])
                print("\n".join(f"    {line[:300]}" for line in outcome.stderr.splitlines()[-12:]))
                if options.keep:
                    with contextlib.suppress(shutil.Error):  # pipes are not copied
                        shutil.copytree(folder, options.keep / folder.name, symlinks=True, dirs_exist_ok=True)
                    (options.keep / f"{folder.name}.log").write_text(outcome.stderr)
            print(f"\r{number}", end="", flush=True, file=sys.stderr)
            shutil.rmtree(folder.parent)
    minutes = (time.monotonic() - start) / 60
    print(f"\n{options.count} cases of seed {options.seed}, {failed} failed, {minutes:.0f} minutes")
    return 1 if failed else 0


def _prepare() -> None:
    """The same small network as in the tests of training, and programs that compile fast."""
    os.environ |= {"JAX_PLATFORMS": "cpu", "TF_CPP_MIN_LOG_LEVEL": "3"}
    import jax

    from tests.training.small_network import use_it

    jax.config.update("jax_disable_most_optimizations", True)
    use_it(setattr)


if __name__ == "__main__":
    sys.exit(main())
