"""What `mkdocs build --strict` does not see: missing modules, files and flags, and a citation of another version."""

import re
from pathlib import Path

import yaml

import spotrust_jax

REPOSITORY = Path(__file__).resolve().parent.parent.parent
DOCS = REPOSITORY / "docs"


def test_every_public_module_has_a_place_in_the_reference():
    pages = "\n".join(page.read_text() for page in (DOCS / "reference").glob("*.md"))
    shown = set(re.findall(r"^::: spotrust_jax\.(\w+)$", pages, re.MULTILINE))
    package = REPOSITORY / "spotrust_jax"
    modules = {file.stem for file in package.glob("*.py")} | {
        file.parent.name for file in package.glob("*/__init__.py")
    }
    assert shown == {name for name in modules if not name.startswith("_")}


def test_files_named_in_the_documentation_exist():
    """Paths in backticks that begin with a folder of the repository, in the documentation and in the code."""
    folders = ("configs", "docs", "experiments", "launch", "spotrust_jax", "tests")
    files = [*DOCS.rglob("*.md"), *REPOSITORY.glob("*.md"), *(REPOSITORY / "spotrust_jax").rglob("*.py")]
    path = re.compile(rf"(?<![\w/.])(?:{'|'.join(folders)})/[\w./-]*\w\.(?:md|py|sh|yaml|png)(?!\w)")
    missing = {
        f"{file.relative_to(REPOSITORY)}: {name}"
        for file in files
        if file.name != "CHANGELOG.md" and not file.name.startswith("adding_a_")  # examples
        for name in path.findall(file.read_text())
        if not (REPOSITORY / name).exists()
    }
    assert not missing


def test_links_of_pages_outside_the_site_lead_to_files():
    """README and CONTRIBUTING are not built, so `mkdocs` does not check them; the changelog speaks of other times."""
    pages = [page for page in REPOSITORY.glob("*.md") if page.name != "CHANGELOG.md"]
    links = [(page, link) for page in pages for link in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text())]
    assert len(links) > 10
    assert not [link for page, link in links if "://" not in link and not (page.parent / link).exists()]


def flags_of(program: str) -> set[str]:
    """The flags that a program of launch/ and the modules beside it that it imports define."""
    text = (REPOSITORY / "launch" / f"{program}.py").read_text()
    found = set(re.findall(r'flags\.DEFINE_\w+\(\s*"(\w+)"', text))
    beside = re.findall(r"^from \. import \(?([\w, \n]+)\)?$", text, re.MULTILINE)
    return found.union(*(flags_of(name.strip()) for names in beside for name in names.split(",") if name.strip()))


def test_commands_in_the_documentation_exist_with_their_flags():
    files = [*DOCS.rglob("*.md"), *REPOSITORY.glob("*.md")]
    blocks = [block for file in files for block in re.findall(r"^ *```bash\n(.*?)```", file.read_text(), re.M | re.S)]
    lines = [line.split("#")[0] for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    commands = [match for line in lines if (match := re.match(r"\s*(?:\S+/)?spotrust (\w+)(.*)", line))]
    assert len(commands) > 30
    unknown = {
        f"spotrust {command[1]} --{flag}"
        for command in commands
        for flag in re.findall(r"(?<=\s)--(\w+)", command[2])
        if not {flag, flag.removeprefix("no")} & flags_of(command[1])
    }
    assert not unknown


def test_citation_is_of_this_version():
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text())
    assert citation["version"] == spotrust_jax.__version__
    assert citation["references"][0]["doi"] == "10.1038/s41529-022-00232-6"
