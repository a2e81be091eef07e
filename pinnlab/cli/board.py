"""`pinnlab board [FOLDER]`: TensorBoard on the runs, opened where the charts that matter are."""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from pinnlab.cli.catalog import RUNS
from pinnlab.errors import ConfigurationError

PAGE = "#custom_scalars&_smoothingWeight=0"
"""The charts by subject, as they were measured: TensorBoard would open on all tags in the order of the alphabet."""

IMAGES = 100
"""Of each tag that can be looked at: all frames of a movie, where TensorBoard keeps ten."""


def run_board(arguments: Sequence[str]) -> int:
    """Carries out `pinnlab board` until it is interrupted, and answers for its errors.

    Args:
        arguments: what follows `board`.

    Returns:
        The exit code: 0 done, 2 bad input.
    """
    options = _parser().parse_args(arguments)
    try:
        url = start(options.folder, options.host, options.port)
    except ConfigurationError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    try:
        print(f"TensorBoard on {options.folder}: {url}\nCtrl-C ends it", flush=True)
        threading.Event().wait()
    except KeyboardInterrupt:
        print()
    return 0


def start(folder: Path, host: str = "localhost", port: int | None = None) -> str:
    """Starts TensorBoard in a thread of this process, and returns the address of the page to look at.

    Args:
        folder: of all runs, or of one.
        host: whose requests it answers: `localhost` those of this machine.
        port: 6006 by default, or the next one that is free.

    Raises:
        ConfigurationError: there is no such folder, or the port is taken.
    """
    if not folder.is_dir():
        raise ConfigurationError(f"there are no runs in {folder}: `pinnlab fit -c burgers` makes one")
    from tensorboard import program  # slow, and only this command has it

    board = program.TensorBoard()
    where = ["--logdir", str(folder), "--host", host, *([] if port is None else ["--port", str(port)])]
    # Its fast loader says at every start that it is an experiment.
    board.configure([None, *where, "--samples_per_plugin", f"images={IMAGES}", "--load_fast", "false"])
    try:
        return f"{board.launch()}{PAGE}"
    except program.TensorBoardServerException as error:
        raise ConfigurationError(f"--port: {error.msg}") from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "pinnlab board", description="Shows runs in TensorBoard, beginning with losses and errors in powers of ten."
    )
    parser.add_argument(
        "folder",
        nargs="?",
        type=Path,
        default=Path(RUNS),
        metavar="FOLDER",
        help="of all runs, or of one; default: runs",
    )
    parser.add_argument("--host", default="localhost", help="0.0.0.0 lets other machines look; default: localhost")
    parser.add_argument("--port", type=int, help="default: 6006, or the next one that is free")
    return parser
