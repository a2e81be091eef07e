"""Problems on general regions: training, adaptive points, weights, errors, frequencies, figures, exact resume."""

import functools
import math

import numpy as np
import pytest
import torch
from board import read_board
from training import ADAM, quiet_trainer, small_module

from pinnlab.callbacks import (
    CausalWeights,
    DiagnosisWriter,
    FailureSignatures,
    FrequencyHistory,
    FreshPoints,
    NTKSpectrum,
    ResidualAddition,
    ResidualAttention,
    ResidualResampling,
    RetainResample,
    SolutionFigures,
)
from pinnlab.domains import Ball, Box, Disk, Interval, Mesh
from pinnlab.optimizers import LBFGS
from pinnlab.problems import Dirichlet, Exact, Neumann, Problem, Residual
from pinnlab.reporting.loggers import LogScaleTensorBoardLogger
from pinnlab.training.datamodule import CollocationDataModule
from pinnlab.training.phases import Phase

pytestmark = pytest.mark.filterwarnings("ignore")

SQUARE = Box(["x", "y"], -0.5, 0.5)
HOLES = [Disk(center=(a, b), radius=0.1) for a in (-0.3, 0.3) for b in (-0.3, 0.3)]


class Perforated(Problem):
    """PINNacle's Poisson2d-C: Laplace's equation on a square without four disks."""

    def __init__(self):
        domain = functools.reduce(lambda rest, hole: rest - hole, HOLES, SQUARE)
        conditions = {
            "pde": Residual(domain, lambda u: u.laplacian()),
            "outside": Dirichlet(domain.boundary(on=SQUARE), u=1.0),
            "circles": Dirichlet(domain.boundary(on=HOLES), u=0.0),
        }
        super().__init__(domain, ("u",), conditions)


class Flow(Problem):
    """A harmonic function, given on the square and by its slope on the holes."""

    def __init__(self):
        domain = SQUARE - HOLES[0] - HOLES[3]
        conditions = {
            "pde": Residual(domain, lambda u: u.laplacian()),
            "outside": Dirichlet(domain.boundary(on=SQUARE), u=self.solution, weight=10.0),
            "holes": Neumann(domain.boundary(on=HOLES[:1] + HOLES[3:]), u=self.slope),
        }
        super().__init__(domain, ("u",), conditions)

    def solution(self, x, y):
        return x * y + x**2 - y**2

    def slope(self, x, y, normal):
        return normal[:, 0] * (y + 2 * x) + normal[:, 1] * (x - 2 * y)

    def reference(self):
        return Exact(self.solution)


class WarmPlate(Problem):
    """Heat on a plate with a hole over time."""

    def __init__(self):
        plate = SQUARE - Disk(radius=0.2)
        domain = plate * Interval("t", 0, 1)
        conditions = {
            "pde": Residual(domain, lambda u: u.t - u.laplacian()),
            "hole": Neumann(domain.boundary("x", "y", on=Disk(radius=0.2)), u=0.0),
            "rim": Dirichlet(domain.boundary("x", "y", on=SQUARE), u=0.0),
            "start": Dirichlet(domain.face(t=0.0), u=lambda x, y: x * y),
        }
        super().__init__(domain, ("u",), conditions)


class Cheese(Problem):
    """Laplace's equation on a cube without a ball: points by rejection."""

    def __init__(self):
        cube, ball = Box(["x", "y", "z"], 0, 1), Ball(["x", "y", "z"], 0.5, 0.25)
        domain = cube - ball
        conditions = {
            "pde": Residual(domain, lambda u: u.laplacian()),
            "rim": Dirichlet(domain.boundary(on=cube), u=self.solution),
            "ball": Neumann(domain.boundary(on=ball), u=lambda x, y, normal: normal[:, 0] * y + normal[:, 1] * x),
        }
        super().__init__(domain, ("u",), conditions)

    def solution(self, x, y, z):
        return x * y

    def reference(self):
        return Exact(self.solution)


class Body(Problem):
    """Laplace's equation in an octahedron of triangles, with a part of its surface by where it is."""

    def __init__(self):
        corners = [[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]]
        upper, lower = ([[0, 2], [2, 1], [1, 3], [3, 0]], 4), ([[2, 0], [1, 2], [3, 1], [0, 3]], 5)
        body = Mesh(["x", "y", "z"], corners, [[*side, top] for sides, top in (upper, lower) for side in sides])
        conditions = {
            "pde": Residual(body, lambda u: u.laplacian()),
            "upper": Dirichlet(body.boundary(where=lambda z: z > 0), u=lambda x, y: x * y),
            "lower": Neumann(body.boundary(where=lambda z: z <= 0), u=lambda x, y, normal: normal[:, 0] * y),
        }
        super().__init__(body, ("u",), conditions)


PROBLEMS = [Body, Perforated, Flow, WarmPlate, Cheese]


