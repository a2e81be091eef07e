"""Metrics against numpy, over uneven chunks and over two processes."""

from __future__ import annotations

import copy
import itertools
import pickle

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from pinnlab.analysis.metrics import MaxError, RelativeL2, max_error, mean_relative_l2, relative_l2
from pinnlab.errors import ConfigurationError

FUNCTIONS = {RelativeL2: relative_l2, MaxError: max_error}
UNEVEN = (0, 1, 8, 8, 50, 101)


@pytest.fixture
def pair():
    rng = np.random.default_rng(0)
    target = rng.standard_normal(101)
    return target + 1e-3 * rng.standard_normal(101), target


def tensors(pair, dtype=torch.float64):
    return tuple(torch.tensor(values, dtype=dtype) for values in pair)


def test_functions_agree_with_numpy(pair):
    u, reference = pair
    expected = np.linalg.norm(u - reference) / np.linalg.norm(reference)
    assert relative_l2(*tensors(pair)).item() == pytest.approx(expected, rel=1e-13)
    assert max_error(*tensors(pair)).item() == np.abs(u - reference).max()


def test_relative_l2_is_neither_rms_nor_divided_by_the_number_of_points(pair):
    u, reference = tensors(pair)
    four = relative_l2(u.repeat(4), reference.repeat(4))
    torch.testing.assert_close(four, relative_l2(u, reference), rtol=1e-13, atol=0)
    torch.testing.assert_close(relative_l2(7 * u, 7 * reference), four, rtol=1e-13, atol=0)
    rms = (u - reference).square().mean().sqrt()
    assert abs(relative_l2(u, reference) / rms - 1) > 0.01


@pytest.mark.parametrize("metric_class", FUNCTIONS)
def test_uneven_chunks_equal_the_whole(pair, metric_class):
    u, reference = tensors(pair)
    metric = metric_class()
    for start, stop in itertools.pairwise(UNEVEN):
        metric.update(u[start:stop], reference[start:stop])
    torch.testing.assert_close(metric.compute(), FUNCTIONS[metric_class](u, reference), rtol=1e-13, atol=0)
    metric.reset()
    metric.update(u[:3], reference[:3])
    expected = FUNCTIONS[metric_class](u[:3], reference[:3])
    torch.testing.assert_close(metric.compute(), expected, rtol=1e-13, atol=0)


@pytest.mark.parametrize("metric_class", FUNCTIONS)
def test_forward_gives_the_batch_and_gathers_the_whole(pair, metric_class):
    u, reference = tensors(pair)
    metric = metric_class()
    batch = metric(u[:40], reference[:40])
    metric(u[40:], reference[40:])
    function = FUNCTIONS[metric_class]
    torch.testing.assert_close(batch, function(u[:40], reference[:40]), rtol=1e-13, atol=0)
    torch.testing.assert_close(metric.compute(), function(u, reference), rtol=1e-13, atol=0)


@pytest.mark.parametrize("metric_class", FUNCTIONS)
def test_pickle_and_copy_keep_the_states(pair, metric_class):
    metric = metric_class()
    metric.update(*tensors(pair))
    for twin in (pickle.loads(pickle.dumps(metric)), copy.deepcopy(metric)):
        assert twin.compute() == metric.compute()


@pytest.mark.parametrize("metric_class", FUNCTIONS)
def test_states_stay_float64_for_float32_networks(pair, metric_class):
    u, reference = tensors(pair, torch.float32)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        metric = torch.nn.ModuleDict({"u": metric_class()}).float()["u"]
        metric.update(u, reference)
    finally:
        torch.set_default_dtype(before)
    assert metric.compute().dtype == torch.float64
    expected = FUNCTIONS[metric_class](u.double(), reference.double())
    torch.testing.assert_close(metric.compute(), expected, rtol=1e-13, atol=0)


@pytest.mark.parametrize("repeats", [1, 50])
def test_a_zero_reference_gives_the_root_mean_square_of_any_number_of_points(repeats):
    u = torch.tensor([1.0, -7.0]).repeat(repeats)
    assert relative_l2(u, 0 * u) == 5
    metric = RelativeL2()
    metric.update(u, 0 * u)
    metric.update(u, 0 * u)
    assert metric.compute() == 5
    both, owner = torch.cat([u, 2 * u]), torch.arange(2).repeat_interleave(len(u))
    assert mean_relative_l2(both, 0 * both, owner) == 7.5
    functions = RelativeL2(2)
    functions.update(both, 0 * both, owner)
    assert functions.compute() == 7.5


@pytest.mark.parametrize("metric_class", FUNCTIONS)
def test_nan_is_not_hidden(metric_class):
    metric = metric_class()
    metric.update(torch.tensor([1.0, float("nan")]), torch.ones(2))
    metric.update(torch.ones(2), torch.ones(2))
    assert metric.compute().isnan()


@pytest.mark.parametrize("shapes", [((5, 1), (5,)), ((5,), (4,)), ((5, 2), (5, 2)), ((), ())])
@pytest.mark.parametrize("function", FUNCTIONS.values())
def test_shapes_that_would_broadcast_are_refused(function, shapes):
    with pytest.raises(ConfigurationError, match="same shape"):
        function(torch.zeros(shapes[0]), torch.zeros(shapes[1]))


def _two_processes(rank, folder, u, reference):
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    mine = slice(0, 90) if rank == 0 else slice(90, None)
    results = []
    for metric_class in FUNCTIONS:
        metric = metric_class()
        metric.update(u[mine], reference[mine])
        results.append(metric.compute())
    torch.save(torch.stack(results), f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_with_uneven_shards_agree_with_one(pair, tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    u, reference = tensors(pair)
    mp.spawn(_two_processes, args=(str(tmp_path), u, reference), nprocs=2)
    expected = torch.stack([function(u, reference) for function in FUNCTIONS.values()])
    for rank in range(2):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        torch.testing.assert_close(found, expected, rtol=1e-13, atol=0)


def test_the_error_of_an_operator_is_the_mean_over_its_functions():
    generator = torch.Generator().manual_seed(0)
    prediction, target = torch.randn(2, 12, generator=generator, dtype=torch.float64)
    target[4:8] *= 100.0  # which decides the pooled error alone
    parts = [float(relative_l2(prediction[k : k + 4], target[k : k + 4])) for k in (0, 4, 8)]
    function = torch.arange(12) // 4
    assert float(mean_relative_l2(prediction, target, function)) == pytest.approx(sum(parts) / 3)
    order = torch.randperm(12, generator=generator)[:10]  # some are not known
    seen = [float(relative_l2(prediction[o], target[o])) for o in (order[function[order] == k] for k in range(3))]
    found = mean_relative_l2(prediction[order], target[order], function[order])
    assert float(found) == pytest.approx(sum(seen) / 3)
    metric = RelativeL2(functions=5)  # of two there are no points
    for rows in (slice(0, None, 2), slice(1, None, 2)):  # as two processes have them
        metric.update(prediction[rows], target[rows], function[rows])
    assert float(metric.compute()) == pytest.approx(sum(parts) / 3)
