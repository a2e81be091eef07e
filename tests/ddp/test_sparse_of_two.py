"""Two gloo processes make the steps of one through a sparse Jacobian, also where one of them has no points."""

from pathlib import Path

import pytest
import torch
from run_sparse import SHARES, steps
from two_ranks import on_two_ranks


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return on_two_ranks(Path(__file__).with_name("run_sparse.py"), tmp_path_factory.mktemp("sparse"))


@pytest.mark.parametrize("kind", SHARES)
def test_steps_are_those_of_one_process(results, kind):
    for name, expected in steps(kind).items():
        assert torch.equal(results[0][kind][name], results[1][kind][name])
        torch.testing.assert_close(results[0][kind][name], expected, rtol=1e-9, atol=1e-10)
