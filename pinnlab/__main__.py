"""Entry point of the `pinnlab` command and of `python -m pinnlab`."""

from __future__ import annotations

import os
import signal
import sys


def main() -> None:
    """Runs the command and exits with its code."""
    try:
        code = _carry_out()
    except KeyboardInterrupt:  # while torch is imported, which takes seconds: there is nothing to save or to say
        code = 128 + signal.SIGINT
    sys.exit(code)


def _carry_out() -> int:
    # Imported here, so that importing this module costs nothing.
    from pinnlab.cli.dispatch import answer
    from pinnlab.cli.outlet import steady, unwritten

    sys.stdout, sys.stderr = steady(sys.stdout), steady(sys.stderr)
    try:
        here = os.getcwd()
    except FileNotFoundError:
        print("error: the current folder was removed; change to another one", file=sys.stderr)
        return 2
    if here not in sys.path and "" not in sys.path:
        sys.path.append(here)  # where the user's own classes are; last, so that they hide no package
    code = answer(sys.argv[1:])
    if code is None:
        code = {"study": _study, "compare": _compare, "board": _board}.get(sys.argv[1], _train)()
    lost = unwritten()
    if lost is None:
        return code
    print(f"error: {lost}", file=sys.stderr)
    return code or 1


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
