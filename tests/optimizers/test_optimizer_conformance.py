from __future__ import annotations

import pytest
from conformance_optimizers import CHECKS, OPTIMIZERS, OWNED_CHECKS, QUASI_NEWTON_CHECKS, Problem


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("case", OPTIMIZERS, ids=lambda case: case.name)
def test_every_optimizer(case, check):
    check(case)


@pytest.mark.parametrize("check", OWNED_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("case", [case for case in OPTIMIZERS if case.owned], ids=lambda case: case.name)
def test_our_optimizers(case, check):
    check(case)


QUASI_NEWTON = [
    case for case in OPTIMIZERS if case.owned and not hasattr(Problem(case).optimizer, "needs_linearization")
]


@pytest.mark.parametrize("check", QUASI_NEWTON_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("case", QUASI_NEWTON, ids=lambda case: case.name)
def test_quasi_newton_methods(case, check):
    check(case)
