"""A trained solution as data of another problem: against formulas, with each engine; in runs; what is refused."""

import pickle
from functools import partial

import pytest
import torch
from formula import Formula
from known_solutions import InBox, OnDisk, bowl, waves
from refused import assert_refused_in_one_line
from training import quiet_trainer

from pinnlab import PINN, CollocationDataModule, Phase, load
from pinnlab.domains import Box, Interval
from pinnlab.networks import MLP
from pinnlab.objective.residuals import ResidualSystem
from pinnlab.objective.trial_function import Trial
from pinnlab.optimizers import LevenbergMarquardt
from pinnlab.problems import Dirichlet, Given, Problem, Residual
from pinnlab.problems.given import once_more
from pinnlab.problems.pointwise import check_pointwise
from pinnlab.samplers import Sobol
from pinnlab.solution import Solution

BOX = Interval("x", 0, 3) * Interval("t", 0, 2)
SQUARE = Box(["x", "y"], 0, 1)


class Sines(torch.nn.Module):
    """sin(x) exp(-t), by an operation that the Taylor engine has no rule for."""

    def __init__(self):
        super().__init__()
        self.factor = torch.nn.Parameter(torch.tensor(1.0, dtype=torch.float64))

    def forward(self, points):
        half = torch.special.sinc(points[:, 0] / torch.pi) * points[:, 0]  # sin(x)
        return (self.factor * half * torch.exp(-points[:, 1]))[:, None]


class Alone(Problem):
    def __init__(self):
        super().__init__(BOX, ["u"], {"pde": Residual(BOX, lambda u: u.t + u)})


def of_engine(engine):
    if engine == "taylor":
        return waves()["u"]
    return Solution(PINN(Alone(), Sines(), scale_inputs=False, engine="reverse"))


@pytest.mark.parametrize("engine", ["taylor", "reverse"])
@pytest.mark.parametrize("own", ["taylor", "reverse"])
def test_it_has_derivatives_in_residuals_and_expressions(engine, own):
    """For v = x t and w = sin(x) exp(-t)."""
    conditions = {
        "plain": Residual(BOX, lambda v, w: (w, w.x, w.xt, w.laplacian(), v * w)),
        "third": Residual(BOX, lambda v, w: w.xxt),
        "flux": Residual(BOX, lambda v, w: (w * v.x).d("x") + (w**2).d("t")),
        "wall": Dirichlet(BOX.boundary(), v=lambda w: w),
    }
    problem = Problem(BOX, ["v"], conditions, given=[Given("w", of_engine(engine))])
    check_pointwise(problem)
    points = Sobol().sample(BOX, 20, 1)
    x, t = points.T
    rows = dict.fromkeys(("plain", "third", "flux", "wall"), points)
    found = ResidualSystem(problem, Trial(problem, Formula(lambda x, t: x * t)), own).residuals(rows)
    w, w_x, options = x.sin() * torch.exp(-t), x.cos() * torch.exp(-t), {"rtol": 1e-10, "atol": 1e-10}
    torch.testing.assert_close(found["plain"], torch.stack([w, w_x, -w_x, -w, x * t * w], -1), **options)
    torch.testing.assert_close(found["third"][:, 0], w, **options)
    torch.testing.assert_close(found["flux"][:, 0], w_x * t - 2 * w**2, **options)
    torch.testing.assert_close(found["wall"][:, 0], x * t - w, **options)


def test_a_domain_of_more_coordinates_in_another_order():
    """x^2 + 3 y^2 of the solution's x and y, in a problem on y, t and x; and in its ansatz."""
    domain = Interval("y", 0, 1) * Interval("t", 0, 1) * Interval("x", 0, 2)

    class Moved(Problem):
        ansatz = staticmethod(lambda v, w: w + 0.0 * v)

    residual = Residual(domain, lambda v, w: (w, w.x, w.t, w.laplacian("x", "y"), v.xx))
    problem = Moved(domain, ["v"], {"pde": residual}, given=[Given("w", bowl(InBox()))])
    points = Sobol().sample(domain, 20, 1)
    y, _, x = points.T
    found = ResidualSystem(problem, Trial(problem, torch.nn.Linear(3, 1).double())).residuals({"pde": points})["pde"]
    ones = torch.ones_like(x)
    torch.testing.assert_close(found, torch.stack([x**2 + 3 * y**2, 2 * x, 0 * x, 8 * ones, 2 * ones], -1))
    (again,) = once_more(problem.given)
    torch.testing.assert_close(again.on(domain)(points), x**2 + 3 * y**2)


def squared(u):
    return u**2


def test_it_is_in_the_precision_of_the_points_and_can_be_pickled():
    solution = bowl(Problem(SQUARE, ["u"], {"pde": Residual(SQUARE, squared)}))
    data = pickle.loads(pickle.dumps(Given("w", solution).on(SQUARE)))
    points = Sobol().sample(SQUARE, 20, 1)
    exact = points[:, 0] ** 2 + 3 * points[:, 1] ** 2
    torch.testing.assert_close(data(points), exact, rtol=1e-15, atol=0)
    single = data(points.float())
    assert single.dtype == torch.float32
    torch.testing.assert_close(single, exact.float())


