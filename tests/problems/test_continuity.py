"""Tiles that do not overlap and what couples them, against networks evaluated one by one on their faces."""

from functools import partial

import lightning as L
import pytest
import torch
from torch.func import functional_call, jacrev

import pinnlab
from pinnlab import PINN, CollocationDataModule, Phase
from pinnlab.domains import Disk, Interval
from pinnlab.errors import ConfigurationError
from pinnlab.networks import MLP, RandomFeatures, Tiles
from pinnlab.optimizers import LeastSquares
from pinnlab.problems import (
    Continuity,
    Dirichlet,
    MultiscalePoisson,
    Poisson2D,
    Problem,
    Residual,
    RoughMedium1D,
    Tiled,
)
from pinnlab.samplers import Sobol

GRID, HIDDEN = [3, 2], partial(MLP, hidden=[4])


def square(low=0.0, flux=None, order=1):
    """Something on a rectangle that begins at (low, 0), and its model with 3 x 2 tiles."""
    domain = Interval("x", low, low + 1) * Interval("y", 0, 2)
    conditions = {
        "pde": Residual(domain, lambda u: u.laplacian() + 1),
        "faces": Continuity(domain, GRID, flux=flux, order=order),
    }
    return Problem(domain, ["u"], conditions)


def rows_of(problem, name="faces", count=40):
    condition = problem.conditions[name]
    return condition.rows(Sobol().sample(condition.region, count, seed=1))


def sides(model, rows):
    """The two networks that meet at each row, each as a function of the place: found by the face's normal alone."""
    tiles = model.trial.network.network
    tensors = dict(tiles.network.named_parameters())
    box = model.problem.domain
    low, high = (torch.tensor(ends, dtype=torch.float64) for ends in (box.low, box.high))
    counts = torch.tensor(GRID)
    for row in rows.double():
        point, normal = row[:2], row[2:]
        place = (point - low) / (high - low) * counts
        upper = torch.where(normal > 0, place.round(), place.floor()).long()
        pair = []
        for index in (upper - (normal > 0).long(), upper):
            own = {name: tensor[int(index[0] * GRID[1] + index[1])].double() for name, tensor in tensors.items()}

            def value(x, own=own, index=index):
                local = 2 * ((x - low) / (high - low) * counts - index) - 1
                return functional_call(tiles.network, own, (local[None],))[0, 0]

            pair.append((value, point, normal))
        yield pair


def jump(model, rows, what):
    return torch.stack([what(*upper) - what(*lower) for lower, upper in sides(model, rows)])


@pytest.mark.parametrize("low", [0.0, -0.5, 100.0])
def test_residuals_are_the_jumps_of_value_and_derivatives_across_the_face(low):
    model = PINN(square(low, order=2), partial(Tiles, grid=GRID, network=HIDDEN), compile=False)
    rows = rows_of(model.problem)
    found = model.system.residuals({"faces": rows})["faces"].detach()
    near = partial(torch.testing.assert_close, rtol=1e-10, atol=1e-13 * max(1, low))
    near(found[:, 0], jump(model, rows, lambda f, x, n: f(x)))
    near(found[:, 1], jump(model, rows, lambda f, x, n: jacrev(f)(x) @ n), atol=1e-11 * max(1, low))
    near(found[:, 2], jump(model, rows, lambda f, x, n: n @ jacrev(jacrev(f))(x) @ n), atol=1e-10 * max(1, low))
    assert found.abs().amin(0).max() > 1e-6  # the networks have nothing to do with each other


def test_single_precision_finds_the_sides_too():
    grid = [16, 1]
    domain = Interval("x", -3.0, 5.0) * Interval("y", 0, 1)
    problem = Problem(domain, ["u"], {"faces": Continuity(domain, grid), "all": Dirichlet(domain, u=0.0)})
    model = PINN(problem, partial(Tiles, grid=grid, network=HIDDEN), compile=False, dtype="float32")
    rows = rows_of(problem, count=200).float()
    tiles = model.trial.network.network
    with torch.no_grad():
        for tensor in tiles.network.parameters():
            tensor.zero_()
        tiles.network.last.bias.copy_(torch.arange(16.0)[:, None])  # each says its own number
    found = model.system.residuals({"faces": rows})["faces"]
    assert torch.equal(found, torch.tensor([[1.0, 0.0]]).expand(200, 2))


