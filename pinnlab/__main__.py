"""Entry point of the `pinnlab` command and of `python -m pinnlab`."""

from __future__ import annotations

import io
import os
import signal
import sys


def main() -> None:
    """Runs the command and exits with its code."""
    # Imported here, so that importing this module costs nothing.
    from pinnlab.cli.dispatch import answer

    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.append(os.getcwd())  # where the user's own classes are; last, so that they hide no package
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as stderr: a name that it cannot write ends no run
    try:
        code = answer(sys.argv[1:])
        if code is None:
            code = {"study": _study, "compare": _compare, "board": _board}.get(sys.argv[1], _train)()
    except KeyboardInterrupt:  # while torch is imported, which takes seconds: there is nothing to save or to say
        code = 128 + signal.SIGINT
    sys.exit(code)


def _study() -> int:
    from pinnlab.studies.command import run_study_command

    return run_study_command(sys.argv[2:])


def _compare() -> int:
    from pinnlab.cli.compare import run_compare

    return run_compare(sys.argv[2:])


def _board() -> int:
    from pinnlab.cli.board import run_board

    return run_board(sys.argv[2:])


def _train() -> int:
    from pinnlab.cli.commands import run

    return run()


if __name__ == "__main__":
    main()
