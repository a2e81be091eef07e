"""Files of arrays: whatever is no whole `.npz` file is refused in one line."""

import numpy as np
import pytest

from pinnlab.errors import ConfigurationError
from pinnlab.numerics.tables import read_arrays
from pinnlab.problems import Given, OperatorData


def whole(path):
    np.savez(path, x=np.arange(5.0), a=np.ones((2, 3)))
    return path.read_bytes()


def one_array(path):
    with path.open("wb") as file:
        np.save(file, np.arange(3.0))
    return path.read_bytes()


def of_objects(path):
    np.savez(path, x=np.array([None, 1]))
    return path.read_bytes()


OTHERS = {
    "empty": lambda path: b"",
    "text": lambda path: b"x,a\n0,1\n",
    "half": lambda path: whole(path)[:300],
    "one array": one_array,
    "objects": of_objects,
    "a bit off": lambda path: whole(path).replace(np.float64(4).tobytes(), np.float64(5).tobytes()),
}


def test_arrays_come_by_their_names(tmp_path):
    path = tmp_path / "a.npz"
    whole(path)
    found = read_arrays(path)
    assert {name: array.tolist() for name, array in found.items()} == {"x": [0, 1, 2, 3, 4], "a": [[1] * 3] * 2}


@pytest.mark.parametrize("read", [lambda path: Given("a", path), OperatorData.read], ids=["Given", "OperatorData"])
@pytest.mark.parametrize("kind", OTHERS)
def test_other_files_are_refused_in_one_line(kind, read, tmp_path):
    path = tmp_path / "a.npz"
    path.write_bytes(OTHERS[kind](path))
    with pytest.raises(ConfigurationError, match=f"{path} cannot be read") as caught:
        read(path)
    assert "\n" not in str(caught.value)
    assert "unsafe" not in str(caught.value)
