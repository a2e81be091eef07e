"""What is measured of a run, against brute force."""

import functools
import math

import pytest
import torch
from failing import ADAM, Decay
from training import quiet_trainer, small_data, small_module

from pinnlab import PINN
from pinnlab.diagnosis.observation import Observer
from pinnlab.networks import RandomFeatures
from pinnlab.optimizers import LBFGS, LeastSquares
from pinnlab.problems import Burgers, NeumannPoisson2D, Poisson1D, Poisson2D, Wave1D
from pinnlab.training.phases import Phase

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def trained():
    """Trains a few steps; gives module, data, and a look at the end."""

    def run(problem, optimizer=ADAM, points=20, **options):
        module = small_module(problem, [Phase(optimizer, steps=3)], **options)
        data = small_data(problem, points=points)
        quiet_trainer(limit_val_batches=0).fit(module, data)
        return module, data, Observer(module).look(3)

    return run


def flat(gradients):
    return torch.cat([g.reshape(-1) for g in gradients])


def test_gradients_are_those_of_the_weighted_terms(trained):
    module, data, look = trained(Burgers(viscosity=0.1, exact_conditions=False), weights={"wall": 3.0, "start": 0.0})
    parameters, total = list(module.trial.parameters()), 0.0
    for weight, (name, r) in zip((1.0, 3.0), module.system.residuals(data.store.rows).items(), strict=False):
        gradient = flat(torch.autograd.grad(weight * r.square().sum() / len(r), parameters, retain_graph=True))
        total = total + gradient
        assert look.gradients[name] == pytest.approx(float(gradient.norm()), rel=1e-10)
    assert look.gradients.keys() == {"pde", "wall"}  # one of weight zero is not in the loss
    assert look.gradient == pytest.approx(float(total.norm()), rel=1e-10)


def test_held_out_residuals_and_violations(trained):
    module, data, look = trained(Burgers(viscosity=0.1, exact_conditions=False))
    held_out = data.held_out_rows()
    for name, rows in held_out.items():
        fresh = float(module.system.residuals({name: rows})[name].square().mean())
        own = float(module.system.residuals({name: data.store.rows[name]})[name].square().mean())
        assert {**look.equations, **look.sides}[name] == pytest.approx(fresh, rel=1e-12)
        assert look.ratios[name] == pytest.approx(fresh / own, rel=1e-10)
        assert look.points[name] == 20
    assert look.equations.keys() == {"pde"}
    size = float(module.trial(held_out["pde"]).square().mean())
    assert look.sizes["start"] == pytest.approx(math.sqrt(look.sides["start"] / size), rel=1e-10)


def test_a_residual_of_roundings_counts_as_what_the_last_bits_of_the_parameters_make_of_it():
    problem = Wave1D()
    network = functools.partial(
        RandomFeatures, count=150, scale=12.0
    )  # more than rows: the residual there is round-off
    module = PINN(problem, network, [Phase(LeastSquares, steps=1)], compile=False)
    data = small_data(problem, points=20)
    quiet_trainer(limit_val_batches=0).fit(module, data)
    look = Observer(module).look(1)
    before = module.system.residuals(data.store.rows)["pde"]
    with torch.no_grad():
        for parameter in module.trial.trained():
            numbers = parameter.view(-1)
            for i in range(len(numbers)):
                numbers[i] *= 1 + (-1) ** i * 4 * torch.finfo(torch.float64).eps
    rounding = float((module.system.residuals(data.store.rows)["pde"] - before).square().mean())
    assert float(before.square().mean()) < 1e4 * rounding
    assert 1e4 * rounding > (1e3 * torch.finfo(torch.float64).eps) ** 2
    assert look.ratios["pde"] == pytest.approx(look.equations["pde"] / (1e4 * rounding), rel=1e-6)


def test_weights_of_points_are_left_out_of_the_ratio(trained):
    module, data, look = trained(Poisson1D())
    data.store.weigh("pde")
    data.store.set_point_weights("pde", torch.full((20,), 100.0, dtype=torch.float64))
    assert Observer(module).held_out()["ratios"] == pytest.approx(look.ratios)


def test_points_at_two_ends_have_no_ratio(trained):
    _, _, look = trained(Poisson1D())
    assert look.ratios.keys() == {"pde"}
    assert look.sides.keys() == {"boundary"}


def test_conditions_that_bring_their_points_are_seen_on_these(trained):
    module, data, look = trained(NeumannPoisson2D())
    assert look.sides.keys() == {"boundary"}
    expected = module.system.residuals({"mean": data.store.rows["mean"]})["mean"].item() ** 2
    assert look.given == pytest.approx({"mean": expected}, rel=1e-12)


