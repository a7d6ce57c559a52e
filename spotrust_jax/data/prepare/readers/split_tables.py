"""A source's splits.csv: which photograph is in which split, and which must stay together."""

from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from spotrust_jax.data.prepare.readers.listing import Reading, composed, relative
from spotrust_jax.data.prepare.source import Finding, LabelledPhotograph
from spotrust_jax.data.splits import TABLE, SplitRow, has_split_table, is_split, read_split_table, split_named

_SPACES = " \t"  # others may be part of a name


def with_splits(root: Path, reading: Reading) -> Reading:
    """Splits and groups as splits.csv gives them, where the source has one (columns name, split and perhaps group).

    It may name a photograph by its path or, where no other has that, by its file's name. Photographs that it does not
    name once, with a split, are left out. A table that cannot be read is an `InputError`.
    """
    if not has_split_table(root):
        return reading
    present = {photograph.name for photograph in reading.photographs}
    meant = _meaning(present)
    rows = [row._replace(name=meant(row.name)) for row in _rows(root / TABLE)]
    # A photograph that was left out already is not missed a second time.
    known = present.union(*(_possible_names(finding.file) for finding in reading.findings))
    named = Counter(row.name for row in rows)
    findings = [finding for row in rows if (finding := _problem(row, named, known))]
    good = {row.name: row for row in rows if named[row.name] == 1 and _split(row)}
    kept = [_with(photograph, good[photograph.name]) for photograph in reading.photographs if photograph.name in good]
    for photograph in reading.photographs:
        if photograph.name not in named:
            file = relative(root, photograph.image)
            message = f"{TABLE} does not name {photograph.name}: add a row name,split,group or remove the photograph"
            findings.append(Finding("table", file, message, True))
    return Reading(kept, reading.findings + list(dict.fromkeys(findings)))


def _meaning(names: set[str]) -> Callable[[str], str]:
    """What says which of the names a row's is: itself, or the only one with that file name; otherwise it stays."""
    of_file = defaultdict(list)
    for name in names:
        of_file[PurePosixPath(name).name].append(name)
    return lambda name: name if name in names or len(of_file[name]) != 1 else of_file[name][0]


def _possible_names(file: str) -> set[str]:
    """The names that a table may have for a photograph by this file, which may be its label in another folder."""
    parts = composed(file).split("/")
    parts[-1] = Path(parts[-1]).stem
    return {"/".join(parts[start:]) for start in range(len(parts))}


def _with(photograph: LabelledPhotograph, row: SplitRow) -> LabelledPhotograph:
    return photograph._replace(split=_split(row), group=row.group or photograph.group or photograph.name, site=row.site)


def _split(row: SplitRow) -> str | None:
    return row.split if is_split(row.split) else split_named(row.split)


def _problem(row: SplitRow, named: Counter, known: set[str]) -> Finding | None:
    """What is wrong with a row, the rows of one name together."""
    if row.name not in known:
        reason = f"{TABLE} line {row.line} names {row.name!r}, which has no photograph with a label"
        remedy = "add it or remove the row (names have no extension, and keep their leading zeros)"
        return Finding("table", row.name or TABLE, f"{reason}: {remedy}", True)
    if named[row.name] > 1:
        return Finding("table", row.name, f"{TABLE} names {row.name!r} more than once: remove the other rows", True)
    if not _split(row):
        reason = f"{TABLE} line {row.line} has the split {row.split!r} for {row.name!r}"
        return Finding("table", row.name, f"{reason}: use train, validation or test", True)
    return None


def _rows(table: Path) -> list[SplitRow]:
    """The rows without a spreadsheet's spaces, and with names as file names are composed."""
    rows = [SplitRow(row.line, *(cell.strip(_SPACES) for cell in row[1:])) for row in read_split_table(table, _SPACES)]
    return [row._replace(name=composed(row.name)) for row in rows]
