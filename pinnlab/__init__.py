"""pinnlab: physics-informed neural networks trained to solver-grade accuracy, on PyTorch Lightning."""

from pinnlab.datamodule import CollocationDataModule
from pinnlab.module import PINN
from pinnlab.phases import Phase
from pinnlab.problems import Problem

__all__ = ["PINN", "CollocationDataModule", "Phase", "Problem"]

__version__ = "0.1.0"
