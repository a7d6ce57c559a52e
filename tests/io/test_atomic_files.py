"""Files that appear whole: what is on the disk when a name is given."""

import os

import pytest

from spotrust_jax.io.atomic_files import atomic_file, atomic_folder, write_atomically


@pytest.fixture
def events(monkeypatch):
    """Names of what is flushed and renamed, in turn."""
    seen = []
    fsync, replace, rename = os.fsync, os.replace, os.rename
    name = lambda descriptor: os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}"))  # noqa: E731
    monkeypatch.setattr(os, "fsync", lambda descriptor: seen.append(("flush", name(descriptor))) or fsync(descriptor))
    monkeypatch.setattr(os, "replace", lambda old, new: seen.append(("name", new.name)) or replace(old, new))
    monkeypatch.setattr(os, "rename", lambda old, new: seen.append(("name", os.path.basename(new))) or rename(old, new))
    return seen


def test_file_is_on_the_disk_before_it_has_its_name(tmp_path, events):
    write_atomically(tmp_path / "a.txt", "new")
    assert events == [("flush", ".a.txt.partial"), ("name", "a.txt")]
    with pytest.raises(OSError), atomic_file(tmp_path / "a.txt") as partial:
        partial.write_text("half")
        raise OSError
    assert (tmp_path / "a.txt").read_text() == "new" and len(list(tmp_path.iterdir())) == 1


def test_folder_is_on_the_disk_before_it_has_its_name(tmp_path, events):
    with atomic_folder(tmp_path / "out") as partial:
        (partial / "below").mkdir()
        (partial / "below" / "a.txt").write_text("x")
    assert events[-1] == ("name", "out")
    assert {name for kind, name in events[:-1] if kind == "flush"} == {".out.partial", "below", "a.txt"}


def test_text_that_has_no_utf8(tmp_path):
    write_atomically(tmp_path / "a.json", '"ü \udcff"')
    assert (tmp_path / "a.json").read_bytes() == '"ü \\udcff"'.encode()
