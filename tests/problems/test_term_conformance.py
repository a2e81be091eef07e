"""What holds for every kind of term: both engines, Jacobians, compilation, processes' shares, exact resume."""

import functools

import pytest
import torch
from compiling import needs_compiler
from linearized import close, draw
from terms import NETWORKS, TERMS
from torch.autograd.functional import jacobian
from training import ADAM, QUASI_NEWTON, full_run

from pinnlab.callbacks import FreshPoints
from pinnlab.networks import MLP
from pinnlab.numerics.compiled_loss import CompiledLoss
from pinnlab.objective.parameter_derivatives import jacobian_product, jacobian_rows, stacked, transposed_product
from pinnlab.objective.residuals import ResidualSystem
from pinnlab.objective.trial_function import Trial
from pinnlab.problems.pointwise import check_pointwise
from pinnlab.training.network import build_network
from pinnlab.training.phases import Phase


def system_of(name, engine="taylor"):
    problem = TERMS[name]()
    build = NETWORKS.get(name, functools.partial(MLP, hidden=[6, 5]))
    network = build_network(problem, build, scale_inputs=name in NETWORKS, seed=0).double()
    return ResidualSystem(problem, Trial(problem, network), engine)


def rows_of(problem, count=7):
    return {name: c.rows(c.some_points(count, seed=3)) for name, c in problem.conditions.items()}


@pytest.mark.parametrize("name", TERMS)
def test_engines_agree(name):
    system, oracle = system_of(name), system_of(name, "reverse")
    rows = rows_of(system.problem)
    for condition, values in system.residuals(rows).items():
        torch.testing.assert_close(values, oracle.residuals(rows)[condition], rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("name", TERMS)
def test_terms_are_pointwise(name):
    check_pointwise(TERMS[name]())


@pytest.mark.parametrize("name", TERMS)
def test_evaluated_points_are_counted(name, monkeypatch):
    """By blocks of rows that are to stay within a processor's cache, or a part of a GPU's memory."""
    system, seen, forward = system_of(name), [], Trial.forward

    def counted(trial, points, *given, **options):
        seen.append(len(points))
        return forward(trial, points, *given, **options)

    monkeypatch.setattr(Trial, "forward", counted)
    for condition, rows in rows_of(system.problem).items():
        seen.clear()
        system.residuals({condition: rows})
        assert system.problem.conditions[condition].points_per_row == -(-sum(seen) // len(rows)), condition


@pytest.mark.parametrize("name", TERMS)
def test_jacobian_is_that_of_the_residuals(name):
    system = system_of(name)
    tensors, rows = system.trial.tensors(), rows_of(system.problem)
    flat = torch.cat([tensors[key].detach().reshape(-1) for key in system.trained()])
    expected = jacobian(lambda p: stacked(system, {**tensors, **system.unflatten(p)}, rows), flat, vectorize=True)
    values, found = (part.detach() for part in jacobian_rows(system, tensors, rows))
    assert close(found, expected)
    vector = draw(len(flat))
    assert close(jacobian_product(system, tensors, rows, vector), expected @ vector)
    assert close(transposed_product(system, tensors, rows, values), expected.T @ values)


@pytest.mark.parametrize("name", TERMS)
def test_rows_are_worth_the_same_on_any_process(name):
    """Sums over shares of the rows, one of which may have none of a condition, are those of all rows."""
    system = system_of(name)
    tensors, rows = system.trial.tensors(), rows_of(system.problem)
    whole = system.squared_sums(tensors, rows)
    for cut in (1, 0):
        shares = [{key: part[slices] for key, part in rows.items()} for slices in (slice(None, cut), slice(cut, None))]
        torch.testing.assert_close(sum(system.squared_sums(tensors, share) for share in shares), whole)


@pytest.mark.slow
@needs_compiler
@pytest.mark.parametrize("name", TERMS)
def test_compiled_equals_eager(name):
    system = system_of(name)
    compiled, trained = CompiledLoss(system.squared_sums), list(system.trial.parameters())
    for count in (40, 50):
        rows = rows_of(system.problem, count)
        factors = torch.linspace(1, 2, len(rows), dtype=torch.float64)
        found, expected = (f(system.trial.tensors(), rows, factors) for f in (compiled, system.weighted_loss))
        torch.testing.assert_close(found[1], expected[1], rtol=1e-12, atol=1e-13)
        gradients = (torch.autograd.grad(loss, trained, materialize_grads=True) for loss, _ in (found, expected))
        for a, b in zip(*gradients, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", TERMS)
def test_resume_is_bitwise(name, tmp_path):
    def run(folder, **options):
        phases = [Phase(ADAM, steps=3), Phase(QUASI_NEWTON, steps=2)]
        own = {"network": NETWORKS[name]} if name in NETWORKS else {}
        options = {**own, "callbacks": [FreshPoints(every=3)], **options}
        return full_run(folder, problem=TERMS[name](), phases=phases, **options)

    whole, *_ = run(tmp_path / "whole", every=2)
    paths = sorted((tmp_path / "whole").glob("*.ckpt"))
    assert paths
    for path in paths:
        again, *_ = run(tmp_path / "again", ckpt_path=path, every=100)
        for step, parameters in again.parameters.items():
            assert torch.equal(parameters, whole.parameters[step]), f"{path.name}: step {step} differs"
