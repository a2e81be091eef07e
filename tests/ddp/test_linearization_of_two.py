"""Two gloo processes linearize as one does, to 1e-12, also with uneven and with empty shares."""

import pytest
import torch
from run_linearization import SHARES, measure, problem_of, save, spectra
from two_ranks import on_two_ranks

from pinnlab.objective.linearization import Linearization, LinearizedFunctions


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return on_two_ranks(save, tmp_path_factory.mktemp("linearization"))


def one_process(kind):
    """The same points in one process, and where its residuals stand among those of two."""
    system, batches, factors = problem_of(kind)
    whole = {name: torch.cat([batch[name] for batch in batches]) for name in batches[0]}
    order, start = [[], []], 0
    for name in whole:
        for rank, batch in enumerate(batches):
            order[rank] += range(start, start + len(batch[name]))
            start += len(batch[name])
    functions = LinearizedFunctions(system)
    return Linearization(functions, system.trial.tensors(), whole, factors), torch.tensor(order[0] + order[1])


class Reordered:
    """A linearization with its residuals in another order."""

    def __init__(self, inner, order):
        self._inner, self._order, self.shape = inner, order, inner.shape
        self.loss, self.gradient, self.gram = inner.loss, inner.gradient, inner.gram
        self.hessian_times = inner.hessian_times

    def triangle(self):
        return self._inner.triangle()

    def residual(self):
        return self._inner.residual()[self._order]

    def kernel(self):
        return self._inner.kernel()[self._order][:, self._order]

    def times(self, v):
        return self._inner.times(v)[self._order]

    def transposed_times(self, u):
        return self._inner.transposed_times(torch.empty_like(u).index_copy(0, self._order, u))

    def products(self):
        push, pull = self._inner.products()
        return lambda v: push(v)[self._order], lambda u: pull(torch.empty_like(u).index_copy(0, self._order, u))

    def row_scaled(self):
        return Reordered(self._inner.row_scaled(), self._order)


@pytest.mark.parametrize("memory", [1 << 30, 0])
@pytest.mark.parametrize("kind", SHARES)
def test_two_processes_agree_with_one(results, kind, memory):
    expected = measure(Reordered(*one_process(kind)))
    for result in results:
        for name, found in result[f"{kind} {memory}"].items():
            bound = 1e-12 * float(expected[name].abs().max())
            assert found.shape == expected[name].shape, name
            assert (found - expected[name]).abs().max() <= bound, name


@pytest.mark.parametrize("memory", [1 << 30, 0])
@pytest.mark.parametrize("kind", SHARES)
def test_two_processes_have_the_spectra_of_one(results, kind, memory):
    expected = spectra(one_process(kind)[0])
    assert expected.keys() >= {"matrix pde", "lanczos wall", "lanczos total", "measured"}
    for result in results:
        for name, found in result[f"{kind} {memory} spectra"].items():
            bound = 1e-10 * float(expected[name].abs().max())
            assert found.shape == expected[name].shape, name
            assert (found - expected[name]).abs().max() <= bound, name


@pytest.mark.parametrize("part", ["", " spectra"])
def test_both_processes_have_the_same_bits(results, part):
    first, second = (result[f"uneven 0{part}"] for result in results)
    for name, found in first.items():
        assert torch.equal(found, second[name]), name


def test_gather_takes_uneven_rows(results):
    for result in results:
        assert torch.equal(result["gather"], torch.arange(3.0).reshape(-1, 3))
