"""A union of domains does everywhere what a domain does: training, adaptive points, weights, figures, diagnosis."""

import functools
import math

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
    LossBalancing,
    NTKSpectrum,
    ResidualAddition,
    ResidualAttention,
    ResidualResampling,
    RetainResample,
    SolutionFigures,
)
from pinnlab.domains import Box, Interval, Union
from pinnlab.errors import ConfigurationError
from pinnlab.networks import MLP, ScaledInput
from pinnlab.objective.balancing import GradientNorm
from pinnlab.objective.residuals import ResidualSystem, Trial
from pinnlab.optimizers import LBFGS
from pinnlab.problems import Dirichlet, Exact, Periodic, Problem, Residual
from pinnlab.reporting.loggers import LogScaleTensorBoardLogger
from pinnlab.samplers import Sobol
from pinnlab.training.datamodule import CollocationDataModule
from pinnlab.training.phases import Phase

pytestmark = pytest.mark.filterwarnings("ignore")

CORNER = Union([Box(["x", "y"], [0, 0], [2, 1]), Box(["x", "y"], [0, 1], [1, 2])])
TIME = Interval("t", 0, 1)


class Corner(Problem):
    """Laplace's equation on an L, with the solution xy + x^2 - y^2 around it."""

    def __init__(self, domain=CORNER, **options):
        conditions = {
            "pde": Residual(CORNER, lambda u: u.laplacian(), **options),
            "boundary": Dirichlet(CORNER.boundary(), u=self.solution, weight=10.0),
        }
        super().__init__(domain, ("u",), conditions)

    def solution(self, x, y):
        return x * y + x**2 - y**2

    def reference(self):
        return Exact(self.solution)


class WarmCorner(Problem):
    """Heat on an L over time."""

    def __init__(self):
        domain = CORNER * TIME
        conditions = {
            "pde": Residual(domain, lambda u: u.t - u.laplacian()),
            "wall": Dirichlet(domain.boundary("x", "y"), u=0.0),
            "start": Dirichlet(domain.face(t=0.0), u=lambda x, y: x * y),
        }
        super().__init__(domain, ("u",), conditions)


class TwoRods(Problem):
    """Transport on two intervals with a gap between them, over time: a union in a product of two coordinates."""

    def __init__(self):
        domain = Union([Interval("x", 0, 1), Interval("x", 2, 3)]) * TIME
        conditions = {
            "pde": Residual(domain, lambda u: u.t + u.x),
            "start": Dirichlet(domain.face(t=0.0), u=lambda x: torch.sin(math.pi * x)),
        }
        super().__init__(domain, ("u",), conditions)

    def reference(self):
        return Exact(lambda x, t: torch.sin(math.pi * (x - t)))


PROBLEMS = [Corner, WarmCorner, TwoRods, functools.partial(Corner, Box(["x", "y"], 0, 2))]


def fitted(problem, *callbacks, steps=30, logger=False, **options):
    module = small_module(problem, [Phase(ADAM, steps=steps)], **options)
    data = CollocationDataModule(problem, points=50, evaluation_points=300, held_out=20)
    trainer = quiet_trainer(callbacks=list(callbacks), logger=logger)
    trainer.fit(module, data)
    return module, data, trainer


@pytest.mark.parametrize("domain", [CORNER, Box(["x", "y"], 0, 2)], ids=repr)
def test_points_are_added_to_a_union(domain):
    """A residual in a union is a differential equation, also where the problem's domain is the box around it."""
    problem = Problem(domain, ("u",), {"pde": Residual(CORNER, lambda u: u.laplacian() - 1)})
    assert problem.differential_equations() == ["pde"]
    _, data, _ = fitted(problem, ResidualAddition(every=10, count=5))
    assert (data.store.version, len(data.store.rows["pde"])) == (3, 65)
    assert CORNER.contains(data.store.rows["pde"]).all()


CHANGES = {
    "fresh": functools.partial(FreshPoints, every=10),
    "rad": functools.partial(ResidualResampling, every=10, pool=200),
    "rad_by_slope": functools.partial(ResidualResampling, every=10, pool=200, score="residual_gradient"),
    "rar": functools.partial(ResidualAddition, every=10, count=5, greedy=True),
    "r3": functools.partial(RetainResample, every=10),
}


@pytest.mark.parametrize("make", PROBLEMS)
@pytest.mark.parametrize("change", CHANGES)
def test_adaptive_points_stay_in_the_union(change, make):
    problem = make()
    _, data, _ = fitted(problem, CHANGES[change]())
    assert data.store.version > 0
    assert problem.conditions["pde"].region.contains(data.store.points("pde")).all()
    assert len(torch.unique(data.store.points("pde"), dim=0)) > 40


