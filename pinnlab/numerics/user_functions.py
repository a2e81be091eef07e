"""What to write where a user's function fails: one line in place of what torch or numpy raise."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from sysconfig import get_paths

from pinnlab.errors import ConfigurationError, PinnlabError, first_line

_OF_A_TENSOR = "it makes a number of a tensor (math.sin, float, int); write the function of torch, as torch.sin"
_OF_DTYPE = "points are float64; make tables and modules so, by dtype=torch.float64 or .double()"
_OF_COLUMNS = (
    "unknowns and coordinates are (n,), without columns; name each of them; columns are those of points, points[:, 0]"
)
_OF_POWERS = "a power is written u**2, not u^2"
_CAUSES = {
    "'numpy.ndarray'": "numpy cannot take part in it; write torch.as_tensor(...) around the array",
    "does not support ufuncs": "numpy cannot take part in it; write torch.sin in place of np.sin or math.sin; tables "
    "and interpolants are Given('a', {'x': x, 'a': values})",
    "does not require grad": 'torch.autograd cannot take part in it; derivatives are u.x, or d(expression, "x")',
    "Boolean value of Tensor": "it decides by the values of a tensor (if, and, or, min, max); write torch.where, or "
    "torch.maximum, and & and | between conditions",
    "element tensors can be converted": _OF_A_TENSOR,
    "a Tensor with": _OF_A_TENSOR,
    "must be Tensor, not": "functions of torch take tensors; write math.sin of a number, and torch.clamp(a, min=0) in "
    "place of torch.maximum(a, 0)",
    "torch.return_types": "torch.max(a, 0) is over all points; write torch.clamp(a, min=0), and torch.maximum of two",
    "have the same dtype": _OF_DTYPE,
    "Float": _OF_DTYPE,
    "'NoneType'": "a value in it is None; does a function lack its return?",
    "bitwise_xor": _OF_POWERS,
    "for ^:": _OF_POWERS,
    "too many indices": _OF_COLUMNS,
    "Field' object is not subscriptable": _OF_COLUMNS,
    "'Known' object is not subscriptable": _OF_COLUMNS,
    ".at() takes": "it does not say which coordinate has another value; write u.at(t=t - 1)",
    "'method'": "a method is written without its parentheses; write u.laplacian(), not u.laplacian",
    "must match": "shapes do not fit; unknowns and coordinates are (n,), points and normal (n, d)",
    "Differentiable.": "derivatives are u.xx, u.d('x', 'x'), u.laplacian('x', 'y'), u.gradient('x'), u.along(normal), "
    "u.trace_hessian(s)",
    "RecordingField": "unknowns take part in arithmetic and functions of torch; write torch.sin in place of math.sin, "
    "and u.value where a tensor is needed",
}
"""Advice by words of the error that torch or numpy raise."""

_OURS = {r"\b(Differentiable|AbstractField)\.": "", r"\bRecordingField\b": "unknown", r"\bRecorded\b": "Tensor"}
"""Words of such errors that are names of this package, and what stands for them."""


@contextmanager
def explaining(what: str) -> Iterator[None]:
    """Whatever a user's function raises within, in one line: whose it is, why, what to write, and where.

    Args:
        what: the key to name.

    Raises:
        ConfigurationError: it failed.
    """
    try:
        yield
    except PinnlabError:
        raise
    except Exception as error:  # whatever the user's function raises
        said = first_line(error)
        known = next((advice for words, advice in _CAUSES.items() if words in said), None)
        why = f"{known} ({said})" if known else _why(error)
        for ours, instead in _OURS.items():
            why = re.sub(ours, instead, why)
        raise ConfigurationError(f"{what}: {why}{_line(error)}") from error


def _why(error: Exception) -> str:
    """What an error says, by itself; of a file that is missing also where it was looked for."""
    if not isinstance(error, FileNotFoundError):
        return f"it fails with {type(error).__name__}: {first_line(error)}"
    said = first_line(error).rstrip(".") if error.filename is None else f"{error.filename} not found"
    return f"{said}, relative paths begin in {Path.cwd()}"


def _line(error: Exception) -> str:
    """The last line outside of Python, pinnlab and installed packages that the error comes from."""
    known = {Path(__file__).parents[1], Path(get_paths()["stdlib"])}
    frames = traceback.extract_tb(error.__traceback__)
    outside = [f for f in frames if known.isdisjoint(Path(f.filename).parents) and "site-packages" not in f.filename]
    users = [frame for frame in outside if Path(frame.filename).suffix == ".py"]
    return f"; see line {users[-1].lineno} of {users[-1].filename}" if users else ""
