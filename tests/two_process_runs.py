"""Runs of the command on two processes, to be interrupted."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from forked import finish, forked, run_command

TINY = (
    "fit", "-c", "poisson1d", "--model.compile=false", "--model.network.hidden=[8, 8]",
    "--data.points={pde: 32, boundary: 2}", "--model.phases=[{optimizer: Adam, steps: 100000}]",
)  # fmt: skip
TWO = ("--trainer.devices=2", "--trainer.strategy=ddp", "--trainer.accelerator=cpu")
SAVING = (
    "--trainer.callbacks=[{class_path: ModelCheckpoint, init_args: "
    "{every_n_train_steps: 20, save_last: true, save_on_train_epoch_end: false}}]"
)
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def alive(pid):
    """Whether a process is there and is not only waiting to be collected."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _is_rank(pid):
    """Whether a child is a rank and not one that, say, asks for the name of a processor."""
    try:
        return b"LOCAL_RANK=1" in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False


@dataclass
class Ended:
    """How a run ended."""

    code: int
    seconds: float  # from the signal to the end of the last rank
    error: str

    @property
    def shell_code(self):
        """The exit code as shells have it: 128 + the number of the signal that killed the process."""
        return 128 - self.code if self.code < 0 else self.code


class TwoProcessRun:
    """`pinnlab fit`, or another program with its arguments, on two processes in a session of their own."""

    def __init__(self, folder, *options, program=("-m", "pinnlab")):
        self.folder = folder
        self._error = folder / "error.txt"
        with self._error.open("w") as error, (folder / "output.txt").open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, *program, *TINY, *TWO, *options],
                cwd=folder, env=ENVIRONMENT, stdout=output, stderr=error, start_new_session=True,
            )  # fmt: skip

    def ranks(self):
        """The processes' numbers, rank 0 first; the other one is not there at the beginning."""
        own = self.process.pid
        children = Path(f"/proc/{own}/task/{own}/children")
        found = children.read_text().split() if children.exists() else []
        return [own, *(int(pid) for pid in found if _is_rank(pid))]

    def checkpoint(self):
        """The newest `last.ckpt`, or None."""
        return next(iter(sorted(self.folder.rglob("last.ckpt"))), None)

    def wait_for(self, pattern, timeout=60.0):
        """Waits until the run has written a file of this name."""
        end = time.monotonic() + timeout
        while not list(self.folder.rglob(pattern)):
            assert time.monotonic() < end, f"no {pattern}: {self._error.read_text()[-2000:]}"
            assert self.process.poll() is None, self._error.read_text()[-2000:]
            time.sleep(0.02)

    def send(self, number, to):
        """Sends a signal to `parent`, `group` or `rank` (the last one) and waits for the end of all ranks."""
        ranks, begin = self.ranks(), time.monotonic()
        if to == "group":
            os.killpg(self.process.pid, number)
        else:
            os.kill(ranks[0] if to == "parent" else ranks[-1], number)
        return self.end(ranks, begin)

    def end(self, ranks, begin, timeout=60.0):
        """Waits for the end of all ranks; kills what is left when the time is over."""
        try:
            code = self.process.wait(timeout)
            while any(map(alive, ranks)) and time.monotonic() < begin + timeout:
                time.sleep(0.02)
            hung = any(map(alive, ranks))
        except subprocess.TimeoutExpired:
            code, hung = 0, True
        if hung:
            self.kill()
            raise TimeoutError(f"still running after {timeout} s: {self._error.read_text()[-2000:]}")
        return Ended(code, time.monotonic() - begin, self._error.read_text())

    def kill(self):
        """Leaves nothing behind."""
        for pid in self.ranks():
            if alive(pid):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()


def resumes(checkpoint, folder):
    """Goes on from a checkpoint, in one process; where it stood, and where the run that went on came to."""
    step = torch.load(checkpoint, weights_only=True)["global_step"]
    folder.mkdir()
    options = (f"--trainer.max_steps={step + 3}", f"--ckpt_path={checkpoint}", "--trainer.enable_progress_bar=false")
    code = finish(forked(run_command, folder, *TINY, *options))
    assert code == 0, (folder / "error.txt").read_text()[-2000:]
    return step, torch.load(next(folder.rglob("last.ckpt")), weights_only=True)["global_step"]
