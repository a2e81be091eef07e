"""Lists of tensors of several kinds are copied kind by kind."""

import torch

from pinnlab.numerics import tensor_lists
from pinnlab.numerics.tensor_lists import copies, copy_all

MIXED = [
    torch.arange(3, dtype=torch.float64),
    torch.tensor(2.0),
    torch.arange(4),
    torch.arange(6, dtype=torch.float64).reshape(2, 3).T,
    torch.tensor([3.5]),
]


def test_every_tensor_has_its_copy():
    found = copies(MIXED)
    assert all(torch.equal(one, other) for one, other in zip(found, MIXED, strict=True))
    assert not {t.data_ptr() for t in found} & {t.data_ptr() for t in MIXED}


def test_every_tensor_is_copied_to_its_place():
    targets = [torch.zeros_like(t) for t in MIXED]
    copy_all(targets, MIXED)
    assert all(torch.equal(one, other) for one, other in zip(targets, MIXED, strict=True))


def test_one_launch_for_each_kind(monkeypatch):
    """A list of several kinds goes tensor by tensor."""
    seen = []
    real = torch._foreach_copy_
    monkeypatch.setattr(torch, "_foreach_copy_", lambda to, of: (seen.append({t.dtype for t in to}), real(to, of)))
    copy_all([torch.zeros_like(t) for t in MIXED], MIXED)
    assert seen == [{torch.float64}, {torch.float32}, {torch.int64}]


def test_nothing_is_copied_of_nothing():
    assert copies([]) == []
    copy_all([], [])
    assert tensor_lists._by_dtype([]) == []
