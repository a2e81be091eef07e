"""Steps through the entries of a Jacobian that are not zero, against steps through all of them."""

from functools import partial

import pytest
import torch
from least_squares import vector

from pinnlab import PINN
from pinnlab.errors import ConfigurationError
from pinnlab.networks import MLP, RandomFeatures, Subdomains
from pinnlab.optimizers import LevenbergMarquardt
from pinnlab.optimizers.last_layer import solve_last_layer, solve_sparse_last_layer
from pinnlab.optimizers.step_models import OrthogonalModel, SparseModel
from pinnlab.problems import MultiscalePoisson
from pinnlab.samplers import Sobol


def linearization(network, dim=1, count=150):
    problem = MultiscalePoisson(dim=dim, octaves=2)
    model = PINN(problem, network, compile=False)
    regions = {name: condition.region for name, condition in problem.conditions.items()}
    return model.linearization({name: Sobol().sample(region, count, seed=1) for name, region in regions.items()})


@pytest.mark.parametrize("levels", [1, 2])
@pytest.mark.parametrize("dim", [1, 2])
def test_direction_and_curvature_are_those_of_singular_values(dim, levels):
    around = linearization(partial(Subdomains, grid=4, levels=levels, network=partial(MLP, hidden=[3])), dim)
    sparse, dense = SparseModel(around), OrthogonalModel(around)
    carried = torch.randn(around.shape[1], dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for damping in (1e-2, 1e-8):
        for start in (None, carried):
            step = dense.direction(damping, start)
            torch.testing.assert_close(sparse.direction(damping, start), step, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(sparse.curvature(carried), dense.curvature(carried))


def test_last_layer_leaves_as_little_over():
    """Of random features, which are all but dependent, so that only what is left over can be compared."""
    around = linearization(partial(Subdomains, grid=8, network=partial(RandomFeatures, count=12, scale=3.0)))
    columns, dense = solve_last_layer(around)
    found, sparse = solve_sparse_last_layer(around)
    assert torch.equal(columns, found)
    assert dense.left_over < 1e-6 * float(around.loss())
    assert sparse.left_over < 1.1 * dense.left_over + 1e-22
    moved = around.point.index_add(0, found, sparse.minimiser)
    assert float(around.loss(moved)) == pytest.approx(sparse.left_over, rel=1e-3, abs=1e-22)


def test_last_layer_of_trained_networks_is_that_of_the_normal_equations():
    around = linearization(partial(Subdomains, grid=[4], network=partial(MLP, hidden=[6])))
    columns, sparse = solve_sparse_last_layer(around, 1e-3)
    assert len(columns) == 4 * 7
    rows = around.triangle(columns=columns)
    matrix, right = rows[:, :-1].T @ rows[:, :-1], rows[:, :-1].T @ rows[:, -1]
    damping = torch.where(matrix.diagonal() > 0, matrix.diagonal(), 1).diag() * 1e-6
    torch.testing.assert_close(sparse.minimiser, -torch.linalg.solve(matrix + damping, right), rtol=1e-6, atol=1e-8)


def test_a_network_that_is_seen_as_a_whole_is_refused():
    with pytest.raises(ConfigurationError, match="form: sparse: needs a network of which a point sees a part"):
        SparseModel(linearization(partial(MLP, hidden=[4])))


def test_scaled_rows_are_refused():
    with pytest.raises(ConfigurationError, match="row_scaling: form: sparse"):
        LevenbergMarquardt([vector([1.0])], form="sparse", row_scaling=True)
