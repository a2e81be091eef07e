"""Unknowns that depend on some coordinates, live on a part of the domain, and have networks of their own."""

from functools import partial

import numpy as np
import pytest
import torch
from terms import TERMS, T, X
from training import quiet_trainer, small_data, small_module

from pinnlab import PINN, Phase
from pinnlab.derivatives import Wanted, partials
from pinnlab.domains import Box
from pinnlab.errors import ConfigurationError
from pinnlab.networks import MLP, SIREN, ScaledInput
from pinnlab.optimizers import LevenbergMarquardt
from pinnlab.problems import Dirichlet, Exact, Numerical, Observations, Periodic, Problem, Residual, Unknown

POINTS = torch.rand(9, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
HALF = Box(("x", "t"), (0.0, 0.0), (0.5, 1.0))
NETWORKS = {"q": MLP, "u": partial(MLP, hidden=[4]), "k": partial(SIREN, hidden=[3])}


def problem():
    return TERMS["own_unknowns"]()


def halves():
    """A function on the left half and one on the whole."""
    conditions = {"left": Residual(HALF, lambda u, v: u.x - v), "all": Residual(X * T, lambda v: v.t)}
    return Problem(X * T, {"u": Unknown(on=HALF), "v": Unknown()}, conditions)


@pytest.mark.parametrize("engine", ["taylor", "reverse"])
def test_derivatives_by_coordinates_that_an_unknown_has_not_are_zero(engine):
    trial = small_module(problem()).trial
    found = partials(trial, POINTS, Wanted(frozenset({(0,), (1,), (0, 1), (1, 1)})), engine=engine).partials
    assert not found[(1,)][:, 2].any()
    assert not found[(0, 1)][:, 2].any()
    assert found[(0,)][:, 2].abs().min() > 0
    assert found[(1,)][:, :2].abs().min() > 0


def test_values_are_those_of_the_networks_on_their_coordinates():
    module = PINN(problem(), NETWORKS, compile=False)
    q, u, k = module.trial.network.parts
    assert [type(part.network) for part in (q, u, k)] == [MLP, MLP, SIREN]
    scaled = 2 * POINTS - 1
    expected = torch.cat([q.network(scaled), u.network(scaled), k.network(scaled[:, :1])], 1)
    torch.testing.assert_close(module(POINTS), expected)


def test_measurements_without_a_coordinate_are_told_that_any_value_of_it_will_do():
    """Of an unknown that does not depend on it: the residual is the same at all."""
    places = POINTS[:, :1]
    unknowns, equation = {"u": Unknown(), "k": Unknown(["x"])}, Residual(X * T, lambda u, k: u.t - k)
    with pytest.raises(ConfigurationError, match=r"coordinates x, t; of one .* any value in the domain will do$"):
        Problem(X * T, unknowns, {"pde": equation, "data": Observations(places, k=places[:, 0])})
    found_at = []
    for time in (0.0, 1.0):
        rows = torch.cat([places, torch.full_like(places, time)], 1)
        made = Problem(X * T, unknowns, {"pde": equation, "data": Observations(rows, k=places[:, 0])})
        module = PINN(made, NETWORKS["u"], compile=False)
        found_at.append(module.system.residuals({"data": made.conditions["data"].rows(rows)})["data"])
    torch.testing.assert_close(*found_at, rtol=0, atol=0)


def test_unknowns_that_are_alike_share_a_network():
    conditions = {"pde": Residual(X * T, lambda u, v, k: u.t - k * v.x)}
    made = Problem(X * T, {"u": Unknown(), "k": Unknown(["x"]), "v": Unknown(coordinates=["t", "x"])}, conditions)
    parts = PINN(made, partial(MLP, hidden=[5]), compile=False).trial.network.parts
    assert [part.network.last.out_features for part in parts] == [2, 1]
    assert [part.network.hidden[0].in_features for part in parts] == [2, 1]


def test_a_network_on_a_part_of_the_domain_is_scaled_to_it():
    left, whole = PINN(halves(), compile=False).trial.network.parts
    assert isinstance(left, ScaledInput)
    torch.testing.assert_close(1 / left.scale, torch.tensor([0.25, 0.5], dtype=torch.float64))
    torch.testing.assert_close(1 / whole.scale, torch.tensor([0.5, 0.5], dtype=torch.float64))


def test_errors_are_of_where_an_unknown_lives_and_is_known():
    made = halves()
    made.reference = lambda: Exact(lambda x, t: (1 + x, 2 + t))
    points = made.evaluation_points(2000)
    values = made.reference_values(points)
    inside = points[:, 0] <= 0.5 + 1e-9
    assert torch.equal(values[:, 0].isnan(), ~inside)
    solution = PINN(made, compile=False).solution()
    difference, exact = (solution(points)[:, 0] - 1 - points[:, 0])[inside], 1 + points[inside, 0]
    assert solution.errors(2000)["u"] == pytest.approx(float(difference.norm() / exact.norm()), rel=1e-12)
    made.reference = lambda: Numerical(lambda points: 2 + points[:, 1], unknowns=["v"])
    assert set(solution.errors(2000)) == {"v"}
    assert made.reference_values(points)[:, 0].isnan().all()


@pytest.mark.filterwarnings("ignore")
def test_metrics_of_a_run_are_those_of_unknowns_with_a_reference():
    module = small_module(problem(), [Phase(LevenbergMarquardt, steps=3)])
    trainer = quiet_trainer()
    data = small_data(module.problem)
    trainer.fit(module, data)
    found = {tag: float(value) for tag, value in trainer.validate(module, data, verbose=False)[0].items()}
    assert {tag for tag in found if tag.startswith("relative_l2")} == {"relative_l2/u", "relative_l2/k"}
    errors = module.measure_errors(data)
    assert set(errors) == {"u", "k"}
    assert found["relative_l2/k"] == pytest.approx(errors["k"], rel=1e-12)


def test_a_grid_has_values_where_an_unknown_lives():
    solution = PINN(problem(), NETWORKS, compile=False).solution()
    grid = solution.grid(x=5, t=4)
    assert set(grid.data_vars) == {"q", "u", "k", "reference_u", "reference_k"}
    assert np.isfinite(grid.q[0]).all()
    assert np.isnan(grid.q[1:]).all()
    assert (grid.k == grid.k[:, :1]).all()
    assert solution.k(x=0.25) == pytest.approx(float(grid.k[1, 0]), rel=1e-12)
    assert "a function of x" in repr(solution.k)


def test_figures_are_over_the_coordinates_that_an_unknown_has():
    solution = PINN(problem(), NETWORKS, compile=False).solution()
    axes = {name: solution.plot(name, 200).axes for name in ("u", "k", "q")}
    assert [axes[name][-1].get_xlabel() for name in ("k", "q")] == ["x", "t"]
    assert axes["u"][0].get_ylabel() == "t"
    assert len(axes["k"]) == 2  # beside the error
    assert len(axes["q"]) == 1  # no reference


def test_a_face_of_a_solid_has_evaluation_points():
    cube = Box(("x", "y", "z"), 0, 1)
    face = cube.face(z=1.0)
    conditions = {"pde": Residual(cube, lambda u: u.laplacian()), "top": Residual(face, lambda u, p: u.z - p)}
    made = Problem(cube, {"u": Unknown(), "p": Unknown(on=face)}, conditions)
    points = made.evaluation_points(1000)
    assert made.living["p"].lives_at(points).sum() == 1000
    assert len(points) == 2000


def test_what_is_masked_may_use_an_unknown_beyond_its_region():
    def one(u, v, x):
        return torch.where(x <= 0.5, u.value, v.value) - 1

    Problem(X * T, {"u": Unknown(on=HALF), "v": Unknown()}, {"one": Residual(X * T, one)})


def _problem(unknowns, **conditions):
    return Problem(X * T, unknowns, conditions or {"pde": Residual(X * T, lambda u: u.t)})


LEFT = (X * T).face(x=0.0)
BAD = {
    "unknown coordinate of unknown 'u' 'y'": lambda: _problem({"u": Unknown(["y"])}),
    "unknown 'u': coordinates: must be a list of names; write \\['x'\\]": lambda: _problem({"u": Unknown("x")}),
    "what depends on none is a Coefficient": lambda: _problem({"u": Unknown([])}),
    "'u' must be an Unknown, got 3": lambda: _problem({"u": 3}),
    "on must be a part of the domain, got int": lambda: _problem({"u": Unknown(on=3)}),
    "is no part of the domain": lambda: _problem({"u": Unknown(on=X)}),
    "on=.* is no part of the domain": lambda: _problem({"u": Unknown(on=Box(("x", "t"), 0, 2))}),
    "condition 'pde': uses u where it does not live": lambda: _problem({"u": Unknown(on=LEFT)}),
    "condition 'far': uses u where": lambda: _problem(
        {"u": Unknown(on=HALF)}, far=Dirichlet((X * T).face(x=1.0), u=0.0)
    ),
    "condition 'loop': uses u where": lambda: _problem({"u": Unknown(on=HALF)}, loop=Periodic(X * T, "x")),
    "condition 'form': uses u where": lambda: _problem(
        {"u": Unknown(on=HALF)}, form=Residual(X * T, lambda u, x: (x * u.x).d("x"))
    ),
    "unknown unknown in the reference of Problem 'w'": lambda: _with_reference(unknowns=["w"]).reference_values(POINTS),
    "names no network for q": lambda: PINN(problem(), {"u": MLP, "k": MLP}),
    "unknown unknown in model.network 'w'": lambda: PINN(problem(), {**NETWORKS, "w": MLP}),
    "model.network.k: must be a Module": lambda: PINN(problem(), {**NETWORKS, "k": 3}),
    "unknown k depends on t, and its coordinates are x": lambda: PINN(problem(), MLP(2, 3, hidden=[4]).double()),
}


def _with_reference(**options):
    made = problem()
    made.reference = lambda: Exact(lambda x: x, **options)
    return made


@pytest.mark.parametrize("phrase", BAD)
def test_bad_input_is_refused_in_one_line(phrase):
    with pytest.raises(ConfigurationError, match=phrase) as caught:
        BAD[phrase]()
    assert "\n" not in str(caught.value)
