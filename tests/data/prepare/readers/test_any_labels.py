"""Random sources of every format: what was drawn comes back, and damage is never taken for "no corrosion"."""

import copy
import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from spotrust_jax.data.prepare.audit import audit
from spotrust_jax.data.prepare.readers import read_source
from spotrust_jax.errors import InputError
from tests.data.prepare.readers.label_writers import FORMATS, JSON_FORMATS, Photograph, Shape

# The same examples each time, so that a failure comes again.
SETTINGS = settings(derandomize=True, deadline=None, max_examples=20, suppress_health_check=list(HealthCheck))

JUNK = [None, True, -1, 0.5, 1e300, float("nan"), "", "junk", {}, {"a": [1]}, [[]], [None], "9" * 5000]


@st.composite
def shapes(draw, height, width):
    """A triangle or more, whole or not, that covers a pixel by every rule; class and place at random."""
    left, top = draw(st.integers(0, width - 4)), draw(st.integers(0, height - 4))
    right, bottom = draw(st.integers(left + 3, width)), draw(st.integers(top + 3, height))
    # Shares and percents must not come to lie on the other side of where COCO's tools round, tenths that are odd.
    shift = draw(st.sampled_from([0.0, 0.25, 0.4]))
    corners = [(left, top), (right, top), (right, bottom), (left, bottom)][: draw(st.sampled_from([3, 4, 4]))]
    inner = [(max(x - shift, 0.0), max(y - shift, 0.0)) for x, y in corners]
    return Shape(draw(st.sampled_from(["rust", "rust", "paint"])), inner)


@st.composite
def photographs(draw, most=3):
    made = []
    for index in range(1, draw(st.integers(1, most)) + 1):
        height, width = draw(st.integers(6, 20)), draw(st.integers(6, 20))
        drawn = draw(st.lists(shapes(height, width), max_size=3))
        seed, share = draw(st.integers(0, 999)), draw(st.sampled_from([0.0, 0.05, 0.5, 1.0]))
        mask = np.random.default_rng(seed).random((height, width)) < share
        made.append(Photograph(index, height, width, drawn, mask))
    # Without any corrosion the class is not there to be chosen.
    made[0] = made[0]._replace(shapes=[Shape("rust", [(1.0, 1), (5, 1), (5, 5), (1, 5)]), *made[0].shapes])
    made[0].mask[2, 3] = True
    return made


@pytest.mark.parametrize("form", FORMATS)
@SETTINGS
@given(made=photographs())
def test_what_was_drawn_comes_back(form, made):
    write, truth = FORMATS[form]
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), made)
        source = read_source(Path(folder))
        assert source.findings == ()
        read = {photograph.name.rpartition("/")[2]: photograph for photograph in source.photographs}
        assert read.keys() == {each.name for each in made}
        for each in made:
            label = read[each.name].label.read(each.height, each.width)
            np.testing.assert_array_equal(label.mask, truth(each), err_msg=each.name)
            ignored = (np.arange(each.width) == 0) & ~each.mask if form == "voc" else np.zeros_like(each.mask)
            np.testing.assert_array_equal(np.zeros_like(each.mask) if label.ignored is None else label.ignored, ignored)
            corroded = sum(entry.pixels for entry in label.classes if entry.taken_as == "corrosion")
            assert corroded == label.mask.sum()


def places(content, path=()):
    """Paths to every value in JSON labels."""
    yield path
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in items:
        yield from places(value, (*path, key))


def at(content, path):
    for key in path:
        content = content[key]
    return content


@st.composite
def damaged(draw, content):
    """JSON labels with one value that is of no use, or without one of its keys."""
    content = copy.deepcopy(content)
    path = draw(st.sampled_from([path for path in places(content) if path]))
    parent, old = at(content, path[:-1]), at(content, path)
    if isinstance(parent, dict) and draw(st.booleans()):
        del parent[path[-1]]
        note(f"without {path}")
        return content
    # A class of another name, or a list with nothing in it, would be sound labels that say something else.
    junk = [value for value in JUNK if not (isinstance(old, str) and isinstance(value, str) and value.strip())]
    junk = [value for value in junk if not (isinstance(old, dict | list) and value in ({}, [[]]))]
    parent[path[-1]] = draw(st.sampled_from(junk))
    note(f"{path}: {parent[path[-1]]!r:.40} for {old!r:.80}")
    return content


def outcome(root):
    """The corroded pixels of each photograph that is used, and everything that is said; None where nothing is used."""
    try:
        audited = audit(read_source(root))
    except InputError as error:
        assert str(error) and "\n" not in str(error)
        return None
    said = " ".join(f"{finding.file} {finding.message}" for finding in audited.findings)
    assert "\n" not in said
    return {record.name.rpartition("/")[2]: record.corroded_pixels for record in audited.records}, said


@pytest.mark.parametrize("form", JSON_FORMATS)
@SETTINGS
@given(data=st.data(), made=photographs(2))
def test_damaged_json_never_means_no_corrosion(form, data, made):
    write, truth = FORMATS[form]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write(root, made)
        file = data.draw(st.sampled_from(sorted(root.rglob("*.json"))))
        file.write_text(json.dumps(data.draw(damaged(json.loads(file.read_text())))))
        if (found := outcome(root)) is None:
            return
        used, said = found
        for each in made:
            assert each.name in used or each.name in said or file.name in said
            if truth(each).any() and used.get(each.name) == 0:
                assert each.name in said or file.name in said


@pytest.mark.parametrize("form", FORMATS)
@SETTINGS
@given(data=st.data(), made=photographs(2))
def test_damaged_files_lose_no_neighbour(form, data, made):
    """Bytes cut out, put in or changed, also in tables, descriptions and masks."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        FORMATS[form][0](root, made)
        images = {path for path in root.rglob("*.png") if path.parent.name in ("images", "photos", "JPEGImages")}
        file = data.draw(st.sampled_from(sorted(path for path in root.rglob("*.*") if path not in images)))
        content = file.read_bytes()
        start = data.draw(st.integers(0, len(content)))
        end = data.draw(st.integers(start, min(start + 40, len(content))))
        rest = b"" if data.draw(st.booleans()) else content[end:]
        file.write_bytes(content[:start] + data.draw(st.binary(max_size=8)) + rest)
        if (found := outcome(root)) is None:
            return
        used, said = found
        for each in made:
            assert each.name in used or each.name in said or file.name in said
