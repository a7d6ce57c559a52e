import builtins
import pickle
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy

from spotrust_jax.errors import InputError
from spotrust_jax.io.weight_files import list_weight_files, read_state

TENSORS = {"a.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "a.count": np.array(7)}


class WritesAFile:
    """Unpickling this creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def as_torch(tensors: dict[str, np.ndarray]) -> dict:
    torch = pytest.importorskip("torch")
    return {name: torch.from_numpy(array) for name, array in tensors.items()}


def save_torch(path: Path, contents: object) -> Path:
    pytest.importorskip("torch").save(contents, path)
    return path


def assert_same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype


@pytest.mark.parametrize("entry", [None, "state_dict", "model", "model_state"])
def test_torch_state_is_found_bare_or_as_an_entry(tmp_path, entry):
    state = as_torch(TENSORS)
    extra = {
        "epoch": 3,
        "score": np.float64(0.7),
        "optimizer": {"state": {0: {"step": 1}}, "param_groups": [{"lr": 0.1}]},
    }
    path = save_torch(tmp_path / "w.pt", state if entry is None else {entry: state, **extra})
    found = read_state(path)
    assert_same(found.tensors, TENSORS)
    assert found.ignored == ([] if entry is None else list(extra))


def test_numpy_1_scalars_are_read(tmp_path):
    torch, path = pytest.importorskip("torch"), tmp_path / "w.pt"
    contents = {"state_dict": as_torch(TENSORS), "score": np.float32(0.5)}
    torch.save(contents, path, _use_new_zipfile_serialization=False)
    # Released files come from numpy 1, which had its core under another name.
    path.write_bytes(path.read_bytes().replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    assert b"numpy.core.multiarray" in path.read_bytes()
    assert_same(read_state(path).tensors, TENSORS)


def test_half_precision_becomes_single(tmp_path):
    torch = pytest.importorskip("torch")
    values = torch.tensor([0.5, -1.25, 3.0])
    state = {"half": values.half(), "brain": values.bfloat16(), "double": values.double()}
    found = read_state(save_torch(tmp_path / "w.pth", state)).tensors
    expected = np.array([0.5, -1.25, 3.0], np.float32)
    assert_same(found, {"half": expected, "brain": expected, "double": expected})


def test_safetensors_are_read(tmp_path):
    values = np.array([0.5, -1.25, 3.0], np.float32)
    tensors = {"half": values.astype(np.float16), "brain": values.astype(ml_dtypes.bfloat16), **TENSORS}
    safetensors.numpy.save_file(tensors, tmp_path / "w.safetensors")
    found = read_state(tmp_path / "w.safetensors")
    assert_same(found.tensors, {"half": values, "brain": values, **TENSORS})
    assert found.ignored == []


@pytest.mark.parametrize("write", ["zip", "legacy", "bare pickle"])
def test_foreign_objects_are_never_unpickled(tmp_path, write):
    torch = pytest.importorskip("torch")
    path, created = tmp_path / "w.pt", tmp_path / "created"
    contents = {"state_dict": as_torch(TENSORS), "score": WritesAFile(created)}
    if write == "bare pickle":
        path.write_bytes(pickle.dumps(WritesAFile(created)))
    else:
        torch.save(contents, path, _use_new_zipfile_serialization=write == "zip")
    with pytest.raises(InputError, match=r"w\.pt") as caught:
        read_state(path)
    assert "\n" not in str(caught.value)
    assert not created.exists()
    # The file does what it says where it is not refused.
    pickle.loads(pickle.dumps(WritesAFile(created))).close()
    assert created.exists()


def test_reading_leaves_torch_as_strict_as_it_was(tmp_path):
    torch = pytest.importorskip("torch")
    before = torch.serialization.get_safe_globals()
    read_state(save_torch(tmp_path / "w.pt", {"state_dict": as_torch(TENSORS), "score": np.float64(0.7)}))
    assert set(torch.serialization.get_safe_globals()) == set(before)


@pytest.mark.parametrize("name", ["w.pt", "w.safetensors"])
@pytest.mark.parametrize("damage", ["empty", "text", "half"])
def test_damaged_files_are_one_line(tmp_path, name, damage):
    path = tmp_path / name
    if path.suffix == ".pt":
        save_torch(path, as_torch(TENSORS))
    else:
        safetensors.numpy.save_file(TENSORS, path)
    whole = path.read_bytes()
    path.write_bytes({"empty": b"", "text": b"hello world\n" * 9, "half": whole[: len(whole) // 2]}[damage])
    with pytest.raises(InputError, match=f"{name}.*get it again") as caught:
        read_state(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("contents", [{}, [1, 2], {"epoch": 1, "net": {"deep": {"er": 1}}}, 3.5])
def test_file_without_state_is_an_error(tmp_path, contents):
    with pytest.raises(InputError, match="holds no state dict"):
        read_state(save_torch(tmp_path / "w.pt", contents))


def test_missing_file_is_an_error(tmp_path):
    for path in (tmp_path / "none.pt", tmp_path):
        with pytest.raises(InputError, match="is not there"):
            read_state(path)


def test_missing_package_is_named_with_its_extra(tmp_path, monkeypatch):
    (tmp_path / "w.pt").write_bytes(b"")
    original = builtins.__import__

    def without_package(wanted, *args, **kwargs):
        if wanted.split(".")[0] == "torch":
            raise ImportError(wanted)
        return original(wanted, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_package)
    with pytest.raises(InputError, match=r'torch: pip install "spotrust-jax\[convert\]"'):
        read_state(tmp_path / "w.pt")


def test_sources_keep_their_order_and_globs_are_sorted(tmp_path):
    for name in ("fold2.pt", "fold0.pt", "fold1.pt", "odd[1].pt"):
        (tmp_path / name).touch()
    given = [f"{tmp_path}/odd[1].pt", f"{tmp_path}/fold*.pt", f"{tmp_path}/elsewhere.pt"]
    names = [path.name for path in list_weight_files(given)]
    assert names == ["odd[1].pt", "fold0.pt", "fold1.pt", "fold2.pt", "elsewhere.pt"]
    with pytest.raises(InputError, match="matches no file"):
        list_weight_files([f"{tmp_path}/nothing*.pt"])
    with pytest.raises(InputError, match="--source"):
        list_weight_files([])
