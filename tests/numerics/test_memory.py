"""What is free, and what is refused because it is not."""

import resource
import subprocess
import sys

import pytest
import torch

from pinnlab.errors import ConfigurationError
from pinnlab.numerics import memory
from pinnlab.numerics.memory import check_fits, fits, free_bytes

GIB = 2**30
MEMINFO = "MemTotal:       16000000 kB\nMemFree:          100000 kB\nMemAvailable:    8388608 kB\n"


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine with 8 GiB available, in a control group that says nothing."""
    (tmp_path / "meminfo").write_text(MEMINFO)
    monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "_GROUP", tmp_path)
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    return tmp_path


def test_what_the_machine_has_is_free(machine):
    assert free_bytes() == 8 * GIB


def test_a_control_group_leaves_less(machine):
    for name, value in (("memory.max", 4 * GIB), ("memory.current", 3 * GIB)):
        (machine / name).write_text(f"{value}\n")
    assert free_bytes() == GIB
    (machine / "memory.stat").write_text(f"anon 5\ninactive_file {GIB}\n")
    assert free_bytes() == 2 * GIB
    (machine / "memory.max").write_text("max\n")
    assert free_bytes() == 8 * GIB


def test_the_ranks_of_a_machine_share_what_it_has(machine, monkeypatch):
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert free_bytes() == 2 * GIB
    (machine / "statm").write_text("0 10 10 1 0 10 0\n")
    monkeypatch.setattr(memory, "_STATM", machine / "statm")
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (GIB, resource.RLIM_INFINITY))
    assert free_bytes() == GIB  # a limit of each


def test_ranks_that_nobody_counted_are_here_where_the_first_one_is(machine, monkeypatch):
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    monkeypatch.setattr(memory.distributed, "world_size", lambda: 2)
    for address, free in (("127.0.0.1", 4 * GIB), ("node7", 8 * GIB)):
        monkeypatch.setenv("MASTER_ADDR", address)
        assert free_bytes() == free


def test_a_limit_of_address_space_leaves_less(machine, monkeypatch):
    (machine / "statm").write_text("1000 10 10 1 0 10 0\n")
    monkeypatch.setattr(memory, "_STATM", machine / "statm")
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (5 * GIB, resource.RLIM_INFINITY))
    assert free_bytes() == 5 * GIB - 1000 * resource.getpagesize()


def test_a_real_limit_is_seen():
    script = "from pinnlab.numerics.memory import free_bytes, _available; print(free_bytes() < 9e9 - 1e8)"
    shown = subprocess.run(
        ["bash", "-c", f"ulimit -v 8789062; exec {sys.executable} -c '{script}'"], capture_output=True, text=True
    )
    assert shown.stdout == "True\n", shown.stderr[-500:]


def test_where_nothing_is_told_all_fits(machine, monkeypatch):
    monkeypatch.setattr(memory, "_MEMINFO", machine / "nothing")
    assert free_bytes() == float("inf")
    check_fits("x", 1e18, "cpu", "")
    assert free_bytes("meta") == float("inf")


def test_a_gpu_counts_what_torch_keeps_for_reuse(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (3 * GIB, 80 * GIB))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 2 * GIB)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: GIB)
    assert free_bytes("cuda") == 4 * GIB


def test_what_does_not_fit_is_refused_with_both_sizes_and_a_way_out(machine):
    check_fits("form", 8 * GIB, "cpu", "use dual")
    with pytest.raises(ConfigurationError, match=r"^form takes 52\.7 GiB, of which 8\.0 GiB are free; use dual$"):
        check_fits("form", 52.7 * GIB, "cpu", "use dual")


def test_small_things_are_not_asked_for(monkeypatch):
    monkeypatch.setattr(memory, "free_bytes", lambda device: 0.0)
    assert fits(memory.SMALL)
    assert not fits(memory.SMALL + 1)
