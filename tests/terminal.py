"""A terminal for tests: what a program writes to one, and what stands on its screen in the end."""

import contextlib
import fcntl
import os
import struct
import sys
import termios
import threading

COLUMNS = 120


@contextlib.contextmanager
def terminal(monkeypatch):
    """Makes `sys.stderr` a pseudo-terminal; yields a list that holds what was written, afterwards."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, COLUMNS, 0, 0))
    pieces, written = [], []

    def read():
        with contextlib.suppress(OSError):  # the other end was closed
            while piece := os.read(ours, 65536):
                pieces.append(piece)

    reader = threading.Thread(target=read)
    reader.start()
    stream = open(theirs, "w", buffering=1)  # noqa: SIM115
    try:
        with monkeypatch.context() as patch:
            patch.delenv("COLUMNS", raising=False)
            patch.setattr(sys, "stderr", stream)
            yield written
    finally:
        stream.close()
        reader.join()
        os.close(ours)
        written.append(b"".join(pieces).decode())


def screen(written):
    """The lines that stand on a terminal which was sent this: carriage returns and cursor movements are carried out."""
    lines, row, column, k = [""], 0, 0, 0
    while k < len(written):
        mark = written[k]
        k += 1
        if mark == "\r":
            column = 0
        elif mark == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif mark == "\x1b":
            assert written[k : k + 2] == "[A", f"unknown movement {written[k : k + 5]!r}"
            row, k = row - 1, k + 2
        else:
            assert column < COLUMNS, f"too long for the terminal: {lines[row]!r}"
            lines[row] = lines[row].ljust(column)[:column] + mark + lines[row][column + 1 :]
            column += 1
    return [line.rstrip() for line in lines]
