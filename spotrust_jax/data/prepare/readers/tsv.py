"""The reference's tables: columns Image and Mask, separated by tabs, paths relative to the table."""

from pathlib import Path

from spotrust_jax.data.prepare.readers.listing import Reading, located, missing_label, name_of, relative, split_within
from spotrust_jax.data.prepare.readers.mask_values import MaskLabel, MaskRule, mask_rule
from spotrust_jax.data.prepare.source import Finding, LabelledPhotograph, UnusableError
from spotrust_jax.errors import InputError

LOOKED_FOR = "a .tsv file with the columns Image and Mask"


def found(root: Path) -> bool:
    """Whether there are tables."""
    return bool(_tables(root))


def read(root: Path, corrosion_classes: tuple[str, ...], max_pixels: int) -> Reading:
    """The rows of a table, or of several that are named after splits; `mask_rule` says what is corrosion."""
    tables = _tables(root)
    if not tables:
        raise InputError(f"{root} has no .tsv file: give the file or its folder as --source")
    splits = {table: split_within(table.stem) for table in tables}
    if len(tables) > 1 and not all(splits.values()):
        listed = ", ".join(table.name for table in tables)
        raise InputError(f"{root} has several tables that are not named after splits ({listed}): give one as --source")
    folder = tables[0].parent
    rule, findings = mask_rule(folder, corrosion_classes)
    photographs = []
    for table in tables:
        for number, cells in _rows(table):
            try:
                photographs.append(_photograph(folder, cells, rule, max_pixels)._replace(split=splits[table]))
            except UnusableError as error:
                findings.append(
                    Finding(error.kind, cells[0] or table.name, f"{table.name} line {number}: {error}", True)
                )
    return Reading(photographs, findings)


def _tables(root: Path) -> list[Path]:
    if root.is_file():
        return [root]
    return sorted(file for file in root.glob("*") if file.suffix.lower() == ".tsv" and not file.name.startswith("."))


def _rows(table: Path) -> list[tuple[int, tuple[str, str]]]:
    """Line number, and the cells of the columns Image and Mask, empty where the line is too short."""
    try:
        header, *lines = [line.split("\t") for line in table.read_text("utf-8-sig").split("\n")] or [[]]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{table} cannot be read ({error}): save it as tab-separated text in UTF-8") from error
    names = [_unquoted(cell.strip()).casefold() for cell in header]
    if not {"image", "mask"} <= set(names):
        raise InputError(
            f"{table} has the columns {header}: its first line must have Image and Mask, with a tab between"
        )
    image, mask = names.index("image"), names.index("mask")
    return [(number, (_cell(line, image), _cell(line, mask))) for number, line in enumerate(lines, 2) if any(line)]


def _cell(line: list[str], column: int) -> str:
    return line[column].strip() if column < len(line) else ""


def _photograph(folder: Path, cells: tuple[str, str], rule: MaskRule, max_pixels: int) -> LabelledPhotograph:
    if not all(cells):
        raise UnusableError("table", f"the row is {cells}, expected an image and a mask: complete or remove it")
    image, mask = (_file(folder, cell) for cell in cells)
    if image is None:
        raise UnusableError("missing_image", f"photograph {cells[0]!r} is not there: add it or remove the row")
    if mask is None:
        finding = missing_label(folder, image, f"no mask {cells[1]!r}")
        raise UnusableError(finding.kind, finding.message)
    label = MaskLabel(mask, relative(folder, mask), rule, max_pixels)
    return LabelledPhotograph(name_of(folder, image), image, label)


def _file(folder: Path, cell: str) -> Path | None:
    """The file as written or, where programs have put quotes around the cell, without these."""
    file = None if _unquoted(cell) == cell else located(folder, folder, _unquoted(cell))
    return file or located(folder, folder, cell)


def _unquoted(cell: str) -> str:
    quoted = len(cell) >= 2 and cell[0] == cell[-1] == '"'
    return cell[1:-1].replace('""', '"') if quoted else cell
