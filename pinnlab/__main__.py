"""Entry point of the `pinnlab` command and of `python -m pinnlab`."""

from __future__ import annotations

import sys


def main() -> None:
    """Runs the command and exits with its code."""
    from pinnlab.cli import run  # here, so that importing this module costs nothing

    sys.exit(run())


if __name__ == "__main__":
    main()
