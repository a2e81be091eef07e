"""Processes that begin in milliseconds: forked from a server that has imported torch, Lightning and pinnlab once."""

import math
import multiprocessing
import os
import socket
import sys
import time
import warnings

import torch
from lightning.pytorch.utilities.rank_zero import rank_zero_only
from unseen import leave_out

from pinnlab.__main__ import main
from pinnlab.callbacks import checkpoint

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    ["torch", "lightning", "pinnlab.cli.commands", "pinnlab.callbacks", "scipy.stats", "torch._dynamo"]
)


def forked(function, *arguments):
    """Starts a function of a module, with arguments that can be pickled, in a process of its own."""
    process = CONTEXT.Process(target=function, args=arguments, daemon=True)
    process.start()
    return process


def pipe():
    """A way for such a process to send something: the end that receives, and the one that sends."""
    return CONTEXT.Pipe(duplex=False)


def finish(process, seconds=120.0):
    """Waits for a process's end; what is left then is killed.

    Returns:
        The exit code, negative for a signal.
    """
    process.join(seconds)
    if process.is_alive():
        process.kill()
        process.join()
        raise TimeoutError(f"still running after {seconds} s")
    return process.exitcode


def on_ranks(processes, folder, function, *arguments, seconds=200.0):
    """Calls a function of a module as each of several ranks, the number of which is its first argument.

    To Lightning they are processes of a cluster, which has started them. What they complain of goes into the folder.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    errors = [folder / f"errors-{rank}.txt" for rank in range(processes)]
    ranks = [
        forked(_as_rank, errors[rank], rank if processes > 1 else None, port, function, *arguments)
        for rank in range(processes)
    ]
    end = time.monotonic() + seconds
    try:
        while any(rank.is_alive() for rank in ranks) and not any(rank.exitcode for rank in ranks):
            assert time.monotonic() < end, f"still running after {seconds} s"
            ranks[0].join(0.05)
    finally:
        for rank in ranks:
            rank.kill()  # one that fails leaves the other waiting for it
            rank.join()
    assert [rank.exitcode for rank in ranks] == [0] * processes, "".join(e.read_text()[-3000:] for e in errors)


def _as_rank(errors, rank, port, function, *arguments):
    os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
    if rank is not None:
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "LOCAL_RANK": str(rank)}
        rank_zero_only.rank = rank  # set when Lightning is imported, which the server has done
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    function(rank or 0, *arguments)


def run_command(folder, *arguments):
    """The `pinnlab` command as this process, with its output in files of the folder; ends with its exit code.

    Checkpoints are written after every step: small runs are over before the first half minute. No figures are made.
    """
    leave_out()
    for name, stream in (("output.txt", 1), ("error.txt", 2)):
        os.dup2(os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)
    os.chdir(folder)
    sys.argv = ["pinnlab", *map(str, arguments)]
    torch.set_num_threads(1)
    checkpoint.SHARE = math.inf
    main()
