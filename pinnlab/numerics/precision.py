"""What a device makes of float64 and float32: how fast is the one there, and are products of the other exact."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import torch

FULL_RATE = frozenset({(6, 0), (7, 0), (8, 0), (9, 0), (10, 0)})
"""Compute capabilities of cards with half as many float64 as float32 operations: P100, V100, A100, H100, B200.

All others have 1/32 or 1/64, those of capability 10.3 (B300) too. From the table of arithmetic throughput in NVIDIA's
CUDA C++ Programming Guide.
"""


def has_slow_float64(device: torch.device) -> bool:
    """Whether a device is a GPU that is made for float32: 30 to 60 times slower in float64."""
    return device.type == "cuda" and torch.cuda.get_device_capability(device) not in FULL_RATE


@contextmanager
def exact_products() -> Iterator[None]:
    """Has products of float32 matrices rounded as float32 is, whatever was set, or preset in a container.

    TensorFloat-32 keeps three digits of the factors. Second derivatives of a network are differences of such products.
    """
    before = products()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        set_products(before)


@contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    """Has torch take a data type where none is said."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def products() -> tuple[str | None, list[str]]:
    """How products of float32 matrices are rounded: torch's setting for all backends, and those of GPU and CPU.

    There is none for all where that of one backend was changed alone.
    """
    common: str | None = None
    with suppress(RuntimeError):
        common = torch.get_float32_matmul_precision()
    return common, [backend.fp32_precision for backend in _backends()]


def set_products(settings: tuple[str | None, Sequence[str]]) -> None:
    """Has them rounded as `products` said, also in another process.

    Both settings: where the one of a backend was changed alone, torch's code generator may refuse to look at either.
    """
    common, single = settings
    if common is not None:
        torch.set_float32_matmul_precision(common)
    for backend, setting in zip(_backends(), single, strict=True):
        backend.fp32_precision = setting


def _backends() -> tuple[Any, Any]:
    return torch.backends.cuda.matmul, torch.backends.mkldnn.matmul  # type: ignore[attr-defined]


def multiply_coarsely(coarsely: bool) -> bool:
    """Inside of `exact_products`: whether a GPU may round factors of float32 products to TensorFloat-32, from now on.

    Returns:
        Whether that is new.
    """
    wanted = "high" if coarsely else "highest"
    changes = torch.get_float32_matmul_precision() != wanted
    if changes:
        torch.set_float32_matmul_precision(wanted)
    return changes
