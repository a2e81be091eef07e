"""What validation logs about the error, by frequency too."""

import pytest
import torch
from training import quiet_trainer, small_data, small_module

from pinnlab.analysis.frequencies import error_spectrum
from pinnlab.analysis.metrics import relative_l2
from pinnlab.domains import Chebyshev, Disk, FunctionSpace, Interval
from pinnlab.networks import MLP
from pinnlab.problems import Burgers, Dirichlet, Exact, Poisson, Problem, Residual, Unknown

pytestmark = pytest.mark.filterwarnings("ignore")


def fitted(problem, **options):
    module = small_module(problem)
    data = small_data(problem, **options)
    trainer = quiet_trainer(max_steps=3, val_check_interval=1, inference_mode=True)
    trainer.fit(module, data)
    return trainer, module, data


def spectrum_of(module, data):
    points, reference = data.evaluation_set()
    with torch.no_grad():
        return error_spectrum(module(points)[:, 0], reference[:, 0], points, module.problem.coordinates)


@pytest.mark.parametrize("step", ["validate", "test"])
def test_bands_of_the_error_are_logged(step):
    trainer, module, data = fitted(Burgers(viscosity=0.1, exact_conditions=False))
    assert {f"frequency_error/u/{band}" for band in ("low", "middle", "high")} <= trainer.callback_metrics.keys()
    results = getattr(trainer, step)(module, data, verbose=False)[0]
    expected = spectrum_of(module, data)
    for band, value in expected.by_band().items():
        assert results[f"frequency_error/u/{band}"] == pytest.approx(float(value), rel=1e-12)
    torch.testing.assert_close(module.errors.spectra["u"].error, expected.error)


def test_other_evaluation_points_have_other_modes():
    trainer, module, data = fitted(Burgers(viscosity=0.1))
    finer = small_data(module.problem, evaluation_points=2000)
    found = trainer.validate(module, finer, verbose=False)[0]["frequency_error/u/high"]
    assert found == pytest.approx(float(spectrum_of(module, finer).by_band()["high"]), rel=1e-12)
    assert found != pytest.approx(float(spectrum_of(module, data).by_band()["high"]), rel=1e-6)


def test_a_disk_has_bands_too():
    disk = Disk()
    conditions = {"pde": Residual(disk, lambda u: u.laplacian() + 4), "rim": Dirichlet(disk.boundary(), u=0.0)}
    problem = type("Drum", (Problem,), {"reference": lambda self: Exact(lambda x, y: 1 - x**2 - y**2)})(
        disk, ["u"], conditions
    )
    trainer, module, data = fitted(problem, evaluation_points=2000)
    low, high = (float(trainer.callback_metrics[f"frequency_error/u/{band}"]) for band in ("low", "high"))
    assert low == pytest.approx(float(spectrum_of(module, data).by_band()["low"]), rel=1e-9)
    assert 0 < high < low


def test_points_that_are_no_grid_have_no_bands():
    trainer, module, _ = fitted(Poisson(dim=3))
    assert "relative_l2/u" in trainer.callback_metrics
    assert not any(key.startswith("frequency_error") for key in trainer.callback_metrics)
    assert module.errors.spectra == {}


class Slopes(Problem):
    """u' = a for all functions a of a space, and q = u at the end; known of some of the functions."""

    def __init__(self):
        x = Interval("x", 0, 1)
        domain = x * FunctionSpace("a", Chebyshev(x, 2))
        end = domain.face(x=1.0)
        conditions = {"ode": Residual(domain, lambda u, a: u.x - a), "end": Residual(end, lambda u, q: q - u)}
        super().__init__(domain, {"u": Unknown(), "q": Unknown(on=end)}, conditions)

    def reference(self):
        return Exact(lambda x, a0, a1: (2 + a0 * x, 9 + a1), where=lambda a0: a0 > 0.02)


def test_the_mean_over_functions_is_of_those_that_are_known_and_of_all_their_points():
    module = small_module(Slopes(), network=lambda inputs, outputs: MLP(inputs, outputs, hidden=[5]))
    data = small_data(module.problem)
    points, reference = data.evaluation_set()
    errors = {"u": [], "q": []}
    for function in points[:, 1:].unique(dim=0):
        own = (points[:, 1:] == function).all(1)
        for column, name in enumerate(errors):
            known = own & ~reference[:, column].isnan()
            errors[name].append(float(relative_l2(module(points[known])[:, column].detach(), reference[known, column])))
    assert 20 < len(errors["u"]) < 80
    expected = {name: sum(found) / len(found) for name, found in errors.items()}
    found = quiet_trainer().validate(module, data, verbose=False)[0]
    assert {name: found[f"relative_l2/{name}"] for name in errors} == pytest.approx(expected, rel=1e-12)
    assert module.measure_errors(data) == pytest.approx(expected, rel=1e-12)
    assert module.solution().errors(200) == pytest.approx(expected, rel=1e-12)
    for name, error in expected.items():
        assert module.solution().plot(name, 200).get_suptitle() == f"{name}: relative L2 error {error:.2e}"


@pytest.mark.parametrize("operator", [False, True])
def test_an_unknown_without_a_reference_has_no_error(operator):
    x = Interval("x", 0, 1)
    domain = x * FunctionSpace("a", Chebyshev(x, 2)) if operator else x
    conditions = {"pde": Residual(domain, lambda u, q, x: (u - x, q.x - u))}
    reference = {"reference": lambda self: Exact(lambda x: x, unknowns=("u",))}
    problem = type("Half", (Problem,), reference)(domain, ["u", "q"], conditions)
    trainer, _, _ = fitted(problem)
    assert [key for key in trainer.callback_metrics if key.startswith(("relative_l2", "max_error"))] == [
        "relative_l2/u",
        "max_error/u",
    ]


def test_what_should_be_zero_has_the_same_error_everywhere():
    """Its root mean square, on whatever number of points: as validated, as measured, and of the solution."""
    line = Interval("x", 0, 1)
    conditions = {"pde": Residual(line, lambda u: u.xx), "ends": Dirichlet(line.boundary(), u=0.0)}
    zero = type("Zero", (Problem,), {"reference": lambda self: Exact(lambda x: 0 * x)})(line, ["u"], conditions)
    for count in (100, 1600):
        trainer, module, data = fitted(zero, evaluation_points=count)
        with torch.no_grad():
            expected = float(module(data.evaluation_set()[0]).square().mean().sqrt())
        assert float(trainer.callback_metrics["relative_l2/u"]) == pytest.approx(expected, rel=1e-12)
        assert module.measure_errors(data)["u"] == pytest.approx(expected, rel=1e-12)
        assert module.solution().errors()["u"] == pytest.approx(expected, rel=1e-2)
