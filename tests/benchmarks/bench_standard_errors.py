"""Whether standard errors are right: the scatter of coefficients over many draws of the noise, beside what runs said.

    python tests/benchmarks/bench_standard_errors.py [--draws 100] [--noise 0.05]

Each draw is a pendulum of its own: measured anew, trained from the same start. A ratio of 1 is right; over 100 draws it
is known to 7 %. `inside` counts the runs whose true value is within two standard errors, of which 95 % should be.
"""

import argparse
import contextlib
import functools
import io
import logging
import statistics
import warnings

import lightning as L

from pinnlab import PINN, CollocationDataModule, Phase
from pinnlab.networks import MLP
from pinnlab.optimizers import LevenbergMarquardt
from pinnlab.problems import NoisyPendulum
from pinnlab.training.coefficient_errors import coefficient_errors

TRUE = {"damping": 0.3, "stiffness": 4.0}


def found(seed: int, noise: float) -> dict[str, tuple[float, float]]:
    """The coefficients of one draw with their standard errors."""
    problem = NoisyPendulum(noise=noise, seed=seed)
    network = functools.partial(MLP, hidden=[20, 20])
    model = PINN(problem, network, phases=[Phase(LevenbergMarquardt, steps=100)], compile=False)
    data = CollocationDataModule(problem, points={"motion": 300}, evaluation_points=100)
    with contextlib.redirect_stdout(io.StringIO()):
        L.Trainer(logger=False, enable_checkpointing=False, enable_progress_bar=False).fit(model, data)
    errors = coefficient_errors(model)
    return {name: (value.item(), errors[name]) for name, value in model.system.coefficient_values().items()}


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=100)
    parser.add_argument("--noise", type=float, default=0.05)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    draws = [found(seed, options.noise) for seed in range(options.draws)]
    for name, true in TRUE.items():
        values, errors = zip(*(draw[name] for draw in draws), strict=True)
        scatter, said = statistics.stdev(values), statistics.mean(errors)
        inside = sum(abs(value - true) < 2 * error for value, error in zip(values, errors, strict=True))
        print(
            f"{name:10} scatter {scatter:.4f}, standard error {said:.4f}, ratio {scatter / said:.2f}, "
            f"mean off by {statistics.mean(values) - true:+.4f}, inside {inside} of {len(draws)}"
        )


if __name__ == "__main__":
    main()
