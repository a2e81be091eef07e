"""Windows in time by linear solves: sines and polynomials, against the spectral solution and a standing wave."""

from functools import partial

import pytest

import pinnlab
from pinnlab import Phase
from pinnlab.networks import PeriodicFeatures, SpectralFeatures
from pinnlab.optimizers import LeastSquares
from pinnlab.problems import KuramotoSivashinsky, Wave2D
from pinnlab.samplers import Hammersley


@pytest.mark.filterwarnings("ignore")
def test_a_wave_that_steepens_goes_on_through_windows():
    """Three solves in each; without what the first window came to, the second could not be right."""
    solution = pinnlab.march(
        KuramotoSivashinsky(horizon=0.02, exact_conditions=False),
        windows=2,
        model={
            "network": partial(PeriodicFeatures, waves=16, each=10),
            "phases": [Phase(LeastSquares, steps=3)],
            "compile": False,
        },
        data={"points": {"pde": 400, "start": 60}, "sampler": Hammersley(), "evaluation_points": 500},
    )
    assert solution.errors()["u"] < 1e-5


@pytest.mark.filterwarnings("ignore")
def test_a_wave_in_two_dimensions_goes_on_through_windows_with_its_velocity():
    solution = pinnlab.march(
        Wave2D(horizon=1.5),
        windows=3,
        model={
            "network": partial(SpectralFeatures, columns=[0, 1], waves=2, degree=13, period=2.0),
            "phases": [Phase(partial(LeastSquares, normal=True), steps=1)],
            "compile": False,
        },
        data={
            "points": {"pde": 400, "wall": 150, "start": 80, "rest": 80},
            "sampler": Hammersley(),
            "evaluation_points": 500,
        },
    )
    assert solution.errors()["u"] < 1e-9
