"""A module that is pickled or copied, trained or not, goes on as one of its own."""

import copy
import pickle

import pytest
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging
from training import ADAM, quiet_trainer, small_data, small_module

from pinnlab.domains import Interval
from pinnlab.problems import Coefficient, Observations, Problem, Residual
from pinnlab.training.phases import Phase

pytestmark = pytest.mark.filterwarnings("ignore")


def fit(module, **options):
    quiet_trainer(**options).fit(module, small_data(module.problem))


class Growth(Problem):
    """u' = rate u, with the rate to be found; without a lambda, which could not be pickled."""

    def __init__(self):
        t, self.rate = Interval("t", 0, 1), 2.0
        times = torch.linspace(0, 1, 5, dtype=torch.float64)
        data = Observations(times[:, None], u=torch.exp(2 * times))
        super().__init__(t, ["u"], {"pde": Residual(t, self.growth), "data": data}, {"k": Coefficient(0.5)})

    def growth(self, u, k):
        return u.t - self.rate * k * u


@pytest.mark.parametrize("compiled", [pytest.param(True, marks=pytest.mark.slow), False])
def test_a_trained_module_can_be_pickled_and_copied(compiled):
    module = small_module(Growth(), compile=compiled)
    fit(module)
    found, last = module.solution().coefficients, module.objective(module.batch, module.loss_weights).item()
    for twin in (pickle.loads(pickle.dumps(module)), copy.deepcopy(module)):
        assert twin.objective(twin.batch, twin.loss_weights).item() == pytest.approx(last, rel=1e-9)
        twin.problem.rate = 20.0  # its own: that of the other one stays
        before = twin.objective(twin.batch, twin.loss_weights).item()
        assert before > 10 * last
        fit(twin)
        assert twin.current_loss() < before
    assert module.solution().coefficients == found
    assert module.objective(module.batch, module.loss_weights).item() == pytest.approx(last, rel=1e-9)


def test_weights_are_averaged_of_a_problem_of_ones_own():
    plain, averaged = (small_module(Growth(), [Phase(ADAM, steps=4)]) for _ in range(2))
    fit(plain)
    fit(averaged, callbacks=[EMAWeightAveraging(decay=0.0)])  # of the last weights only
    assert averaged.solution().coefficients == pytest.approx(plain.solution().coefficients, rel=1e-12)
