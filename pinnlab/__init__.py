"""pinnlab: physics-informed neural networks trained to solver-grade accuracy, on PyTorch Lightning."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from pinnlab.cli.version import __version__ as __version__

if TYPE_CHECKING:
    from pinnlab.cli.loading import load
    from pinnlab.problems import Problem
    from pinnlab.training.datamodule import CollocationDataModule
    from pinnlab.training.marching import march
    from pinnlab.training.module import PINN
    from pinnlab.training.phases import Phase

__all__ = ["PINN", "CollocationDataModule", "Phase", "Problem", "load", "march"]

_HOMES = {
    "PINN": "pinnlab.training.module",
    "CollocationDataModule": "pinnlab.training.datamodule",
    "Phase": "pinnlab.training.phases",
    "Problem": "pinnlab.problems",
    "load": "pinnlab.cli.loading",
    "march": "pinnlab.training.marching",
}

if not TYPE_CHECKING:  # a type checker that saw this would take any name for one of the package

    def __getattr__(name: str) -> object:
        """Imports a name when it is asked for: torch and Lightning take seconds, which `pinnlab list` need not wait."""
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
