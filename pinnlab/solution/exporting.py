"""A solution as a file that other programs evaluate: PyTorch's exported programs, and ONNX."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from pinnlab.errors import ConfigurationError
from pinnlab.numerics.extras import needed
from pinnlab.reporting.files import whole

FORMATS = (".pt2", ".onnx")

ARITHMETIC = frozenset({"add", "sub", "mul", "div", "truediv", "true_divide", "pow"})
"""Functions that may be given a float in place of a tensor."""


def export(trial: nn.Module, example: torch.Tensor, path: Path) -> Path:
    """Writes a module `(n, d) -> (n, m)` for any number of points n.

    Args:
        trial: the trial function, ansatz included.
        example: `(n, d)` points, n > 1.
        path: ends with `.pt2`, which `torch.export.load` reads, or with `.onnx`.

    Raises:
        ConfigurationError: another ending; a package is missing; or the network has something that cannot be exported.
    """
    if path.suffix not in FORMATS:
        raise ConfigurationError(f"export: {path.name} must end with {' or '.join(FORMATS)}")
    if path.suffix == ".onnx":
        for package in ("onnx", "onnxscript"):
            needed(package, "export", "pip install onnx onnxscript")
    from torch import export as exporting  # brings the compiler, which takes a second

    module = trial if path.suffix == ".pt2" else _ExactNumbers(trial)
    try:
        program = exporting.export(module, (example,), dynamic_shapes=({0: exporting.Dim("n")},))
    except Exception as error:  # what an operation cannot do is said by errors of many kinds
        reason = str(error).strip().splitlines()[0][:150] if str(error).strip() else type(error).__name__
        raise ConfigurationError(f"export: the network cannot be exported ({reason})") from error
    if path.suffix == ".pt2":
        return whole(path, lambda part: exporting.save(program, part))
    with _quiet():
        converted = torch.onnx.export(
            program, input_names=["points"], output_names=["solution"], verbose=False, dynamo=True
        )
    assert converted is not None  # it is None only where a file was named
    return whole(path, lambda part: converted.save(str(part)))


class _ExactNumbers(nn.Module):
    """A module whose floats in arithmetic are tensors of the points' dtype.

    The converter to ONNX rounds other ones to float32, so that `sin(pi x)` would be wrong by 1e-7.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, points: torch.Tensor) -> torch.Tensor:
        with _NumbersAsTensors(points.dtype):
            return self.module(points)


class _NumbersAsTensors(TorchFunctionMode):
    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self._dtype = dtype

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        if func.__name__.strip("_").removeprefix("r") in ARITHMETIC:
            args = tuple(torch.tensor(a, dtype=self._dtype) if isinstance(a, float) else a for a in args)
        return func(*args, **(kwargs or {}))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the converter's remarks about itself, and about torchvision, which is not there."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)