def test_all_inner_faces_have_their_share_of_points_and_normals():
    rows = rows_of(square(), count=400)
    x, y, normals = rows[:, 0], rows[:, 1], rows[:, 2:]
    on = {"x=1/3": (x - 1 / 3).abs() < 1e-12, "x=2/3": (x - 2 / 3).abs() < 1e-12, "y=1": (y - 1).abs() < 1e-12}
    counts = {name: int(there.sum()) for name, there in on.items()}
    assert sum(counts.values()) == 400
    assert counts["x=1/3"] == pytest.approx(160, abs=2)  # of length 2, of five in all
    assert counts["y=1"] == pytest.approx(80, abs=2)
    assert torch.equal(normals, torch.where((on["y=1"])[:, None], torch.tensor([0.0, 1.0]), torch.tensor([1.0, 0.0])))


def test_points_keep_clear_of_where_faces_cross():
    condition = square().conditions["faces"]
    crossing = torch.tensor([[1 / 3, 1.0], [1 / 3, 1.0 - 1e-9], [2 / 3, 1.0 + 1e-9]], dtype=torch.float64)
    rows = condition.rows(crossing)
    assert torch.equal(rows[:, 2:], torch.tensor([[1.0, 0.0]] * 3, dtype=torch.float64))
    torch.testing.assert_close(rows[:, 0], crossing[:, 0])
    torch.testing.assert_close(rows[:, 1] - 1, torch.tensor([1e-4, -1e-4, 1e-4], dtype=torch.float64))


def test_a_flux_takes_the_place_of_slopes_and_sees_its_side():
    """A coefficient that jumps on the face has its own value on each side of it."""

    def flux(u, x, normal, side):
        return torch.where(x < 1 / 3, 1.0, 5.0) * u.along(normal) + side

    model = PINN(square(flux=flux), partial(Tiles, grid=GRID, network=HIDDEN), compile=False)
    rows = rows_of(model.problem)
    rows = rows[(rows[:, 0] - 1 / 3).abs() < 1e-9]
    found = model.system.residuals({"faces": rows})["faces"].detach()
    slopes = [[jacrev(f)(x)[0] for f, x, _ in pair] for pair in sides(model, rows)]
    expected = torch.stack([5 * upper + 1 - (lower - 1) for lower, upper in slopes])
    assert found.shape == (len(rows), 2)
    torch.testing.assert_close(found[:, 1], expected, rtol=1e-9, atol=1e-10)


