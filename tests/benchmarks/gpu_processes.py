"""Processes of `bench_gpu`: recipes by the command, and parts of itself; each is ended when its time is over."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
THREADS = {"OMP_NUM_THREADS": "2"}
FOUND = {"PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))}
BEGINS = 10.0
"""Seconds that a part's process takes to begin, and to end what it is at."""


def ending(code: int, errors: str) -> str:
    """What is said of a process that failed."""
    return f"exit code {code}: {(errors.strip().splitlines() or ['?'])[-1][:90].replace('|', '/')}"


def kill(process: subprocess.Popen[str]) -> None:
    """Ends a process that has a session of its own, with all that it has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


class Clock:
    """How much time is left."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds."""
        return self._end - time.monotonic()


class Recipe:
    """A recipe that runs by the command in a process of its own."""

    def __init__(self, name: str, accelerator: str, small: bool, environment: dict[str, str], *options: str) -> None:
        self.folder = tempfile.TemporaryDirectory()
        short = ["--trainer.max_steps=2", "--model.compile=false", "--data.evaluation_points=300"] if small else []
        command = [sys.executable, "-m", "pinnlab", "fit", "-c", name, f"--trainer.accelerator={accelerator}"]
        self._begin, self._stderr = time.monotonic(), ""
        self.seconds: float | None = None
        self.process = subprocess.Popen(
            [*command, "--trainer.devices=1", *short, *options], cwd=self.folder.name,
            env={**os.environ, **FOUND, **environment}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            start_new_session=True,
        )  # fmt: skip
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def _follow(self) -> None:
        _, self._stderr = self.process.communicate()
        self.seconds = time.monotonic() - self._begin

    def wait(self, seconds: float) -> bool:
        """Whether it is over within so many seconds."""
        self._thread.join(max(seconds, 0.0))
        return self.seconds is not None

    def end(self) -> str:
        """Seconds, and the error where it is measured; ends it where it is not over."""
        if not self.wait(0):
            kill(self.process)
            return f"not over after {time.monotonic() - self._begin:.0f} s"
        if self.process.returncode:
            return ending(self.process.returncode, self._stderr)
        summaries = (json.loads(path.read_text()) for path in Path(self.folder.name).rglob("summary.json"))
        errors = [f"{max(found):.1e}" for summary in summaries if (found := summary["relative_l2"].values())]
        return ", ".join([*errors, f"{self.seconds:.1f} s"])


def apart(script: Path, part: str, small: bool, clock: Clock) -> Iterator[str]:
    """The lines of a part that computes, from a process of its own."""
    command = [sys.executable, str(script), "--part", part, "--seconds", str(clock.left - BEGINS)]
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            [*command, "--small"] if small else command, env={**os.environ, **FOUND}, stdout=subprocess.PIPE,
            stderr=errors, text=True, start_new_session=True,
        )  # fmt: skip
        timer = threading.Timer(max(clock.left, 0.0), kill, [process])
        timer.start()
        try:
            for line in process.stdout or ():
                yield line.rstrip("\n")
            if process.wait():
                errors.seek(0)
                yield f"{part}: {'no time for more' if clock.left < 0 else ending(process.returncode, errors.read())}"
        finally:
            timer.cancel()
            kill(process)
