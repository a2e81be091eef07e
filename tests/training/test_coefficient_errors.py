"""Standard errors of coefficients against a fit of the solved equation, by another library."""

import json
import math
from functools import partial

import numpy as np
import pytest
import torch
from lightning.pytorch.loggers import CSVLogger
from scipy.optimize import curve_fit
from training import quiet_trainer

from pinnlab import PINN, CollocationDataModule, Phase
from pinnlab.domains import Interval
from pinnlab.networks import MLP
from pinnlab.optimizers import LevenbergMarquardt
from pinnlab.problems import Coefficient, Observations, Problem, Residual
from pinnlab.training import coefficient_errors as file
from pinnlab.training.coefficient_errors import coefficient_errors
from pinnlab.training.run_summary import RunSummary

TIMES = np.linspace(0, 2, 40)
VALUES = 3 * np.exp(-1.7 * TIMES) + 0.05 * np.random.default_rng(0).standard_normal(40)


def decay(bounds=(0.0, 10.0), count=40, known=False):
    t = Interval("t", 0, 2)
    data = {"data": Observations(TIMES[:count, None], weight=0.01, u=VALUES[:count])}
    return Problem(
        t,
        ["u"],
        {"ode": Residual(t, lambda u, k: u.t + k * u), **({} if known else data)},
        coefficients={"k": Coefficient(1.0, bounds)},
    )


def trained(problem, tmp_path=None, steps=60):
    model = PINN(problem, partial(MLP, hidden=[10, 10]), phases=[Phase(LevenbergMarquardt, steps=steps)], compile=False)
    data = CollocationDataModule(problem, points={"ode": 80}, evaluation_points=20)
    options = {} if tmp_path is None else {"logger": CSVLogger(tmp_path), "callbacks": [RunSummary()]}
    quiet_trainer(**options).fit(model, data)
    return model


@pytest.mark.parametrize("bounds", [(0.0, 10.0), None])
def test_they_are_those_of_a_fit_of_the_solution(bounds):
    model = trained(decay(bounds))
    best, covariance = curve_fit(lambda t, a, k: a * np.exp(-k * t), TIMES, VALUES, p0=[2.0, 1.0])
    error = coefficient_errors(model)["k"]
    assert error == pytest.approx(np.sqrt(covariance[1, 1]), rel=0.01)
    assert model.system.coefficient_values()["k"].item() == pytest.approx(best[1], abs=0.1 * error)


def test_the_summary_tells_them(tmp_path, capsys):
    model = trained(decay(), tmp_path)
    (path,) = tmp_path.rglob("summary.json")
    found = json.loads(path.read_text())["standard_errors"]
    assert found == pytest.approx(coefficient_errors(model))
    assert f"± {found['k']:.2g}" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("problem", [decay(count=2), decay(known=True)])
def test_where_the_noise_cannot_be_told_there_are_none(problem):
    assert coefficient_errors(trained(problem, steps=30)) == {}


def test_a_large_network_has_none_and_float32_has_them(monkeypatch):
    model = trained(decay(), steps=30)
    exact = coefficient_errors(model)["k"]
    model.float()
    assert coefficient_errors(model)["k"] == pytest.approx(exact, rel=1e-3)
    monkeypatch.setattr(file, "MOST_PARAMETERS", 100)
    assert coefficient_errors(model) == {}
    assert torch.get_default_dtype() == torch.float32


@pytest.mark.filterwarnings("ignore:coefficient 'b' is in no condition")  # said before the run as well
@pytest.mark.parametrize("rate", [lambda a, b: a * b, lambda a, b: a])
def test_what_data_do_not_determine_is_told_in_words(rate, tmp_path, capsys):
    t = Interval("t", 0, 2)
    conditions = {
        "ode": Residual(t, lambda u, a, b: u.t + rate(a, b) * u),
        "data": Observations(TIMES[:, None], weight=0.01, u=VALUES),
    }
    problem = Problem(t, ["u"], conditions, coefficients={"a": Coefficient(1.0), "b": Coefficient(1.5, (0.0, 9.0))})
    model = trained(problem, tmp_path)
    errors = coefficient_errors(model)
    assert errors["b"] == math.inf
    (path,) = tmp_path.rglob("summary.json")
    assert json.loads(path.read_text(), parse_constant=pytest.fail)["standard_errors"]["b"] is None
    shown = " ".join(capsys.readouterr().out.split())
    assert f"b = {model.solution().coefficients['b']:.6g} (not determined by the data)" in shown


def test_what_a_bound_has_found_is_not_determined_by_the_data():
    """The data want 1.7; the slope of the logistic map there would say ± 0.00001."""
    model = trained(decay(bounds=(0.5, 1.2)), steps=100)
    assert model.solution().coefficients["k"] == pytest.approx(1.2, abs=1e-3)
    assert coefficient_errors(model) == {"k": math.inf}


@pytest.mark.parametrize("bounds", [(0.0, 1.5), (1.99, 1.995)])
def test_what_a_bound_has_found_is_a_constant_for_the_others(bounds):
    """A line through data that want a slope of 2.03 ± 0.04; in the narrow interval it would double the scatter."""
    x = np.linspace(0, 1, 40)
    y = 2 * x + 1 + 0.1 * np.random.default_rng(0).standard_normal(40)
    line = Interval("x", 0, 1)
    data = Observations(x[:, None], y=(lambda u, a, b, x: a * x + b + 0 * u, y))
    coefficients = {"a": Coefficient(sum(bounds) / 2, bounds), "b": Coefficient(0.0)}
    model = trained(Problem(line, ["u"], {"ode": Residual(line, lambda u: u.x), "data": data}, coefficients), steps=40)
    rest = y - model.solution().coefficients["a"] * x
    expected = {"a": math.inf, "b": rest.std(ddof=1) / math.sqrt(len(x))}
    assert coefficient_errors(model) == pytest.approx(expected, rel=1e-4)


class Cube(torch.autograd.Function):
    """Without rules for `vmap` and forward mode."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, upstream):
        (x,) = ctx.saved_tensors
        return upstream * 3 * x**2


def test_a_run_whose_residuals_have_no_errors_ends_as_it_would(tmp_path):
    t = Interval("t", 0, 2)
    conditions = {
        "ode": Residual(t, lambda u, k: u.t + k * Cube.apply(u.value)),
        "data": Observations(TIMES[:, None], u=VALUES),
    }
    problem = Problem(t, ["u"], conditions, coefficients={"k": Coefficient(1.0)})
    phases = [Phase(partial(torch.optim.Adam, lr=1e-3), steps=3)]
    model = PINN(problem, partial(MLP, hidden=[4]), phases, compile=False)
    options = {"logger": CSVLogger(tmp_path), "callbacks": [RunSummary()]}
    with pytest.warns(UserWarning, match="^no ± for the coefficients: .+"):
        quiet_trainer(**options).fit(model, CollocationDataModule(problem, points=20, evaluation_points=20))
    (path,) = tmp_path.rglob("summary.json")
    summary = json.loads(path.read_text())
    assert summary["standard_errors"] == {}
    assert summary["steps"] == 3
    assert summary["warnings"][-1].startswith("no ± for the coefficients: ")
