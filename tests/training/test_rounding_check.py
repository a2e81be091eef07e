"""Numbers of float32 in functions of float64 are told, wherever they come from; plain and exact ones are not."""

import functools
import warnings

import pytest
import torch

from pinnlab import PINN
from pinnlab.domains import Interval
from pinnlab.networks import MLP
from pinnlab.problems import Dirichlet, Exact, Problem, Residual
from pinnlab.training.rounding_check import warn_of_rounded_numbers

LINE = Interval("x", 0, 1)
TENTH = torch.tensor(0.1, dtype=torch.float32)


class Posed(Problem):
    """u'' = 0.1 with u(0) = u(1) = 0, where a test does not say otherwise."""

    def __init__(self, residual=lambda u: u.xx - 0.1, end=0.0, ansatz=None, exact=lambda x: 0.05 * x * (x - 1)):
        self.ansatz, self._exact = ansatz, exact
        super().__init__(LINE, ["u"], {"ode": Residual(LINE, residual), "end": Dirichlet(LINE.boundary(), u=end)})

    def reference(self):
        return Exact(self._exact)


def told(dtype="float64", **parts):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_of_rounded_numbers(PINN(Posed(**parts), functools.partial(MLP, hidden=[4]), dtype=dtype).system)
    return [str(warning.message).split(":")[0] for warning in caught]


@pytest.mark.parametrize(
    ("parts", "what"),
    [
        ({"residual": lambda u: u.xx - TENTH}, "condition 'ode'"),
        ({"residual": lambda u, x: u.xx - torch.full((len(x),), 0.1, dtype=torch.float32)}, "condition 'ode'"),
        ({"residual": lambda u, x: torch.where(x > 2, u.xx, TENTH) + u.xx}, "condition 'ode'"),
        ({"end": lambda x: TENTH.sqrt() + 0 * x}, "condition 'end'"),
        ({"end": TENTH}, "condition 'end'"),
        ({"ansatz": lambda u, x: x * (1 - x) * u * TENTH}, "the ansatz"),
        ({"exact": lambda x: TENTH * x}, "the reference"),
    ],
)
def test_rounded_numbers_are_told(parts, what):
    assert told(**parts) == [what]
    assert told("float32", **parts) == []


def test_plain_and_exact_numbers_are_well():
    half = torch.tensor([0.5, 3.0, -1024.0], dtype=torch.float32)
    assert told(residual=lambda u: u.xx - half[0], end=half[1], exact=lambda x: half[2] * x) == []
    assert told(residual=lambda u: u.xx - torch.tensor(0.1, dtype=torch.float64)) == []
    assert told(residual=lambda u, x: u.xx - torch.tensor([0.1]).to(x.dtype)[0] * 0) == ["condition 'ode'"]
