"""Processes that begin in milliseconds: forked from a server that has imported torch, Lightning and pinnlab once."""

import math
import multiprocessing
import os
import sys

import torch

from pinnlab.__main__ import main
from pinnlab.callbacks import checkpoint

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    ["torch", "lightning", "pinnlab.cli.commands", "pinnlab.callbacks", "scipy.stats", "torch._dynamo"]
)


def forked(function, *arguments):
    """Starts a function of a module, with arguments that can be pickled, in a process of its own."""
    process = _CONTEXT.Process(target=function, args=arguments, daemon=True)
    process.start()
    return process


def pipe():
    """A way for such a process to send something: the end that receives, and the one that sends."""
    return _CONTEXT.Pipe(duplex=False)


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


def run_command(folder, *arguments):
    """The `pinnlab` command as this process, with its output in files of the folder; ends with its exit code.

    Checkpoints are written after every step: small runs are over before the first half minute.
    """
    for name, stream in (("output.txt", 1), ("error.txt", 2)):
        os.dup2(os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)
    os.chdir(folder)
    sys.argv = ["pinnlab", *map(str, arguments)]
    torch.set_num_threads(1)
    checkpoint.SHARE = math.inf
    main()
