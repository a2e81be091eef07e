"""Windows in time by linear solves: random sines that are periodic, against the spectral solution."""

from functools import partial

import pytest

import pinnlab
from pinnlab import Phase
from pinnlab.networks import PeriodicFeatures
from pinnlab.optimizers import LeastSquares
from pinnlab.problems import KuramotoSivashinsky
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
