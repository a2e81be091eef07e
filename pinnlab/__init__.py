"""pinnlab: physics-informed neural networks trained to solver-grade accuracy, on PyTorch Lightning."""

__version__ = "0.1.0"
