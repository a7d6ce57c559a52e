"""An audit as a table for people and as JSON for programs; audit.py makes it."""

import json
import statistics
from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from spotrust_jax.data.prepare.audit import Audit, Record, by_split
from spotrust_jax.data.prepare.source import Finding

AUDIT_NAME = "audit.json"

_SHOWN = 5  # findings of each kind, and sizes
_SHOWN_CLASSES = 15  # of those taken as background

_MEANING = {
    "unreadable_image": "photographs that cannot be used",
    "missing_mask": "photographs without a label",
    "missing_image": "labels without a photograph",
    "unreadable_label": "labels that cannot be read",
    "size_mismatch": "labels of another size than the photograph",
    "palette": "masks with values or colours that are no class",
    "jpeg_mask": "masks saved as JPEG",
    "polygon": "polygons that cannot be drawn as they are",
    "unknown_class": "classes that do not exist",
    "duplicate_name": "names that occur twice",
    "outside_source": "files outside the source",
    "table": "entries of tables that cannot be used",
    "matched_by_name": "labels matched to photographs by the file name alone",
    "near_duplicate": "near-duplicates in one split",
    "leak": "the same photograph or group in different splits",
    "no_corrosion": "splits with one class only",
    "empty_split": "splits without a usable photograph",
}


def describe(audited: Audit) -> str:
    """The audit for people: counts, sizes, class balance, and up to five findings of each kind with the remedies."""
    counts = f"{len(audited.records)} photographs usable, {len(audited.left_out)} files or rows left out"
    lines = [_one_line(f"{audited.root} ({audited.format}): {counts}")]
    if audited.records:
        lines += [f"sizes (width x height): {_sizes(audited.records)}", "", *_balance_table(audited.records)]
        lines += ["", *_class_table(audited)]
    if audited.findings:
        kinds = groupby(audited.findings, key=lambda finding: finding.kind)
        lines += ["", *(line for kind, findings in kinds for line in _listed(kind, list(findings)))]
    else:
        lines += ["", "nothing wrong was found"]
    return "\n".join(lines)


def as_json(audited: Audit) -> str:
    """Everything that was found, of every photograph and split; independent of the order of files."""
    values = {
        "source": str(audited.root),
        "format": audited.format,
        "usable": len(audited.records),
        "left_out": len(audited.left_out),
        "findings": [finding._asdict() for finding in audited.findings],
        "classes": [each._asdict() for each in audited.classes],
        "splits": {name: _balance(records) for name, records in _with_total(audited.records).items()},
        "photographs": [_photograph(record) for record in audited.records],
    }
    return json.dumps(values, indent=1, ensure_ascii=False) + "\n"


def write_audit(audited: Audit, folder: Path) -> Path:
    """Writes the JSON into the folder, which is made if need be. Names that are no text are written with escapes."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / AUDIT_NAME).write_text(as_json(audited), "utf-8", errors="backslashreplace")
    return folder / AUDIT_NAME


def _with_total(records: Sequence[Record]) -> dict[str, list[Record]]:
    splits = by_split(record for record in records if record.split)
    return {**splits, "all": list(records)}


def _balance(records: Sequence[Record]) -> dict[str, Any]:
    """Class balance of some photographs; fractions are of pixels, 0 to 1, and None where there are none."""
    fractions = [record.corroded_fraction for record in records]
    pixels = sum(record.counted_pixels for record in records)
    return {
        "photographs": len(records),
        "groups": len({record.group for record in records}),
        "corroded_fraction": sum(record.corroded_pixels for record in records) / pixels if records else None,
        "median_corroded_fraction": statistics.median(fractions) if records else None,
        "without_corrosion": sum(record.corroded_pixels == 0 for record in records),
    }


def _balance_table(records: Sequence[Record]) -> list[str]:
    rows = [("split", "photographs", "groups", "corroded pixels", "median photograph", "without corrosion")]
    for name, members in _with_total(records).items():
        photographs, groups, share, median, without = _balance(members).values()
        rows.append((name, str(photographs), str(groups), f"{share:.2%}", f"{median:.2%}", str(without)))
    return _aligned(rows)


def _class_table(audited: Audit) -> list[str]:
    """What counts as corrosion, as background and as neither; of background only the classes with most pixels."""
    total = sum(record.width * record.height for record in audited.records)
    shown = [each for each in audited.classes if each.taken_as != "background"]
    background = [each for each in audited.classes if each.taken_as == "background"]
    rows = [("label", "taken as", "pixels", "share")]
    for name, taken_as, pixels in (*shown, *background[:_SHOWN_CLASSES]):
        rows.append((_one_line(name), taken_as, f"{pixels:,}", f"{pixels / total:.2%}"))
    more = len(background) - _SHOWN_CLASSES
    return _aligned(rows) + [f"... and {more} more taken as background in {AUDIT_NAME}"] * (more > 0)


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines whose columns stand below each other."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    ]


def _sizes(records: Sequence[Record]) -> str:
    sizes = Counter((record.width, record.height) for record in records)
    ordered = sorted(sizes.items(), key=lambda item: (-item[1], item[0]))
    shown = [f"{width} x {height} ({count})" for (width, height), count in ordered[:_SHOWN]]
    return ", ".join(shown + [f"and {len(ordered) - _SHOWN} more sizes"] * (len(ordered) > _SHOWN))


def _listed(kind: str, findings: Sequence[Finding]) -> list[str]:
    lines = [f"{kind} ({len(findings)}): {_MEANING[kind]}"]
    lines += [f"  {_line(finding)}" for finding in findings[:_SHOWN]]
    return lines + [f"  ... and {len(findings) - _SHOWN} more in {AUDIT_NAME}"] * (len(findings) > _SHOWN)


def _line(finding: Finding) -> str:
    """One finding in one line, which names its file once."""
    text = finding.message if finding.file in finding.message else f"{finding.file}: {finding.message}"
    return _one_line(text + " [left out]" * finding.left_out)


def _one_line(text: str) -> str:
    return " ".join(text.split()).encode("utf-8", "backslashreplace").decode()


def _photograph(record: Record) -> dict[str, Any]:
    return {
        "name": record.name,
        "file": record.file,
        "width": record.width,
        "height": record.height,
        "corroded_fraction": record.corroded_fraction,
        "ignored_fraction": record.ignored_pixels / (record.width * record.height),
        "split": record.split or None,
        "group": record.group,
        "perceptual_hash": record.hashes[0].tobytes().hex(),
        "pixels_sha256": record.pixels_sha256,
    }
