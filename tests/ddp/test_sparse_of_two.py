"""Two gloo processes make the steps of one through a sparse Jacobian, also where one of them has no points."""

import functools

import pytest
import torch
from run_sparse import SHARES, save, steps
from two_ranks import on_two_ranks


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return on_two_ranks(save, tmp_path_factory.mktemp("sparse"))


@functools.cache
def alone(kind):
    """The steps of one process."""
    return steps(kind)


@pytest.mark.parametrize("kind", SHARES)
def test_each_process_has_rows_of_its_own_windows(results, kind):
    """However the points are dealt out."""
    every = int(alone(kind)["rows"])
    own = [int(result[kind]["rows"]) for result in results]
    assert sum(own) == every
    assert min(own) > every / 4


@pytest.mark.parametrize("kind", SHARES)
def test_steps_are_those_of_one_process(results, kind):
    for name, expected in alone(kind).items():
        if name == "rows":
            continue
        assert torch.equal(results[0][kind][name], results[1][kind][name])
        # Steps amplify the round-off of those before.
        near = {"rtol": 1e-6, "atol": 1e-8} if name == "trained" else {"rtol": 1e-9, "atol": 1e-10}
        torch.testing.assert_close(results[0][kind][name], expected, **near)