@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("engine", ["taylor", "reverse"])
def test_a_run_with_it_trains_only_its_own_network(engine, compiled, tmp_path):
    """v_t = w_t, v = w at first: so v is w."""
    given = of_engine(engine)
    conditions = {
        "pde": Residual(BOX, lambda v, w: v.t - w.t),
        "start": Dirichlet(BOX.face(t=0.0), v=lambda w: w),
    }

    def built():
        problem = Problem(BOX, ["v"], dict(conditions), given=[Given("w", given)])
        phases = [
            Phase(partial(torch.optim.Adam, lr=1e-2), steps=3, dtype="float32"),
            Phase(LevenbergMarquardt, steps=25),
        ]
        return PINN(problem, partial(MLP, hidden=[12]), phases, compile=compiled), CollocationDataModule(
            problem, points=150, evaluation_points=50
        )

    before = given(x=1.0, t=1.0)
    model, data = built()
    trainer = quiet_trainer()
    trainer.fit(model, data)
    assert given(x=1.0, t=1.0) == before
    assert not [name for name in model.state_dict() if name.endswith(".factor")]
    assert model.solution().v(x=1.0, t=1.0) == pytest.approx(before, abs=0.02)
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    again, data = built()
    quiet_trainer().fit(again, data, ckpt_path=tmp_path / "a.ckpt")
    assert again.solution().v(x=1.0, t=1.0) == model.solution().v(x=1.0, t=1.0)


def test_a_function_that_calls_a_solution_has_values():
    solution = bowl(InBox())
    residual = Residual(SQUARE, lambda v, w: v - w)
    problem = Problem(SQUARE, ["v"], {"pde": residual}, given=[Given("w", lambda x, y: solution.u(x=x, y=y))])
    model = PINN(problem, partial(MLP, hidden=[6]), [Phase(LevenbergMarquardt, steps=20)], compile=False)
    quiet_trainer().fit(model, CollocationDataModule(problem, points=60, evaluation_points=20))
    assert model.solution().v(x=0.5, y=0.5) == pytest.approx(1.0, abs=0.02)


class Carried(Problem):
    """v_t = w_t, and keeps what it was given."""

    def __init__(self, flow):
        self.flow = flow
        super().__init__(BOX, ["v"], {"pde": Residual(BOX, lambda v, w: v.t - w.t)}, given=[Given("w", flow)])


def test_a_problem_that_keeps_a_solution_goes_on_with_a_loaded_one(tmp_path):
    """Whose engine nobody has asked for yet, as that of one which was trained."""
    network, checkpoint = partial(MLP, hidden=[4]), tmp_path / "a.ckpt"

    def trained(problem, **options):
        model = PINN(problem, network, [Phase(partial(torch.optim.Adam, lr=1e-2), steps=2)], compile=False)
        trainer = quiet_trainer()
        trainer.fit(model, CollocationDataModule(problem, points=20, evaluation_points=20), **options)
        trainer.save_checkpoint(checkpoint)
        return model

    first = trained(Alone()).solution()
    loaded = load(checkpoint, problem=Alone(), network=network)
    assert loaded.u(x=1.0, t=1.0) == first.u(x=1.0, t=1.0)
    model = trained(Carried(first))
    again = trained(Carried(loaded), ckpt_path=checkpoint)
    assert again.solution().v(x=1.0, t=1.0) == model.solution().v(x=1.0, t=1.0)
    assert again.problem.flow.u(x=1.0, t=1.0) == first.u(x=1.0, t=1.0)


def posed(source, domain=SQUARE):
    return Problem(domain, ["v"], {"pde": Residual(domain, lambda v, w: v - w.x)}, given=[Given("w", source)])


BAD = {
    "several": (lambda: posed(waves(), BOX), "has u, v; give one of them, as solution['u']"),
    "derivative": (lambda: posed(waves().derivative("u", "x"), BOX), "must be an unknown of a solution, not u by x"),
    "coordinates": (lambda: posed(waves().u), "u of TwoWaves depends on t, and the coordinates are x, y"),
    "too small": (lambda: posed(bowl(InBox()), Box(["x", "y"], 0, 2)), "its y goes from 0 to 1, which leaves out"),
    "in a function": (
        lambda: posed(lambda x, y: bowl(OnDisk()).u(x=x, y=y)),
        "give it the solution itself, as Given('w', solution.w)",
    ),
    "neither": (lambda: Given("w", 3.0), "or a trained solution, got float"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_that_says_what_to_give(case):
    assert_refused_in_one_line(*BAD[case])


def test_it_says_what_it_is():
    assert repr(Given("w", bowl(InBox()))) == "Given('w', a trained solution)"
