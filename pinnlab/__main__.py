"""Entry point of the `pinnlab` command and of `python -m pinnlab`."""

from __future__ import annotations

import sys


def main() -> None:
    """Runs the command and exits with its code."""
    # Imported here, so that importing this module costs nothing.
    if sys.argv[1:2] == ["study"]:
        from pinnlab.studies.command import run_study_command

        sys.exit(run_study_command(sys.argv[2:]))
    from pinnlab.cli.commands import run

    sys.exit(run())


if __name__ == "__main__":
    main()
