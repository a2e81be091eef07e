"""In one process every collective is the identity; `tests/ddp` runs them on two."""

import torch

from pinnlab.numerics import distributed


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
    monkeypatch.setattr(distributed.dist, "get_backend", lambda: "gloo")
    for share in shares:
        assert torch.equal(distributed.unshard(share, 7), rows)


def test_thinned_rows_are_the_same_on_any_number_of_processes(monkeypatch):
    rows = torch.arange(37.0)[:, None]
    for most, expected in ((40, 37), (37, 37), (36, 19), (10, 10), (1, 1)):
        monkeypatch.undo()
        whole = distributed.thin(rows, most)
        assert len(whole) == expected
        monkeypatch.setattr(distributed, "all_sum", lambda counts: torch.full_like(counts, 37))
        monkeypatch.setattr(distributed, "world_size", lambda: 3)
        parts = []
        for k in range(3):
            monkeypatch.setattr(distributed, "rank", lambda k=k: k)
            parts.append(distributed.thin(rows[k::3], most))
        assert torch.equal(torch.cat(parts).sort(0).values, whole)
