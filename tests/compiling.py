"""What the tests of compilation share: when they can run, and a function to compile."""

import pytest
import torch

from pinnlab.numerics.compilation import can_compile

CPU = torch.device("cpu")
needs_compiler = pytest.mark.skipif(not can_compile(CPU), reason="no C++ compiler on this machine")


def squares(parameters, inputs):
    return torch.stack([(rows @ parameters["w"]).tanh().square().sum() for rows in inputs.values()])


def example(*sizes):
    generator = torch.Generator().manual_seed(0)
    inputs = {f"c{i}": torch.rand(n, 3, generator=generator, dtype=torch.float64) for i, n in enumerate(sizes)}
    return {"w": torch.ones(3, 2, dtype=torch.float64, requires_grad=True)}, inputs
