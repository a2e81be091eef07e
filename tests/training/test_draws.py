"""Numbered draws of coordinates: one for each step, repeated after a resume; another for scores."""

import functools
import itertools

import pytest
import torch
from training import ADAM, PRIMAL, condition_options, full_run, quiet_trainer, small_data

from pinnlab import PINN, Phase
from pinnlab.derivatives import Sample
from pinnlab.domains import Box
from pinnlab.errors import ConfigurationError
from pinnlab.networks import MLP
from pinnlab.objective.draws import HELD_OUT, StepDraws
from pinnlab.objective.residuals import ResidualSystem
from pinnlab.objective.trial_function import Trial
from pinnlab.optimizers import LBFGS, SPRING, LeastSquares, LevenbergMarquardt, MultiBatchLBFGS, SSBroyden
from pinnlab.problems import AllenCahnTwoBody, Energy, FokkerPlanck, Poisson, Problem, Residual, SineGordonTwoBody

pytestmark = pytest.mark.filterwarnings("ignore")

PAIR, OTHER = Sample(tuple(range(9)), 3), Sample(tuple(range(9)), 3, draw=1)


def columns(draws):
    return {sample: found.tolist() for sample, found in draws.columns().items()}


def small_network(inputs, outputs):
    return MLP(inputs, outputs, hidden=[6, 6])


def module(problem=None, optimizer=ADAM, steps=5, **options):
    problem = problem or SineGordonTwoBody(dim=6, sample=2)
    return PINN(problem, small_network, [Phase(optimizer, steps=steps)], **{"compile": False, **options})


def test_a_draw_depends_on_seed_number_and_estimate_alone():
    draws, again = StepDraws({PAIR, OTHER}), StepDraws({OTHER})
    seen = []
    for number in range(30):
        draws.take(number, seed=4)
        again.take(number, seed=4)
        found = columns(draws)
        assert columns(again)[OTHER] == found[OTHER] != found[PAIR]
        assert len(set(found[PAIR])) == 3
        seen.append(tuple(found[PAIR]))
    assert len(set(seen)) > 25
    draws.take(7)
    assert tuple(columns(draws)[PAIR]) == seen[7]
    draws.take(7, seed=5)
    assert tuple(columns(draws)[PAIR]) != seen[7]
    draws.take()
    scores = columns(draws)
    assert draws.number == HELD_OUT
    assert scores != columns(StepDraws({PAIR, OTHER}))  # of another seed
    again.take(3)
    again.take()
    assert columns(again)[OTHER] != scores[OTHER]
    again.take(HELD_OUT, seed=5)
    assert columns(again)[OTHER] == scores[OTHER]


def test_draws_given_by_name_go_before_those_that_stand():
    draws = StepDraws({PAIR})
    assert torch.equal(draws.columns({"draws.0": torch.tensor([8, 1, 2])})[PAIR], torch.tensor([8, 1, 2]))
    assert not StepDraws([]).columns()
    assert not list(StepDraws([]).buffers())


