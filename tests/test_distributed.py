"""In one process every collective is the identity; `tests/ddp` runs them on two."""

import torch

from pinnlab import distributed


def test_identities_in_one_process():
    rows = torch.arange(6.0).reshape(3, 2)
    assert (distributed.rank(), distributed.world_size()) == (0, 1)
    assert distributed.all_sum(rows) is rows
    assert torch.equal(distributed.shard(rows), rows)
    assert torch.equal(distributed.unshard(rows, 3), rows)
    assert distributed.gather(rows) is rows
    assert distributed.any_rank(True) is True
    assert distributed.any_rank(False) is False


def test_shards_of_uneven_length_come_together_again(monkeypatch):
    """The arithmetic of `unshard`, with the gather replaced by what other ranks would send."""
    rows = torch.arange(14.0).reshape(7, 2)
    shares = [rows[k::3] for k in range(3)]
    monkeypatch.setattr(distributed, "world_size", lambda: 3)

    def gather(outputs, padded):
        for output, share in zip(outputs, shares, strict=True):
            output.zero_()
            output[: len(share)] = share

    monkeypatch.setattr(distributed.dist, "all_gather", gather)
    for share in shares:
        assert torch.equal(distributed.unshard(share, 7), rows)
