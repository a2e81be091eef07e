"""The study of spectral bias: errors and rates by frequency against formulas, and its report."""

import math
from types import SimpleNamespace

import pytest
import torch

from pinnlab.problems import Regression1D
from pinnlab.studies.command import run_study_command
from pinnlab.studies.engine.recording import cell, kernel_of
from pinnlab.studies.engine.runner import KEY, append_row, merged, train
from pinnlab.studies.spectral_bias.runs import AT, COLUMNS, CURVES, FREQUENCIES, STUDY, mode_errors, mode_rates
from pinnlab.training.datamodule import CollocationDataModule
from pinnlab.training.module import PINN


class Known(torch.nn.Module):
    """Half of the first frequency, twice the second, the third turned over; one parameter scales all."""

    def __init__(self):
        super().__init__()
        self.factor = torch.nn.Parameter(torch.tensor(1.0))

    def forward(self, x):
        parts = [c * torch.sin(math.pi * k * x) for k, c in zip(FREQUENCIES, (0.5, 2.0, -1.0), strict=True)]
        return self.factor * sum(parts)


class Line(torch.nn.Module):
    """A straight line, of which the slope is the only parameter."""

    def __init__(self):
        super().__init__()
        self.slope = torch.nn.Parameter(torch.tensor(0.5))

    def forward(self, x):
        return self.slope * x


@pytest.fixture
def known():
    problem = Regression1D(FREQUENCIES)
    module = PINN(problem, Known(), compile=False)
    data = CollocationDataModule(problem, points=64, evaluation_points=2001)
    data.setup()
    return SimpleNamespace(datamodule=data), module


def test_errors_by_frequency(known):
    assert mode_errors(*known) == pytest.approx({"mode_1": 0.5, "mode_4": 1.0, "mode_8": 2.0}, rel=1e-6)


def test_a_line_is_no_part_of_a_frequency():
    problem = Regression1D(FREQUENCIES)
    module = PINN(problem, Line(), compile=False)
    data = CollocationDataModule(problem, points=64, evaluation_points=2001)
    data.setup()
    assert mode_errors(SimpleNamespace(datamodule=data), module)["mode_1"] == pytest.approx(1.0, rel=1e-6)
    rates = mode_rates(SimpleNamespace(datamodule=data), module)
    assert rates["rate_1"] == pytest.approx(6 / math.pi**2, rel=0.05)  # <q, x>^2 / |q|^2 |x|^2 on [-1, 1]
    assert rates["bent_1"] == pytest.approx(0.0, abs=1e-12)


def test_rates_are_rayleigh_quotients_over_the_largest_eigenvalue(known):
    trainer, module = known
    x = trainer.datamodule.store.points("data")[:, 0]
    gradient = module.trial(x[:, None])[:, 0].detach()  # of the one parameter, at 1
    expected = {}
    line = torch.stack([torch.ones_like(x), x], 1)
    for k in FREQUENCIES:
        q = torch.sin(math.pi * k * x)
        bent = q - line @ torch.linalg.lstsq(line, q[:, None]).solution[:, 0]
        for name, wave in (("rate", q), ("bent", bent)):
            expected[f"{name}_{k}"] = float((wave @ gradient) ** 2 / (wave @ wave) / (gradient @ gradient))
    assert mode_rates(trainer, module) == pytest.approx(expected)
    assert kernel_of(trainer, module) == pytest.approx(torch.outer(gradient, gradient) / 64)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("setting", ["gd_fast", "adam_fourier"])
def test_a_run_records_all_curves(setting):
    tiny = {
        "data": {"points": {"data": 32}, "evaluation_points": 101},
        "model": {"network": {"init_args": {"hidden": [4]}}},
        "trainer": {"max_steps": 20},
    }
    summary, trained = train(merged(STUDY.config("regression", setting, 0), tiny))
    kept = {**STUDY.measure(summary), **STUDY.probe(trained)}
    assert set(kept) == set(COLUMNS)
    assert all(len(kept[name].split()) == 3 for name in CURVES)  # at 0, 10 and 20


def test_the_report_says_when_a_frequency_is_learned(tmp_path, capsys):
    falling = [1.0 if n < 100 else 0.1 for n in AT]
    back = [0.4 if 100 <= n < 500 else 1.0 for n in AT]
    flat = {f"rate_{k}": [0.5] * len(AT) for k in FREQUENCIES}
    growing = {f"bent_{k}": [0.001, *[0.004] * (len(AT) - 1)] for k in FREQUENCIES}
    courses = {"mode_1": falling, "mode_4": back, "mode_8": [1.0] * len(AT), **flat, **growing}
    for setting in ("gd", "gd_fast", "gd_fast_fourier"):
        for seed in range(3):
            curves = {name: cell(course) for name, course in courses.items()}
            row = {"problem": "regression", "setting": setting, "seed": seed, "status": "done", **curves}
            numbers = {"relative_l2": 0.5, "loss": 1.0, "evaluations": 5000, "seconds": 1.0}
            append_row(tmp_path / "spectral_bias.csv", (*KEY, "status", *COLUMNS), {**row, **numbers})
    assert run_study_command(["spectral_bias", "--report", "--folder", str(tmp_path)]) == 0
    assert "spectral_bias.md" in capsys.readouterr().out
    text = (tmp_path / "spectral_bias.md").read_text()
    assert "| gd | 100 | never | never | 1.0e-01 | 1.0e+00 | 1.0e+00 | 5.0e-01 | 5000 |" in text
    # a share of 1/2 halves in one step, 1/1000 in 693; 0.4 lies below one half, but does not stay there
    assert "| plain | 1 | 0.5 | 0.001 | 1 | 690 | 100 |" in text
    assert "| fourier | 4 | 0.5 | 0.001 | 1 | 690 | 100 |" in text
    assert "| fourier | 8 | 0.5 | 0.001 | 1 | 690 | never |" in text
    assert "| gd_fast | 4 | 4 | 4 |" in text
    assert (tmp_path / "spectral_bias.png").stat().st_size > 5_000
