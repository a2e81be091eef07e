"""What does not fit into memory is refused before the first step, in one line with what does fit."""

import functools

import pytest
import torch
from training import ADAM, quiet_trainer, small_data, small_module

from pinnlab.callbacks import ResidualAddition, ResidualResampling
from pinnlab.errors import ConfigurationError
from pinnlab.numerics import memory
from pinnlab.objective import row_blocks
from pinnlab.optimizers import (
    BFGS,
    LBFGS,
    SPRING,
    EnergyNaturalGradient,
    GaussNewton,
    LevenbergMarquardt,
    MultiBatchLBFGS,
    NystromNewtonCG,
    SSBroyden,
    TargetRatioGaussNewton,
)
from pinnlab.problems import Poisson1D
from pinnlab.training.phases import Phase

pytestmark = pytest.mark.filterwarnings("ignore")

PARAMETERS = 61  # of 1-6-6-1
PRIMAL, DUAL = 3 * 8 * PARAMETERS**2, 3 * 8 * 23**2  # 21 residuals inside and 2 at the ends


@pytest.fixture
def free(monkeypatch):
    """Sets how many bytes are free; nothing is too small to be looked at."""

    def leave(count):
        monkeypatch.setattr(memory, "SMALL", 0)
        monkeypatch.setattr(memory, "free_bytes", lambda device="cpu": float(count))

    return leave


def fit(*phases, callbacks=(), **options):
    module = small_module(Poisson1D(), list(phases))
    trainer = quiet_trainer(callbacks=list(callbacks), val_check_interval=1000)
    trainer.fit(module, small_data(module.problem, **{"points": {"pde": 21, "boundary": 2}, **options}))
    return trainer


def two(optimizer, **options):
    return Phase(functools.partial(optimizer, **options), steps=2)


def refused(match, *phases, **options):
    with pytest.raises(ConfigurationError, match=match) as caught:
        fit(*phases, **options)
    assert "\n" not in str(caught.value)
    assert " takes " in str(caught.value)
    assert " are free; " in str(caught.value)


@pytest.fixture(autouse=True)
def only_what_is_asked_for(monkeypatch):
    """The points and the loss on them have tests of their own."""
    monkeypatch.setattr("pinnlab.training.module.check_batch", lambda *unused: None)
    monkeypatch.setattr("pinnlab.training.point_store.check_fits", lambda *unused: None)
    monkeypatch.setattr("pinnlab.training.datamodule.check_fits", lambda *unused: None)


@pytest.mark.parametrize("optimizer", [BFGS, SSBroyden])
def test_a_dense_matrix(free, optimizer):
    needed = 2 * 8 * PARAMETERS**2
    free(needed)
    fit(two(optimizer))
    free(needed - 1)
    refused(
        rf"{optimizer.__name__}'s 61 x 61 matrix .* use LBFGS, NystromNewtonCG", Phase(ADAM, steps=1), two(optimizer)
    )
    fit(two(LBFGS, history=10))


@pytest.mark.parametrize("optimizer", [LevenbergMarquardt, EnergyNaturalGradient, SPRING])
def test_gauss_newton_in_either_form(free, optimizer):
    free(PRIMAL - 1)
    refused(r"form: primal, \w+'s 61 x 61 .* use form: dual \(.*\), LBFGS", two(optimizer, form="primal"))
    fit(two(optimizer))  # auto takes the dual form, which fits
    fit(two(optimizer, form="dual"))
    free(DUAL - 1)
    refused(r"form: dual, \w+'s 23 x 23 .* use LBFGS, NystromNewtonCG or fewer points", two(optimizer))


def test_with_many_points_the_primal_form_is_the_small_one(free):
    free(PRIMAL)
    fit(two(LevenbergMarquardt), points={"pde": 100, "boundary": 2})
    refused(
        r"form: dual, .*'s 102 x 102 .* use form: primal \(", two(LevenbergMarquardt, form="dual"),
        points={"pde": 100, "boundary": 2},
    )  # fmt: skip


def test_no_form_is_proposed_that_the_optimizer_does_not_take(free):
    free(1000)
    many = {"pde": 100, "boundary": 2}
    advice = "use LBFGS, NystromNewtonCG or a smaller network"
    refused(rf"form: qr, TargetRatioGaussNewton's .* {advice}", two(TargetRatioGaussNewton), points=many)
    refused(rf"form: qr, GaussNewton's .* {advice}", two(GaussNewton, form="qr", sketch=2), points=many)
    refused(r"form: qr, GaussNewton's .* use form: primal \(", two(GaussNewton, form="qr"), points=many)


def test_points_of_a_later_phase_count(free):
    free(DUAL)
    phase = two(LevenbergMarquardt, form="dual")
    fit(phase)
    phase.points = {"pde": 22}
    refused("24 x 24", Phase(ADAM, steps=1), phase)


def test_points_that_come_in_mid_run_are_noticed_before_the_matrix_is_made(free):
    free(DUAL)
    refused(
        "26 x 26", two(LevenbergMarquardt, form="dual"),
        callbacks=[ResidualAddition(every=1, count=3, pool=3, greedy=True)],
    )  # fmt: skip


def test_the_rank_of_newton_cg(free):
    free(5 * 8 * PARAMETERS * 10)
    fit(two(NystromNewtonCG, rank=10, cg_iterations=3))
    refused("rank: .*rank 11 for 61 parameters", two(NystromNewtonCG, rank=11))


def test_the_jacobian_is_kept_only_where_it_fits(monkeypatch):
    monkeypatch.setattr(row_blocks, "SMALL", 0)
    results = []
    for enough in (True, False):
        monkeypatch.setattr(row_blocks, "fits", lambda size, device, enough=enough: enough)
        trainer = fit(two(LevenbergMarquardt))
        module = trainer.lightning_module
        assert module.linearization(module.batch)._rows.keeps is enough
        results.append(torch.cat([p.detach().reshape(-1) for p in module.parameters()]))
    torch.testing.assert_close(results[0], results[1], rtol=1e-8, atol=1e-10)


def test_a_pool_of_candidates(free):
    free(10_000)
    refused(
        r"ResidualResampling\.pool: 9999 candidates",
        Phase(ADAM, steps=2),
        callbacks=[ResidualResampling(every=1, pool=9999)],
    )


def test_points(free, monkeypatch):
    monkeypatch.undo()
    free(10_000)
    many = {"pde": 21_000, "boundary": 2}
    refused(r"data\.points\.pde: 21000 points", Phase(ADAM, steps=1), points=many, evaluation_points=10)
    refused(r"data\.evaluation_points: a grid of 5000 points", Phase(ADAM, steps=1), evaluation_points=5000)


def test_points_times_channels_of_derivatives(free, monkeypatch):
    monkeypatch.undo()
    module = small_module(Poisson1D())
    each = module.system.floats_per_row()
    needed = 2 * 3 * 8 * (21 * each["pde"] + 2 * each["boundary"])  # three layers
    free(needed - 1)
    refused(r"data\.points\.pde: the loss on 21 points .* data\.batch_size, or model\.compile", Phase(ADAM, steps=1),
            evaluation_points=10)  # fmt: skip
    free(needed)
    fit(Phase(ADAM, steps=1), evaluation_points=10)


@pytest.mark.parametrize("optimizer", [LBFGS, MultiBatchLBFGS])
def test_a_history_that_does_not_fit(free, optimizer):
    free(2 * 8 * 1000 * (PARAMETERS + 1000) - 1)
    refused(rf"history: {optimizer.__name__}'s 1000 pairs of {PARAMETERS} numbers takes", two(optimizer, history=1000))