def test_the_mean_loss_over_all_draws_is_that_of_the_laplacian_and_the_variance_of_the_estimate():
    """E (r + e)^2 = r^2 + E e^2: the bias that squaring one estimate has."""
    dim = 5
    sampled, full = AllenCahnTwoBody(dim=dim, sample=2), AllenCahnTwoBody(dim=dim, sample=None)
    network = small_network(dim, 1).double()
    points = sampled.domain.from_unit(torch.rand(9, dim + 1, dtype=torch.float64))
    system = ResidualSystem(sampled, Trial(sampled, network), "taylor")
    exact = ResidualSystem(full, Trial(full, network), "taylor").residuals({"pde": points})["pde"]
    found = []
    for chosen in itertools.combinations(range(dim), 2):
        values = {**system.trial.tensors(), "draws.0": torch.tensor(chosen)}
        found.append(system.residuals({"pde": points}, values)["pde"])
    found = torch.stack(found)
    torch.testing.assert_close(found.mean(0), exact, rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(found.square().mean(0), exact.square() + found.var(0, correction=0))


def test_two_independent_draws_multiplied_are_unbiased():
    """As an `Energy`: its mean is in the loss, not that of a square."""
    cube = Box.cube("x", 4)

    def residual(u, draw):
        return u.laplacian(sample=1, draw=draw) + u.value - 1

    product = Energy(cube, lambda u: residual(u, 0) * residual(u, 1))
    problem = Problem(cube, ["u"], {"pde": product})
    exact = Problem(cube, ["u"], {"pde": Residual(cube, lambda u: u.laplacian() + u - 1)})
    network = small_network(4, 1).double()
    points = torch.rand(8, 4, dtype=torch.float64)
    system = ResidualSystem(problem, Trial(problem, network), "taylor")
    densities = [
        system.residuals({"pde": points}, {**system.trial.tensors(), "draws.0": a[None], "draws.1": b[None]})["pde"]
        for a, b in itertools.product(torch.arange(4), repeat=2)
    ]
    expected = ResidualSystem(exact, Trial(exact, network), "taylor").residuals({"pde": points})["pde"].square()
    torch.testing.assert_close(torch.stack(densities).mean(0), expected, rtol=1e-12, atol=1e-13)


class Watch:
    """Notes the draw at every evaluation of a run."""

    def __init__(self, module):
        self.drawn, self.scored = [], []
        evaluate, score = module.objective.__call__, module.objective.mean_squares
        draws = module.trial.draws

        def loss(*args):
            self.drawn.append((draws.number, *columns(draws).values()))
            return evaluate(*args)

        def mean_squares(*args):
            self.scored.append((draws.number, *columns(draws).values()))
            return score(*args)

        module.objective.mean_squares = mean_squares
        module.objective = Called(module.objective, loss)


class Called:
    """An object with another `__call__`."""

    def __init__(self, inner, call):
        self._inner, self._call = inner, call

    def __call__(self, *args):
        return self._call(*args)

    def __getattr__(self, name):
        return getattr(self._inner, name)


@pytest.mark.parametrize("optimizer", [ADAM, functools.partial(LevenbergMarquardt)])
def test_a_step_sees_one_draw_and_scores_another(optimizer):
    pinn = module(optimizer=optimizer)
    watch = Watch(pinn)
    trainer = quiet_trainer(val_check_interval=2, check_val_every_n_epoch=None)
    trainer.fit(pinn, small_data(pinn.problem))
    if optimizer is ADAM:
        assert [number for number, *_ in watch.drawn] == list(range(5))
        assert len({str(found) for _, found in watch.drawn}) > 2
    assert len(watch.scored) >= 2
    assert len({str(found) for found in watch.scored}) == 1
    assert watch.scored[0][0] == HELD_OUT == pinn.trial.draws.number


def test_a_line_search_compares_values_of_one_draw():
    """Every evaluation of a Gauss-Newton step is made with the draw of the step."""
    pinn = module(optimizer=functools.partial(LevenbergMarquardt), steps=4)
    seen = {}
    residuals = pinn.system.condition_residuals

    def noted(*args, **options):
        if pinn._trainer is not None and pinn.batch:
            seen.setdefault(pinn.global_step, set()).add((pinn.trial.draws.number, str(columns(pinn.trial.draws))))
        return residuals(*args, **options)

    pinn.system.condition_residuals = noted
    quiet_trainer(limit_val_batches=0).fit(pinn, small_data(pinn.problem))
    within = {step: {found for found in draws if found[0] >= 0} for step, draws in seen.items()}
    assert set(within) >= {0, 1, 2, 3}
    for step in range(4):
        assert {number for number, _ in within[step]} == {step}
        assert len(within[step]) == 1


@pytest.mark.parametrize("kind", ["sampled", "traced"])
def test_a_resumed_run_repeats_its_draws_bitwise(tmp_path, kind):
    whole, _, _, _ = full_run(tmp_path / "whole", every=1, **condition_options(kind))
    paths = sorted((tmp_path / "whole").glob("*.ckpt"))
    assert len(paths) >= 9
    for path in paths[::2]:
        again, _, _, _ = full_run(tmp_path / "again", ckpt_path=path, every=100, **condition_options(kind))
        for step, parameters in again.parameters.items():
            assert torch.equal(parameters, whole.parameters[step]), f"{path.name}: step {step} differs"


def test_another_seed_draws_others():
    runs = [module(seed=seed) for seed in (0, 0, 1)]
    for pinn in runs:
        pinn.trial.draws.take(3)
    first, same, other = (columns(pinn.trial.draws) for pinn in runs)
    assert first == same != other


@pytest.mark.parametrize(
    "build",
    [
        pytest.param(functools.partial(Poisson, dim=6, sample=2, exact="sines"), marks=pytest.mark.slow),
        functools.partial(FokkerPlanck, dim=18, sample=2),
        pytest.param(functools.partial(FokkerPlanck, dim=4, sample=None), marks=pytest.mark.slow),
    ],
    ids=["laplacian", "trace and long gradient", "exact trace"],
)
@pytest.mark.usefixtures("traced")
def test_compiled_is_eager(build):
    losses = []
    for compiled in (False, True):
        pinn = module(build(), steps=3, compile=compiled)
        quiet_trainer().fit(pinn, small_data(pinn.problem))
        assert bool(pinn.objective.compiled) == compiled
        losses.append((pinn.current_loss(), *(p.detach().clone() for p in pinn.trial.parameters())))
    for one, other in zip(*losses, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("optimizer", [LBFGS, SSBroyden, MultiBatchLBFGS, torch.optim.LBFGS, LeastSquares])
def test_who_goes_by_the_steps_before_is_refused_in_one_line(optimizer):
    pinn = module(optimizer=optimizer)
    with pytest.raises(
        ConfigurationError, match=rf"sample=2.*another estimate at every step.*{optimizer.__name__}"
    ) as e:
        quiet_trainer().fit(pinn, small_data(pinn.problem))
    assert "\n" not in str(e.value)


def test_an_estimated_trace_is_refused_and_an_exact_one_is_not():
    pinn = module(FokkerPlanck(dim=4, sample=2), optimizer=LBFGS)
    with pytest.raises(ConfigurationError, match=r"trace_hessian\(sample=2\).*another estimate at every step.*LBFGS"):
        quiet_trainer().fit(pinn, small_data(pinn.problem))
    exact = module(FokkerPlanck(dim=4, sample=None), optimizer=LBFGS, steps=3)
    quiet_trainer().fit(exact, small_data(exact.problem))
    assert exact.global_step == 3


@pytest.mark.parametrize("optimizer", [SPRING, PRIMAL])
@pytest.mark.parametrize("sample", [2, None])
def test_traces_have_jacobians(optimizer, sample):
    pinn = module(FokkerPlanck(dim=18, sample=sample), optimizer=optimizer, steps=2)
    before = [p.detach().clone() for p in pinn.trial.parameters()]
    quiet_trainer().fit(pinn, small_data(pinn.problem))
    moved = [not torch.equal(one, other) for one, other in zip(before, pinn.trial.parameters(), strict=True)]
    assert any(moved)


def test_a_solution_has_the_trace_itself():
    pinn, points = module(FokkerPlanck(dim=3, sample=2)), torch.rand(4, 4, dtype=torch.float64)
    spread, names = pinn.problem.spread, ("x1", "x2", "x3")
    found = pinn.solution().evaluate(lambda q: q.trace_hessian(spread), points)
    parts = [
        pinn.solution().evaluate(lambda q, a=a, b=b: q.d(a, b), points) * float(spread[i] @ spread[j])
        for i, a in enumerate(names)
        for j, b in enumerate(names)
    ]
    torch.testing.assert_close(found, torch.stack(parts).sum(0), rtol=1e-10, atol=1e-12)
    with pytest.raises(ConfigurationError, match=r"trace_hessian\(sample=2\) is for training; leave out sample"):
        pinn.solution().evaluate(lambda q: q.trace_hessian(spread, sample=2), points)


@pytest.mark.parametrize("optimizer", [SPRING, PRIMAL])
def test_who_looks_at_one_step_alone_is_not(optimizer):
    pinn = module(optimizer=optimizer, steps=2)
    quiet_trainer().fit(pinn, small_data(pinn.problem))
    assert pinn.global_step == 2


@pytest.mark.parametrize("sample", [0, -1, 7, 1.5, "all"])
def test_a_sample_that_does_not_fit_is_refused(sample):
    with pytest.raises(ConfigurationError, match=r"problem.sample: must be an integer from 1 to 6"):
        SineGordonTwoBody(dim=6, sample=sample)


def test_derivatives_of_residuals_cannot_be_in_the_loss():
    with pytest.raises(ConfigurationError, match=r"enhance: laplacian\(sample=2\) has no derivatives"):
        module(enhance={"pde": ["x1"]})


def test_a_solution_has_the_laplacian_itself():
    pinn = module()
    points = torch.rand(3, 6, dtype=torch.float64) / 6
    with pytest.raises(ConfigurationError, match=r"laplacian\(sample=2\) is for training; leave out sample"):
        pinn.solution().evaluate(lambda u: u.laplacian(sample=2), points)
