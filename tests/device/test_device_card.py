"""The card that is not there refuses what a real one refuses, and says so in the same words where it can."""

import io

import numpy as np
import pytest
import torch
from card import card
from devices import fetched


@pytest.fixture
def device():
    with card() as there:
        yield there


def there(device, *shape):
    return torch.arange(float(torch.Size(shape).numel()), dtype=torch.float64).reshape(shape).to(device)


@pytest.mark.parametrize("make", [lambda t: t.numpy(), np.asarray], ids=["numpy", "asarray"])
def test_no_arrays_of_its_memory(device, make):
    with pytest.raises(RuntimeError, match="numpy"):
        make(there(device, 3))


def test_no_tensors_in_two_places(device):
    with pytest.raises(RuntimeError, match="one device"):
        there(device, 3) + torch.ones(3)
    assert fetched(there(device, 3) + torch.tensor(1.0)).tolist() == [1.0, 2.0, 3.0]


def test_no_least_squares_by_another_driver(device):
    with pytest.raises(RuntimeError, match="driver"):
        torch.linalg.lstsq(there(device, 3, 2), there(device, 3, 1), driver="gelsd")
    torch.linalg.lstsq(there(device, 3, 2), there(device, 3, 1), driver="gels")


def test_no_sums_in_any_order(device):
    twice, once = torch.tensor([0, 0, 1]).to(device), torch.tensor([2, 0, 1]).to(device)
    parameter = there(device, 3).requires_grad_()
    for sums in (
        lambda numbers: there(device, 3).index_add(0, numbers, there(device, 3)),
        lambda numbers: there(device, 2, 3).scatter_add(1, numbers.expand(2, 3), there(device, 2, 3)),
        lambda numbers: parameter.index_select(0, numbers).sum().backward(),
    ):
        sums(once)
        with pytest.raises(RuntimeError, match="order"):
            sums(twice)
    there(device, 3)[twice].requires_grad_().sum().backward()
    torch.zeros(3, dtype=torch.long, device=device).index_add(0, twice, torch.ones_like(twice))  # numbers are exact


def test_no_lists_as_indices(device):
    """Their numbers go to torch's own device of this name, where they are lost."""
    with pytest.raises(NotImplementedError, match="list as an index"):
        there(device, 2, 3)[:, [0, 2]]
    assert fetched(there(device, 2, 3)[:, torch.tensor([0, 2])]).tolist() == [[0.0, 2.0], [3.0, 5.0]]


def test_what_is_saved_is_read_to_the_cpu(device):
    file = io.BytesIO()
    torch.save({"w": there(device, 3)}, file)
    file.seek(0)
    found = torch.load(file, weights_only=True)["w"]
    assert found.device.type == "cpu"
    assert found.tolist() == [0.0, 1.0, 2.0]
