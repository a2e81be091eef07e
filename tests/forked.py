"""Processes that begin in milliseconds: forked from a server that has imported torch, Lightning and pinnlab once."""

import multiprocessing

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["torch", "lightning", "pinnlab.cli.commands", "pinnlab.callbacks", "torch._dynamo"])


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
