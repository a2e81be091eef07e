"""Sparse rows of the Jacobian, against dense ones."""

from functools import partial

import pytest
import torch

from pinnlab import PINN
from pinnlab.errors import ConfigurationError
from pinnlab.networks import MLP, RandomFeatures, Subdomains, Tiles
from pinnlab.objective.parameter_derivatives import jacobian_rows
from pinnlab.objective.sparse_rows import blocks_by_colour, check_sparse, slabs_of_columns, sparse_rows
from pinnlab.problems import Convection, Kovasznay, MultiscalePoisson, RoughMedium1D, Tiled
from pinnlab.samplers import Sobol

NETWORKS = {
    "two": partial(Subdomains, grid=[3, 5], network=partial(MLP, hidden=[4])),
    "levels": partial(Subdomains, grid=[4, 3], levels=2, network=partial(MLP, hidden=[3])),
    "features": partial(Subdomains, grid=[1, 6], network=partial(RandomFeatures, count=5)),
    "tiles": partial(Tiles, grid=[4, 3], network=partial(MLP, hidden=[4])),
    "tiles in a row": partial(Tiles, grid=[1, 6], network=partial(RandomFeatures, count=5)),
}


def setting(problem, network, count=60):
    problem = Tiled(problem, network.keywords["grid"]) if network.func is Tiles else problem
    model = PINN(problem, network, compile=False)
    batch = {name: Sobol().sample(c.region, count, seed=1) for name, c in problem.conditions.items()}
    batch = {name: problem.conditions[name].rows(points) for name, points in batch.items()}
    return model.system, model.trial.tensors(), batch


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("problem", [MultiscalePoisson(dim=2, octaves=1), Kovasznay()], ids=lambda p: p.name)
@torch.no_grad()
def test_entries_are_those_of_the_jacobian(problem, name):
    system, tensors, batch = setting(problem, NETWORKS[name])
    scales = torch.linspace(1, 2, len(batch), dtype=torch.float64)
    check_sparse("x", system, tensors, batch)
    sparse = sparse_rows(system, tensors, batch, scales)
    values, dense = jacobian_rows(system, tensors, batch, scales)
    assert sparse.entries.shape[1] < dense.shape[1]
    torch.testing.assert_close(sparse.right, values)
    torch.testing.assert_close(torch.zeros_like(dense).scatter_add(1, sparse.columns, sparse.entries), dense)
    slabs = slabs_of_columns(system, next(iter(batch.values())))
    assert len(slabs) == dense.shape[1]


@pytest.mark.parametrize("name", NETWORKS)
@torch.no_grad()
def test_blocks_of_a_colour_share_no_row(name):
    system, tensors, batch = setting(MultiscalePoisson(dim=2, octaves=1), NETWORKS[name])
    like = next(iter(batch.values()))
    colours = blocks_by_colour(system, like)
    whole = torch.cat([blocks.flatten() for blocks in colours])
    rows = jacobian_rows(system, tensors, batch)[1]
    assert torch.equal(whole.sort().values, torch.arange(rows.shape[1]))
    for blocks in colours:
        reached = torch.stack([(rows[:, columns] != 0).any(1) for columns in blocks])
        assert int(reached.sum(0).max()) == 1


def test_a_network_that_every_point_sees_is_refused():
    with pytest.raises(ConfigurationError, match="needs a network of which a point sees a part, such as Subdomains"):
        check_sparse("form: sparse", *setting(MultiscalePoisson(), partial(MLP, hidden=[4])))


def test_a_condition_that_looks_at_two_points_is_refused():
    """Left and right ends see different windows."""
    problem = Convection(periodic="loss", exact_conditions=False)
    with pytest.raises(ConfigurationError, match="condition 'periodic' looks at other points too"):
        check_sparse("form: sparse", *setting(problem, partial(Subdomains, grid=[5, 1])))


def test_a_test_function_that_reaches_beyond_what_its_middle_sees_is_refused():
    """Two of 31 hats do, and none of those five at which rows of the Jacobian are tried."""
    problem = RoughMedium1D(medium="jump", form="weak")
    model = PINN(problem, partial(Subdomains, grid=[4], network=partial(MLP, hidden=[4])), compile=False)
    batch = {n: c.rows(c.fixed_points()) for n, c in problem.conditions.items() if c.fixed_points() is not None}
    with pytest.raises(ConfigurationError, match="condition 'joints' looks at other points too"):
        check_sparse("form: sparse", model.system, model.trial.tensors(), batch)
