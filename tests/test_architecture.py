"""Imports point downwards (docs/architecture.md has the floors) and in no circles; few modules are at the top."""

import ast
import graphlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("spotrust_jax", "launch", "experiments")
FLOOR = re.compile(r"^\| `(\w+)` \|", re.MULTILINE)


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    # Installed, launch/ is spotrust_jax.launch.
    parts = ("spotrust_jax", *parts) if parts[0] == "launch" else parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_name(path): path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))}
FLOORS = FLOOR.findall((ROOT / "docs" / "architecture.md").read_text(encoding="utf-8"))


def imported(module: str) -> Iterator[str]:
    """Modules of the project that a module imports, anywhere in it."""
    package = module if FILES[module].name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(FILES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in FILES)
        elif isinstance(node, ast.ImportFrom):
            around = package.rsplit(".", node.level - 1)[0] if node.level else ""
            source = ".".join(filter(None, (around, node.module)))
            names = [f"{source}.{alias.name}" for alias in node.names]
            yield from (name if name in FILES else source for name in names if {name, source} & FILES.keys())


def room(module: str) -> str:
    first, *rest = module.split(".")
    return rest[0] if first == "spotrust_jax" and rest else first


IMPORTS = {module: sorted(set(imported(module)) - {module}) for module in FILES}


def test_every_room_has_a_floor():
    rooms = {room(module) for module in FILES}
    missing, gone = sorted(rooms - set(FLOORS)), sorted(set(FLOORS) - rooms)
    assert not missing, f"{missing} have no floor: add a line to docs/architecture.md, above all that they import"
    assert not gone, f"{gone} are no longer there: take their lines out of docs/architecture.md"


def test_imports_point_downwards():
    height = {module: FLOORS.index(room(module)) for module in FILES}
    upward = [f"{a} imports {b}" for a in FILES for b in IMPORTS[a] if height[b] > height[a]]
    remedy = (
        "move what both need to a lower room, or have the caller give it as an argument; change the floors of "
        "docs/architecture.md only if their order is wrong"
    )
    assert not upward, f"{'; '.join(upward)}: {remedy}"


def test_no_modules_import_each_other():
    try:
        graphlib.TopologicalSorter(IMPORTS).prepare()
    except graphlib.CycleError as error:
        pytest.fail(f"{' -> '.join(error.args[1])}: move what they share to a module of its own")


def test_few_modules_are_at_the_top_of_the_package():
    top = sorted(path.stem for path in (ROOT / "spotrust_jax").glob("*.py") if path.stem != "__init__")
    assert len(top) <= 10, f"{len(top)} modules at the top of the package, ten at most: put one into a room ({top})"
