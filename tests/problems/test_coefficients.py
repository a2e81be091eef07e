"""Trainable constants: several, vectors, in an ansatz; found by a run, and shown by number."""

import numpy as np
import pytest
import torch
from terms import Cooling
from training import ADAM, quiet_trainer, small_data, small_module

from pinnlab.callbacks import RunSummary
from pinnlab.errors import ConfigurationError
from pinnlab.objective.residuals import ResidualSystem
from pinnlab.objective.trial_function import Trial
from pinnlab.optimizers import LBFGS
from pinnlab.problems import Coefficient
from pinnlab.problems.coefficients import by_number
from pinnlab.training.coefficient_errors import coefficient_errors
from pinnlab.training.phases import Phase


def test_a_vector_stays_within_its_bounds_and_begins_at_its_guesses():
    coefficient = Coefficient([0.2, 1.9], bounds=(0.0, 2.0))
    raw = torch.tensor(coefficient.raw_initial(), dtype=torch.float64)
    assert torch.allclose(coefficient.value(raw), torch.tensor([0.2, 1.9], dtype=torch.float64))
    assert coefficient.value(raw + 100).tolist() == [2.0, 2.0]
    assert Coefficient((3.0, -1.0)).raw_initial() == [3.0, -1.0]


def test_an_array_is_as_good_as_a_list():
    for array in (np.array([0.2, 1.9]), torch.tensor([0.2, 1.9], dtype=torch.float64)):
        assert Coefficient(array, bounds=(0.0, 2.0)) == Coefficient([0.2, 1.9], bounds=(0.0, 2.0))
    assert Coefficient(np.array(2.0)) == Coefficient(2.0)
    assert not Coefficient(torch.tensor(2.0)).is_vector


def test_an_ansatz_has_coefficients_and_given_data():
    problem = Cooling()
    trial = Trial(problem, torch.nn.Linear(1, 1).double())
    times = torch.linspace(0, 1, 5, dtype=torch.float64)[:, None]
    assert torch.allclose(trial(times), 1.0 + times * trial.network(times))
    system = ResidualSystem(problem, trial)
    values = {**trial.tensors(), "coefficients.start": torch.tensor(7.0, dtype=torch.float64)}
    rows = torch.zeros(1, 2, dtype=torch.float64)  # a time and a measured value
    assert system.residuals({"data": rows}, values)["data"].item() == pytest.approx(7.0)


def test_single_numbers_by_name():
    values = {"a": torch.tensor(2.0), "k": torch.tensor([3.0, 4.0], requires_grad=True)}
    assert by_number(values) == {"a": 2.0, "k.0": 3.0, "k.1": 4.0}


@pytest.mark.filterwarnings("ignore")
def test_a_run_finds_them(tmp_path, capsys):
    module = small_module(Cooling(), [Phase(ADAM, steps=200), Phase(LBFGS, steps=25)])
    data = small_data(module.problem, points={"ode": 40})
    quiet_trainer(callbacks=[RunSummary(tmp_path)], val_check_interval=1000).fit(module, data)
    found = module.solution().coefficients
    assert found == pytest.approx({"k.0": 2.0, "k.1": 0.5, "start": 2.0}, rel=0.02)
    assert "k.0 = 2" in " ".join(capsys.readouterr().out.split())
    errors = coefficient_errors(module)  # exact data: what the fit leaves is far below what it found
    assert set(errors) == {"k.0", "k.1", "start"}
    assert all(0 < error < 0.02 for error in errors.values())


def test_bad_input_is_one_line():
    for build, message in (
        (lambda: Coefficient([]), "initial is empty"),
        (lambda: Coefficient([0.5, 3.0], bounds=(0.0, 1.0)), "initial 3.0 is not inside"),
        (lambda: Coefficient(["a"]), "initial"),
        (lambda: Coefficient([0.5, 3.0], bounds=[(0, 1), (2, 4)]), "bounds must be two numbers"),
        (lambda: Coefficient(0.5, bounds=1.0), "bounds must be two numbers"),
        (lambda: Coefficient(0.5, bounds=("a", "b")), "bounds must be two numbers"),
        (lambda: Coefficient(np.ones((2, 2))), "initial"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            build()
