"""pinnlab: physics-informed neural networks trained to solver-grade accuracy, on PyTorch Lightning."""

from pinnlab.problems import Problem
from pinnlab.training.datamodule import CollocationDataModule
from pinnlab.training.module import PINN
from pinnlab.training.phases import Phase

__all__ = ["PINN", "CollocationDataModule", "Phase", "Problem"]

__version__ = "0.1.0"
