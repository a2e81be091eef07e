"""Compilation: when, how often, and what happens without a compiler."""

import warnings

import pytest
import torch
import torch._inductor.config
from cases import PROBLEMS
from compiling import example, needs_compiler, squares

from pinnlab.networks import MLP
from pinnlab.numerics import compiled_value
from pinnlab.numerics.compiled_loss import CompiledLoss, leave_gradient, with_gradient
from pinnlab.numerics.compiled_value import CompiledValue
from pinnlab.objective.residuals import ResidualSystem
from pinnlab.objective.trial_function import Trial
from pinnlab.samplers import Sobol


@pytest.fixture
def builds(monkeypatch):
    """Counts compilations."""
    calls, original = [], torch._inductor.compile
    monkeypatch.setattr(
        torch._inductor, "compile", lambda *args, **options: (calls.append(args), original(*args, **options))[1]
    )
    return calls


def loss_and_gradient(evaluate, parameters, inputs):
    factors = torch.linspace(0.5, 2, len(inputs), dtype=torch.float64)
    loss, sums = evaluate(parameters, inputs, factors)
    trained = [p for p in parameters.values() if p.requires_grad]
    return loss.detach(), sums, torch.autograd.grad(loss, trained, allow_unused=True)


def eager(function):
    def evaluate(parameters, inputs, factors):
        sums = function(parameters, inputs)
        return factors @ sums, sums.detach()

    return evaluate


def agree(compiled, function, parameters, inputs):
    computed = loss_and_gradient(compiled, parameters, inputs)
    expected = loss_and_gradient(eager(function), parameters, inputs)
    for a, b in zip([*computed[:2], *computed[2]], [*expected[:2], *expected[2]], strict=True):
        assert (a is None) == (b is None)
        assert a is None or torch.allclose(a, b, rtol=1e-12, atol=1e-14)


@pytest.mark.slow
@needs_compiler
def test_one_compilation_serves_all_sizes(builds):
    compiled = CompiledLoss(squares)
    for sizes in [(50, 40, 40), (32, 32, 32), (80, 40, 37)]:
        agree(compiled, squares, *example(*sizes))
    assert len(builds) == 1
    for sizes in [(50, 2, 40), (400, 2, 90), (32, 2, 32)]:  # the two ends of an interval
        agree(compiled, squares, *example(*sizes))
    assert len(builds) == 2
    for sizes in [(50, 1, 0), (1, 1, 1)]:  # lengths 0 and 1 are special to torch; they must be right all the same
        agree(compiled, squares, *example(*sizes))


@pytest.mark.slow
@needs_compiler
def test_rows_from_the_middle_of_others_need_no_compilation_of_their_own(builds):
    compiled, (parameters, inputs) = CompiledLoss(squares), example(150, 120)
    for start, length in [(0, 120), (3, 39), (0, 39), (11, 38)]:
        agree(compiled, squares, parameters, {name: rows[start : start + length] for name, rows in inputs.items()})
    assert len(builds) == 1


@pytest.mark.slow
@needs_compiler
def test_one_point_from_the_start_compiles_once(builds):
    compiled = CompiledLoss(squares)
    for sizes in [(50, 1, 1), (33, 1, 1), (90, 1, 1)]:
        agree(compiled, squares, *example(*sizes))
    assert len(builds) == 1


@pytest.mark.slow
@needs_compiler
@pytest.mark.parametrize("name", ["burgers_soft", "wave"])
def test_problems_compile_to_what_they_are(name, builds):
    problem = PROBLEMS[name]()
    system = ResidualSystem(problem, Trial(problem, MLP(2, 1, hidden=[8, 8]).double()))
    compiled = CompiledLoss(system.squared_sums)
    for count in (40, 33):
        rows = {n: c.rows(Sobol().sample(c.region, count, 1)) for n, c in problem.conditions.items()}
        agree(compiled, system.squared_sums, system.trial.tensors(), rows)
    assert len(builds) == 1