def test_the_jacobian_gives_the_promise_and_the_influence_of_coefficients(trained):
    module, data, look = trained(Decay(bounds=(0.0, 2.0)), LBFGS)
    parameters, rows = list(module.trial.parameters()), []
    residuals = module.system.residuals(data.store.rows)
    for r in residuals.values():
        scaled = r.flatten() / math.sqrt(len(r))
        options = {"retain_graph": True, "materialize_grads": True}  # the data know nothing of the coefficient
        rows += [flat(torch.autograd.grad(value, parameters, **options)) for value in scaled]
    jacobian = torch.stack(rows)
    assert look.top == pytest.approx(float(torch.linalg.matrix_norm(jacobian, 2)) ** 2, rel=1e-9)
    names = [name for name, _ in module.trial.named_parameters()]
    shapes = [p.numel() for p in parameters]
    place = sum(shapes[: names.index("coefficients.k")])
    norms = jacobian.norm(dim=0)
    expected = float(norms[place] / norms.square().mean().sqrt())
    assert look.coefficients["k"].influence == pytest.approx(expected, rel=1e-9)
    share = float(module.system.coefficient_values()["k"]) / 2
    assert look.coefficients["k"].room == pytest.approx(4 * share * (1 - share))
    loss = sum(float(r.square().mean()) for r in residuals.values())
    assert look.loss == pytest.approx(loss, rel=1e-9)
    assert look.promise == pytest.approx(look.gradient**2 / (4 * look.top * loss), rel=1e-9)


def test_what_nobody_asks_for_is_not_measured(trained):
    _, _, look = trained(Poisson1D())  # Adam, no coefficients, float64
    assert (look.top, look.promise, look.round_off, look.coefficients) == (None, None, None, {})


def test_rounding_errors_are_those_against_float64(trained):
    module, data, look = trained(Poisson1D(frequency=2), dtype="float32")
    exact = small_module(Poisson1D(frequency=2))
    exact.load_state_dict({k: v.double() for k, v in module.state_dict().items()}, strict=False)
    rows = {name: part.double() for name, part in data.store.rows.items()}
    coarse, fine = module.system.residuals(data.store.rows), exact.system.residuals(rows)
    error = square = 0.0
    for name, weight in zip(rows, module.loss_weights.tolist(), strict=True):
        error += weight * float((coarse[name].double() - fine[name]).square().mean())
        square += weight * float(fine[name].square().mean())
    assert look.round_off == pytest.approx(math.sqrt(error / square), rel=1e-6)
    assert 1e-8 < look.round_off < 1e-4
    assert look.epsilon == torch.finfo(torch.float32).eps


def test_bands_hold_the_error_by_its_sines(trained):
    module, _, look = trained(Poisson1D(frequency=10, exact_conditions=True))
    x = torch.linspace(0, 1, 4000, dtype=torch.float64)[:, None]
    error = (module.trial(x) - module.problem.reference_values(x))[:, 0].detach()

    def energy(k):
        return float(2 * (error * torch.sin(k * math.pi * x[:, 0])).mean()) ** 2 / 2

    bands = look.bands["u"]
    assert bands.error[0] == pytest.approx(energy(1), rel=1e-2)
    assert bands.error[4] == pytest.approx(sum(map(energy, range(9, 17))), rel=1e-2)
    assert sum(bands.error) == pytest.approx(float(error.square().mean()), rel=1e-2)
    assert bands.reference == pytest.approx((0.5, 0, 0, 0, 0.005, 0, 0), abs=1e-6)


def test_without_a_reference_the_residual_is_sorted(trained):
    module, _, look = trained(Decay())
    t = torch.linspace(0, 1, 4000, dtype=torch.float64)[:, None]
    residual = module.system.residuals({"pde": t})["pde"]
    assert look.bands.keys() == {"pde"}
    assert look.bands["pde"].reference == ()
    assert sum(look.bands["pde"].error) == pytest.approx(float(residual.square().mean()), rel=1e-3)


def test_domains_without_a_grid_have_no_bands(trained):
    from pinnlab.problems import Poisson

    _, _, look = trained(Poisson(dim=3))
    assert look.bands == {}
    assert look.equations.keys() == {"pde"}


def test_nothing_is_seen_of_a_loss_that_is_not_finite(trained):
    module, _, _ = trained(Poisson2D())
    with torch.no_grad():
        next(module.trial.parameters()).fill_(float("nan"))
    module.objective.last = module.objective.last._replace(loss=torch.tensor(float("nan")))
    assert Observer(module).look(4) is None