def test_points_of_a_union_have_weights():
    _, data, _ = fitted(Corner(), ResidualAttention(every=5), LossBalancing(GradientNorm(), every=5))
    assert data.store.weighed == {"pde"}
    assert data.store.point_weights("pde").std() > 0
    _, data, _ = fitted(WarmCorner(), CausalWeights(every=5, tolerances=[1.0], chunks=4))
    assert data.store.point_weights("pde").unique().numel() == 4


def test_a_residual_in_a_union_can_be_enhanced():
    system = ResidualSystem(Corner(enhance=("x", "y")), Trial(Corner(), MLP(2, 1, hidden=[4]).double()))
    rows = {"pde": Sobol().sample(CORNER, 8, 0)}
    assert system.residuals(rows, enhanced=True)["pde"].shape == (8, 3)
    with pytest.raises(ConfigurationError, match="inside a domain"):
        Residual(CORNER.boundary(), lambda u: u, enhance=("x",))
    module, _, _ = fitted(Corner(), enhance={"pde": ["x"]})
    assert module.problem.name == "Corner"


@pytest.mark.parametrize("make", [Corner, TwoRods])
@pytest.mark.parametrize("count", [20_000, 500])
def test_evaluation_points_are_those_of_a_grid_in_the_union(make, count):
    problem = make()
    points = problem.evaluation_points(count)
    assert problem.domain.contains(points).all()
    assert 0.5 * count <= len(points) <= 1.2 * count
    sides = [len(column.unique()) for column in points.T]
    assert len(points) == pytest.approx(math.prod(sides) * (0.75 if make is Corner else 1.0), rel=0.05)


def test_a_thin_union_has_enough_evaluation_points():
    stairs = Union([Box(["x", "y"], k, k + 1) for k in range(8)])
    problem = Problem(stairs, ("u",), {"pde": Residual(stairs, lambda u: u.x)})
    assert len(problem.evaluation_points()) > 9_900
    assert stairs.contains(problem.evaluation_points()).all()


def test_inputs_are_scaled_from_the_box_around_a_union():
    scaled = small_module(Corner()).trial.network
    assert isinstance(scaled, ScaledInput)
    ends = torch.tensor([[0.0, 0.0], [2.0, 2.0]], dtype=torch.float64)
    assert torch.allclose(scaled(ends), scaled.network(torch.tensor([[-1.0, -1.0], [1.0, 1.0]], dtype=torch.float64)))


@pytest.mark.parametrize("make", [Corner, *(pytest.param(make, marks=pytest.mark.slow) for make in PROBLEMS[1:])])
@pytest.mark.usefixtures("rendered")
def test_everything_that_looks_on_works(make, tmp_path):
    watching = [FailureSignatures(every=5), NTKSpectrum(every=5, max_points=20)]
    logger = LogScaleTensorBoardLogger(tmp_path, name="", version="")
    module, data, _ = fitted(make(), *watching, FrequencyHistory(), SolutionFigures(), steps=10, logger=logger)
    look = watching[0].record.looks[-1]
    assert set(look.equations) == {"pde"}
    assert "pde" in look.ratios
    if module.problem.reference() is not None:
        assert module.measure_errors(data)["u"] > 0
        # Frequencies are told apart on the L as on a disk; on rods with a gap, where the grid is uneven, they are not.
        assert bool(module.errors.spectra) == (make is not TwoRods)
    assert {"training/points", "training/points/pde", "solution/u"} <= read_board(tmp_path).steps.keys()
    writer = DiagnosisWriter(str(tmp_path))
    quiet_trainer(callbacks=[writer]).validate(module, data, verbose=False)
    assert set(writer.result.kernel) == {*module.problem.conditions, "total"}


def test_a_problem_on_an_l_is_solved():
    problem = Corner()
    module = small_module(problem, [Phase(ADAM, steps=100), Phase(LBFGS, steps=30)])
    data = CollocationDataModule(problem, points={"pde": 200, "boundary": 120})
    quiet_trainer(val_check_interval=1000).fit(module, data)
    assert module.measure_errors(data)["u"] < 1e-2


def test_periodic_faces_of_a_union_must_be_copies_of_each_other():
    tower = Union([Box(["x", "y"], [0, 0], [2, 1]), Box(["x", "y"], [0, 1], [2, 2])])
    Problem(tower, ("u",), {"jump": Periodic(tower, "y", order=0)})
    with pytest.raises(ConfigurationError, match=r"y = 0 and y = 2 of .* are no copies"):
        Periodic(CORNER, "y")


def test_a_boundary_is_no_domain_of_a_problem():
    with pytest.raises(ConfigurationError, match="domain is a boundary"):
        Problem(CORNER.boundary(), ("u",), {"pde": Residual(CORNER, lambda u: u.x)})
