"""Two gloo processes have the gradients that one has, to 1e-12, also with uneven and with empty shares."""

import pytest
import torch
from run_gradients import CHUNKS, gradients_of, losses_of, save
from run_linearization import SHARES, problem_of
from two_ranks import on_two_ranks


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return on_two_ranks(save, tmp_path_factory.mktemp("gradients"))


def joined(kind, chunks=1):
    """The rows of both ranks by chunk, each in one process; `chunks=1` is the whole batch."""
    batches = problem_of(kind)[1]
    parts = [{name: torch.cat([b[name][k::chunks] for b in batches]) for name in batches[0]} for k in range(chunks)]
    return [part for part in parts if any(map(len, part.values()))]


@pytest.mark.parametrize("kind", SHARES)
def test_two_processes_agree_with_one(results, kind):
    by_chunk = {
        chunks: torch.cat([gradients_of(kind, rows).by_chunk(1) for rows in joined(kind, chunks)])
        for chunks in (CHUNKS, 8)
    }
    whole = gradients_of(kind, joined(kind)[0]).by_condition()
    expected = {"conditions": whole, "chunks": by_chunk[CHUNKS], "many": by_chunk[8]}
    for result in results:
        for name, values in expected.items():
            found = result[kind][name]
            assert found.shape == values.shape, name
            assert (found - values).abs().max() <= 1e-12 * values.abs().max(), name
        assert result[kind]["evaluations"] == len(whole) + 2


def test_both_processes_have_the_same_bits(results):
    first, second = (result["uneven"] for result in results)
    for name, found in first.items():
        assert torch.equal(found, second[name]), name


@pytest.mark.parametrize("kind", SHARES)
def test_the_loss_is_that_of_one_and_the_same_bits_on_both(results, kind):
    """Line searches compare its last bits: were they not the same, ranks would branch differently and wait forever."""
    first, second = (result[kind]["losses"] for result in results)
    assert torch.equal(first, second)
    torch.testing.assert_close(first, losses_of(kind, joined(kind)[0]), rtol=1e-12, atol=0)