def test_the_residual_as_flux():
    """What XPINN couples: the equation's own residual on both sides."""
    problem = Tiled(Poisson2D(), GRID, flux="residual")
    model = PINN(problem, partial(Tiles, grid=GRID, network=HIDDEN), compile=False)
    rows = rows_of(problem, "interfaces")
    found = model.system.residuals({"interfaces": rows})["interfaces"].detach()
    bent = jump(model, rows, lambda f, x, n: jacrev(jacrev(f))(x).diagonal().sum())
    ratio = found[:, 1] / bent  # the source does not jump, and the residual is divided by its size
    torch.testing.assert_close(ratio, ratio[:1].expand_as(ratio), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("by", ["flux", "slope"])
def test_a_slope_that_jumps_needs_its_flux(by):
    """Diffusion in two materials, pointwise: right to round-off with the flux, and far off where the slope is held."""
    medium = RoughMedium1D(medium="jump", form="strong", condition_weight=1e4)
    problem = Tiled(medium, [2], flux="flux" if by == "flux" else None, weight=1e4)
    tiles = partial(Tiles, grid=[2], network=partial(RandomFeatures, count=30, scale=2.0))
    error = solved(problem, tiles, {"pde": 200, "ends": 2, "interfaces": 1})
    assert error < 1e-9 if by == "flux" else error > 0.1


def test_many_tiles_by_a_sparse_solve():
    problem = Tiled(MultiscalePoisson(octaves=3), [8], weight=100.0)
    tiles = partial(Tiles, grid=[8], network=partial(RandomFeatures, count=24, scale=6.0))
    assert solved(problem, tiles, {"pde": 500, "boundary": 2, "interfaces": 7}, sparse=True) < 1e-7


def solved(problem, network, points, **options):
    """The error after least squares."""
    model = PINN(problem, network, phases=[Phase(partial(LeastSquares, **options), steps=2)], compile=False)
    data = CollocationDataModule(problem, points=points)
    trainer = L.Trainer(logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False)
    trainer.fit(model, data)
    return model.measure_errors(data)["u"]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("flux", ["residual", None])
def test_a_run_is_loaded_again(tmp_path, flux):
    problem = Tiled(MultiscalePoisson(octaves=1), [3], flux=flux)
    tiles = partial(Tiles, grid=[3], network=HIDDEN)
    model = PINN(problem, tiles, phases=[Phase(torch.optim.Adam, steps=2)], compile=False)
    trainer = L.Trainer(
        max_epochs=-1, logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False
    )
    trainer.fit(model, CollocationDataModule(problem, points=20, evaluation_points=100))
    trainer.save_checkpoint(tmp_path / "run.ckpt")
    again, x = pinnlab.load(tmp_path / "run.ckpt"), torch.linspace(0, 1, 31, dtype=torch.float64)
    assert isinstance(again.problem, Tiled)
    assert again.problem.conditions["interfaces"].grid == (3,)
    torch.testing.assert_close(again.u(x=x), model.solution().u(x=x), rtol=0, atol=0)


UNCOUPLED = Problem(Interval("x", 0, 1), ["u"], {"pde": Residual(Interval("x", 0, 1), lambda u: u.xx + 1)})
LINE = Interval("x", 0, 1)
BAD = {
    "grid must list 2 numbers of tiles": lambda: Continuity(LINE * Interval("y", 0, 1), [2]),
    "grid: needs two or more along a coordinate": lambda: Continuity(LINE, [1]),
    "order: must be 0": lambda: Continuity(LINE, [2], order=-1),
    "unknowns: must be a list of names": lambda: Continuity(LINE, [2], unknowns="u"),
    "flux: must be a function": lambda: Continuity(LINE, [2], flux=[3]),
    "Continuity: domain must be a box": lambda: Continuity(Disk(), [2, 2]),
    "unknown in condition 'faces'": lambda: Problem(LINE, ["u"], {"faces": Continuity(LINE, [2], unknowns=["v"])}),
    "problem.problem: must be a Problem, got 'burgers'": lambda: Tiled("burgers", [2]),
    "problem.flux": lambda: Tiled(Poisson2D(), [2, 2], flux="slop"),
    "has a condition 'interfaces' already": lambda: Tiled(Tiled(Poisson2D(), [2, 2]), [2, 2]),
    "the network has no tiles; give it Tiles(grid=[2, 2])": lambda: PINN(Tiled(Poisson2D(), [2, 2])),
    "and the network has [3]; give it Tiles(grid=[2])": lambda: PINN(
        Tiled(MultiscalePoisson(), [2]), partial(Tiles, grid=[3])
    ),
    "nothing couples its tiles of grid [3]": lambda: PINN(MultiscalePoisson(), partial(Tiles, grid=[3])),
    "its domain must be that of the problem": lambda: PINN(
        Problem(LINE, ["u"], {"pde": UNCOUPLED.conditions["pde"], "faces": Continuity(Interval("x", 0, 0.5), [2])}),
        partial(Tiles, grid=[2]),
    ),
    "model.scale_inputs": lambda: PINN(Tiled(MultiscalePoisson(), [2]), partial(Tiles, grid=[2]), scale_inputs=False),
}


@pytest.mark.parametrize("message", BAD)
def test_bad_input_is_one_line(message):
    with pytest.raises(ConfigurationError) as caught:
        BAD[message]()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
