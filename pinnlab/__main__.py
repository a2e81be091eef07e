"""Entry point of the `pinnlab` command and of `python -m pinnlab`."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any, NoReturn

ENDING = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
"""Signals that end a command: a request, and a terminal that was closed. Windows has no SIGHUP."""


def main() -> None:
    """Runs the command and exits with its code."""
    # By default they end a process at once, whatever is half done. What is ignored, as by `nohup`, stays so.
    defaults = [number for number in ENDING if signal.getsignal(number) is signal.SIG_DFL]
    for number in defaults:
        signal.signal(number, _end)
    try:
        code = _carry_out()
    except KeyboardInterrupt:  # while torch is imported, which takes seconds: there is nothing to save or to say
        code = 128 + signal.SIGINT
    finally:
        for number in defaults:
            signal.signal(number, signal.SIG_DFL)
    sys.exit(code)


def _end(number: int, frame: Any) -> NoReturn:
    """Ends the command as Ctrl-C does: through whatever is to be put away first."""
    raise SystemExit(128 + number)


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
