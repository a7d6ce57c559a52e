"""Modules import lower layers alone (docs/architecture.md has them) and in no cycles; few are at the top."""

import ast
import graphlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("spotrust_jax", "launch", "experiments")
LAYER = re.compile(r"^\| `(\w+)` \|", re.MULTILINE)


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    # Installed, launch/ is spotrust_jax.launch.
    parts = ("spotrust_jax", *parts) if parts[0] == "launch" else parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_name(path): path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))}
LAYERS = LAYER.findall((ROOT / "docs" / "architecture.md").read_text(encoding="utf-8"))


def named(module: str) -> Iterator[tuple[str, str]]:
    """What a module imports, anywhere in it: a module, and what is taken from it, or the module once more."""
    package = module if FILES[module].name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(FILES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            around = package.rsplit(".", node.level - 1)[0] if node.level else ""
            source = ".".join(filter(None, (around, node.module)))
            yield from ((source, f"{source}.{alias.name}") for alias in node.names)


def imported(module: str) -> Iterator[str]:
    """Modules of the project that a module imports, anywhere in it."""
    found = named(module)
    return (name if name in FILES else source for source, name in found if {name, source} & FILES.keys())


def package_of(module: str) -> str:
    first, *rest = module.split(".")
    return rest[0] if first == "spotrust_jax" and rest else first


IMPORTS = {module: sorted(set(imported(module)) - {module}) for module in FILES}


def test_every_package_has_a_layer():
    packages = {package_of(module) for module in FILES}
    missing, gone = sorted(packages - set(LAYERS)), sorted(set(LAYERS) - packages)
    assert not missing, f"{missing} have no layer: add a row to docs/architecture.md, below all that they import"
    assert not gone, f"{gone} are no longer there: take their rows out of docs/architecture.md"


def test_imported_modules_are_there():
    # Programs that no test starts would otherwise keep the name of a module that has moved.
    # In a checkout, launchers have a second name; configs/ has no layer.
    there = {*FILES, *(name.removeprefix("spotrust_jax.") for name in FILES), "spotrust_jax.configs"}
    missing = [
        f"{module} imports {source}"
        for module in FILES
        for source, name in named(module)
        if source.split(".")[0] in FOLDERS and not {name, source} & there
    ]
    assert not missing, f"{'; '.join(missing)}: name the module as it is called now"


def test_modules_import_lower_layers_alone():
    layer = {module: LAYERS.index(package_of(module)) for module in FILES}
    upward = [f"{a} imports {b}" for a in FILES for b in IMPORTS[a] if layer[b] > layer[a]]
    remedy = (
        "move what both need to a lower layer, or have the caller pass it in; change the table of docs/architecture.md "
        "only if its order is wrong"
    )
    assert not upward, f"{'; '.join(upward)}: {remedy}"


def test_no_modules_import_each_other():
    try:
        graphlib.TopologicalSorter(IMPORTS).prepare()
    except graphlib.CycleError as error:
        pytest.fail(f"{' -> '.join(error.args[1])}: move what they share to a module of its own")


def test_few_modules_are_at_the_top_of_the_package():
    top = sorted(path.stem for path in (ROOT / "spotrust_jax").glob("*.py") if path.stem != "__init__")
    assert len(top) <= 10, f"{len(top)} modules at the top of the package, ten at most: put one into a package ({top})"
