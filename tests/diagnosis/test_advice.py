"""Which row of the table of optimizers a set-up is in."""

import functools
from pathlib import Path

import cases
import pytest
import torch
from torch import nn
from training import quiet_trainer, small_data, small_module

from pinnlab import PINN
from pinnlab.callbacks import DiagnosisWriter
from pinnlab.diagnosis.advice import KINDS, MEDIUM, SMALL, SetUp, set_up_of
from pinnlab.domains import Interval
from pinnlab.networks import MLP
from pinnlab.problems import Exact, Problem, Residual, Unknown

DOCS = Path(__file__).parents[2] / "docs"
NONLINEAR = ("burgers", "allen_cahn_periodic", "reaction", "kovasznay", "cavity", "gray_scott_soft", "lorenz")
LINEAR = ("poisson2d", "heat", "wave_exact", "biharmonic1d_clamped", "elasticity", "interface", "convection_soft")
STEEP = {"poisson1d_exact": 3**0.5, "poisson5d_sines": 2**0.5, "convection_soft": 2**0.5}
"""By hand: the root of 2 for a sine, with its largest slope at a point; in 1-D sin(pi x) + sin(2 pi x) / 2."""
SHARP = {
    "burgers": True,
    "front": True,
    "allen_cahn_periodic": True,
    "heat": False,
    "poisson2d": False,
    "kdv_soft": False,
}


def module_of(name, network=MLP, **options):
    return PINN(cases.PROBLEMS[name](), functools.partial(network, **(options or {"hidden": [6, 6]})), compile=False)


class Half(Problem):
    """A sine, and a line that lives on the left half only."""

    def __init__(self):
        x = Interval("x", 0, 2)
        left = Interval("x", 0, 1)
        conditions = {"u": Residual(x, lambda u: u.xx), "p": Residual(left, lambda p: p.xx)}
        super().__init__(x, {"u": Unknown(), "p": Unknown(on=left)}, conditions)

    def reference(self):
        return Exact(lambda x: (torch.sin(2 * torch.pi * x), x))


def test_steepness_stays_in_the_domain():
    """The reference of the step has no values in the step, next to which there are evaluation points."""
    assert set_up_of(module_of("backward_step")).linear is False


@pytest.mark.parametrize("name", LINEAR)
def test_a_linear_problem_is_known(name):
    assert set_up_of(module_of(name)).linear is True


@pytest.mark.parametrize("name", NONLINEAR)
def test_a_problem_that_is_not_linear_is_known(name):
    assert set_up_of(module_of(name)).linear is False


def test_linear_is_not_known_without_a_linear_last_layer_and_an_unknown_coefficient_is_not_linear():
    assert (
        set_up_of(
            PINN(
                cases.PROBLEMS["poisson2d"](), nn.Sequential(nn.Linear(2, 5), nn.Tanh(), nn.Linear(5, 1)), compile=False
            )
        ).linear
        is None
    )
    assert set_up_of(module_of("pendulum")).linear is False


def test_looking_leaves_the_network_and_the_generators_as_they_are():
    module, state = module_of("burgers"), torch.get_rng_state()
    before = {name: t.clone() for name, t in module.trial.tensors().items()}
    set_up_of(module)
    assert all(torch.equal(before[name], t) for name, t in module.trial.tensors().items())
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(("name", "ratio"), STEEP.items())
def test_steepness_is_that_of_the_slopes(name, ratio):
    x = torch.linspace(0, 1, 2001, dtype=torch.float64)
    if name == "poisson1d_exact":
        problem = cases.PROBLEMS[name]()
        u = problem.reference_values(x[:, None])[:, 0]
        slopes = torch.gradient(u, spacing=(x,))[0]
        ratio = float(slopes.abs().max() / slopes.square().mean().sqrt())
    assert set_up_of(module_of(name)).steepness == pytest.approx(ratio, rel=0.03)


@pytest.mark.parametrize(("name", "sharp"), SHARP.items())
def test_fronts_are_told_from_smooth_solutions(name, sharp):
    assert ("sharp layers, fronts" in set_up_of(module_of(name)).kinds()) is sharp


@pytest.mark.parametrize(
    ("set_up", "kinds"),
    [
        (SetUp(500, 1, 1, True, 2.0, False), ["one coordinate"]),
        (SetUp(500, 1, 3, False, None, False), ["one coordinate", "sharp layers, fronts"]),
        (SetUp(500, 1, 1, False, 2.0, True), ["an energy"]),
        (SetUp(500, 2, 1, True, 2.0, False), ["linear, smooth, up to 3 coordinates"]),
        (SetUp(500, 4, 1, True, 2.0, False), ["smooth solution"]),
        (SetUp(500, 2, 1, False, None, False), ["smooth solution", "sharp layers, fronts"]),
        (SetUp(500, 2, 1, None, 12.0, False), ["sharp layers, fronts"]),
        (SetUp(500, 2, 3, False, 2.0, False), ["several unknowns"]),
        (SetUp(500, 2, 3, False, 16.0, False), ["several unknowns", "sharp layers, fronts"]),
        (SetUp(500, 10, 1, True, 2.0, False), ["many coordinates"]),
        (SetUp(500, 2, 1, False, 2.0, True), ["an energy"]),
        (SetUp(500, 10, 1, False, 2.0, False, True), ["an operator"]),
    ],
)
def test_rows_of_the_table(set_up, kinds):
    assert set_up.kinds() == kinds
    assert [line.split(", 500 parameters: ")[0] for line in set_up.advice()] == kinds


@pytest.mark.parametrize(("parameters", "column"), [(SMALL, 0), (SMALL + 1, 1), (MEDIUM, 1), (MEDIUM + 1, 2)])
def test_columns_of_the_table(parameters, column):
    (line,) = SetUp(parameters, 2, 1, False, 2.0, False).advice()
    assert line.endswith(KINDS["smooth solution"][column].replace("`", ""))


def test_an_operator_and_an_unknown_of_a_part_of_the_domain_are_looked_at():
    assert set_up_of(module_of("antiderivative")).kinds() == ["an operator"]
    assert set_up_of(PINN(Half(), functools.partial(MLP, hidden=[4]), compile=False)).steepness == pytest.approx(
        2**0.5, rel=0.03
    )


def test_the_page_has_the_same_table():
    lines = (DOCS / "how-to-choose.md").read_text().splitlines()
    for kind, cells in KINDS.items():
        assert f"| {kind} | {' | '.join(cells)} |" in lines, kind


@pytest.mark.filterwarnings("ignore")
def test_a_diagnosis_says_it(tmp_path, capsys):
    module, writer = small_module(cases.PROBLEMS["poisson2d"]()), DiagnosisWriter(str(tmp_path))
    quiet_trainer(callbacks=[writer]).validate(module, small_data(module.problem, points=20), verbose=False)
    assert [line.split(":")[0] for line in writer.result.advice] == [
        f"linear, smooth, up to 3 coordinates, {writer.result.parameters} parameters"
    ]
    assert "RandomFeatures, LeastSquares" in " ".join(capsys.readouterr().out.split())