def fitted(problem, *callbacks, steps=30, logger=False, resume=None, **options):
    module = small_module(problem, [Phase(ADAM, steps=steps)], **options)
    data = CollocationDataModule(problem, points=50, evaluation_points=300, held_out=20)
    trainer = quiet_trainer(callbacks=list(callbacks), logger=logger)
    trainer.fit(module, data, ckpt_path=resume)
    return module, data, trainer


CHANGES = {
    "fresh": functools.partial(FreshPoints, every=10),
    "rad": functools.partial(ResidualResampling, every=10, pool=200),
    "rar": functools.partial(ResidualAddition, every=10, count=5, greedy=True),
    "r3": functools.partial(RetainResample, every=10),
}


PAIRS = [
    pytest.param(change, make, marks=[] if (i + j) % 4 == 0 else pytest.mark.slow)
    for i, change in enumerate(CHANGES)
    for j, make in enumerate(PROBLEMS)
]
"""Each change and each problem always, all of their pairs on demand."""


@pytest.mark.parametrize(("change", "make"), PAIRS)
def test_adaptive_points_stay_in_the_region(change, make):
    problem = make()
    _, data, _ = fitted(problem, CHANGES[change]())
    assert data.store.version > 0
    assert problem.conditions["pde"].region.contains(data.store.points("pde")).all()
    assert len(torch.unique(data.store.points("pde"), dim=0)) > 40


@pytest.mark.parametrize("make", PROBLEMS)
def test_a_resumed_run_draws_the_same_points(make, tmp_path):
    whole, data, _ = fitted(make(), FreshPoints(every=4), steps=20)
    _, _, trainer = fitted(make(), FreshPoints(every=4), steps=10)
    trainer.save_checkpoint(tmp_path / "half.ckpt")
    resumed, again, _ = fitted(make(), FreshPoints(every=4), steps=20, resume=tmp_path / "half.ckpt")
    for name, rows in data.store.rows.items():
        assert torch.equal(rows, again.store.rows[name]), name
    for one, other in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(one, other)


def test_points_have_weights():
    _, data, _ = fitted(Perforated(), ResidualAttention(every=5))
    assert data.store.point_weights("pde").std() > 0
    _, data, _ = fitted(WarmPlate(), CausalWeights(every=5, tolerances=[1.0], chunks=4))
    assert data.store.point_weights("pde").unique().numel() == 4


ON_DEMAND = [pytest.param(make, marks=pytest.mark.slow) for make in PROBLEMS if make is not Flow]


@pytest.mark.parametrize("make", [Flow, *ON_DEMAND])
@pytest.mark.usefixtures("rendered")
def test_everything_that_looks_on_works(make, tmp_path):
    watching = [FailureSignatures(every=5), NTKSpectrum(every=5, max_points=20)]
    logger = LogScaleTensorBoardLogger(tmp_path, name="", version="")
    module, data, _ = fitted(make(), *watching, FrequencyHistory(), SolutionFigures(), steps=10, logger=logger)
    assert set(watching[0].record.looks[-1].equations) == {"pde"}
    if module.problem.reference() is not None:
        assert module.measure_errors(data)["u"] > 0
        assert bool(module.errors.spectra) == (len(module.problem.coordinates) == 2)
    assert {"training/points", "training/points/pde", "solution/u"} <= read_board(tmp_path).steps.keys()
    writer = DiagnosisWriter(str(tmp_path))
    quiet_trainer(callbacks=[writer]).validate(module, data, verbose=False)
    assert set(writer.result.kernel) == {*module.problem.conditions, "total"}


@pytest.mark.parametrize("make", PROBLEMS)
def test_evaluation_points_grids_and_figures_leave_out_the_holes(make):
    problem = make()
    points = problem.evaluation_points(2000)
    assert problem.domain.contains(points).all()
    assert len(points) >= 1000
    assert problem.plot(50).axes
    solution = small_module(problem, [Phase(ADAM, steps=1)]).solution()
    samples = solution.grid(**dict.fromkeys(problem.coordinates, 11))
    values = samples["u"].to_numpy()
    places = np.stack(np.meshgrid(*(samples[name] for name in problem.coordinates), indexing="ij"), -1)
    inside = problem.domain.contains(torch.from_numpy(places.reshape(-1, values.ndim))).numpy().reshape(values.shape)
    assert 0 < inside.sum() < inside.size
    assert np.array_equal(np.isfinite(values), inside)


def test_a_problem_with_holes_is_solved():
    problem = Flow()
    module = small_module(problem, [Phase(ADAM, steps=100), Phase(LBFGS, steps=40)])
    data = CollocationDataModule(problem, points={"pde": 200, "outside": 80, "holes": 40})
    quiet_trainer(val_check_interval=1000).fit(module, data)
    assert module.measure_errors(data)["u"] < 2e-2


def test_the_measure_counts_in_evaluation_grids():
    assert Perforated().domain.measure == pytest.approx(1 - 0.04 * math.pi, rel=1e-13)