@pytest.mark.slow
@needs_compiler
def test_frozen_and_unused_parameters_constants_and_strides():
    table = torch.tensor([1.0, 2.0], dtype=torch.float64)

    def function(parameters, inputs):
        return torch.stack([(parameters["frozen"] * table * (inputs["c0"] @ parameters["w"])).square().sum()])

    parameters, _ = example(4)
    parameters |= {
        "frozen": torch.full((2,), 3.0, dtype=torch.float64),
        "unused": torch.ones(2, dtype=torch.float64, requires_grad=True),
    }
    compiled = CompiledLoss(function)
    rows = torch.rand(20, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    agree(compiled, function, parameters, {"c0": rows})
    agree(compiled, function, parameters, {"c0": rows[::2]})
    parameters["frozen"] = 2 * parameters["frozen"]
    agree(compiled, function, parameters, {"c0": rows})
    parameters["w"] = parameters["w"].detach()
    parameters["frozen"].requires_grad_()
    agree(compiled, function, parameters, {"c0": rows})


@pytest.mark.slow
@needs_compiler
def test_gradients_scale_and_accumulate():
    compiled, (parameters, inputs) = CompiledLoss(squares), example(40, 30)
    factors = torch.ones(2, dtype=torch.float64)
    w = parameters["w"]
    (3 * compiled(parameters, inputs, factors)[0] + compiled(parameters, inputs, factors)[0]).backward()
    (expected,) = torch.autograd.grad(4 * squares(parameters, inputs).sum(), w)
    assert torch.allclose(w.grad, expected, rtol=1e-12)
    (first,) = torch.autograd.grad(compiled(parameters, inputs, factors)[0].square(), w, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()


@pytest.mark.slow
@needs_compiler
def test_a_function_of_the_number_of_points_compiles_for_each_and_then_not_at_all(monkeypatch, builds):
    monkeypatch.setattr(compiled_value, "MOST_GRAPHS", 3)

    def function(parameters, inputs):
        return (parameters["w"].sum() * inputs["c0"][: int(len(inputs["c0"]) / 2)]).square().sum()[None]

    compiled = CompiledLoss(function)
    for count in (40, 51, 40, 51):
        agree(compiled, function, *example(count))
    assert len(builds) == 2  # what is traced for any number of points serves none, and is not compiled
    with pytest.warns(UserWarning, match="every number of points"):
        agree(compiled, function, *example(60))
    agree(compiled, function, *example(40))


@pytest.mark.slow
def test_a_missing_compiler_does_not_end_the_run(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))  # else the kernels may come from the cache
    compiled, (parameters, inputs) = CompiledLoss(squares), example(40, 50)
    no_compiler = {"cpp.cxx": (str(tmp_path / "nonexistent"),), "fx_graph_cache": False}
    with torch._inductor.config.patch(no_compiler), pytest.warns(UserWarning, match="not compiled"):
        agree(compiled, squares, parameters, inputs)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        agree(compiled, squares, parameters, inputs)


def test_failure_to_compile_is_one_warning(monkeypatch):
    def broken(*args, **kwargs):
        raise RuntimeError("no compiler\nsecond line")

    monkeypatch.setattr(torch._inductor, "compile", broken)
    compiled, (parameters, inputs) = CompiledLoss(squares), example(4, 5)
    with pytest.warns(UserWarning, match="no compiler") as caught:
        agree(compiled, squares, parameters, inputs)
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        agree(compiled, squares, parameters, inputs)


@pytest.fixture
def known(monkeypatch):
    """A loss whose gradient is known, and its parameters; nothing is compiled for it."""
    monkeypatch.setattr(CompiledValue, "_graph", lambda *unused: None)
    parameters, inputs = example(4, 5)
    trained = [p for p in parameters.values() if p.requires_grad]

    def evaluate():
        return CompiledLoss(squares)(parameters, inputs, torch.tensor([1.0, 2.0], dtype=torch.float64))[0]

    return evaluate, trained


def test_a_known_gradient_is_left_as_the_autograd_engine_leaves_it(known):
    evaluate, trained = known
    (2 * evaluate()).backward()
    expected = [p.grad for p in trained]
    for p in trained:
        p.grad = None
    assert leave_gradient(evaluate())
    assert leave_gradient(evaluate())  # adds to what is there
    for p, gradient in zip(trained, expected, strict=True):
        assert (p.grad is None) == (gradient is None)
        assert gradient is None or torch.equal(p.grad, gradient)


def test_a_gradient_that_is_not_known_or_wanted_by_a_hook_is_left_to_the_engine(known):
    evaluate, trained = known
    assert not leave_gradient(2 * evaluate())
    assert not leave_gradient(trained[0].square().sum())
    assert not leave_gradient(evaluate().detach())
    for register in (trained[0].register_hook, trained[0].register_post_accumulate_grad_hook):
        handle = register(lambda unused: None)
        assert not leave_gradient(evaluate())
        handle.remove()
    assert all(p.grad is None for p in trained)
    assert leave_gradient(evaluate())


def test_gradients_can_be_changed_in_place(monkeypatch):
    monkeypatch.setattr(CompiledValue, "_graph", lambda *unused: None)
    both = {name: torch.ones(3, dtype=torch.float64, requires_grad=True) for name in "ab"}

    def product(parameters, inputs):
        return (parameters["a"] + parameters["b"]).square().sum()[None]

    evaluate = CompiledLoss(product)
    assert leave_gradient(evaluate(both, {"x": torch.ones(2, 1)}, torch.ones(1, dtype=torch.float64))[0])
    both["a"].grad.mul_(0)
    assert torch.equal(both["b"].grad, torch.full((3,), 4.0, dtype=torch.float64))


def test_a_gradient_is_laid_out_like_its_parameter():
    """Kernels that make a whole step go through the memory of both in one order: on a GPU they refuse another one."""
    parameter = torch.nn.Parameter(torch.zeros(2, 3, dtype=torch.float64))
    gradient = torch.arange(6, dtype=torch.float64).reshape(3, 2).T
    for times in (1, 2):
        assert leave_gradient(with_gradient(torch.tensor(1.0, dtype=torch.float64), [gradient], [parameter]))
        assert torch.equal(parameter.grad, times * gradient)
        assert parameter.grad.stride() == parameter.stride() != gradient.stride()
