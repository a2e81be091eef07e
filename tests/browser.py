"""A headless Chromium, driven over its debugging pipe with the standard library alone; and a TensorBoard to look at."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
    "--hide-scrollbars", "--remote-debugging-pipe",
]  # fmt: skip


def chromium():
    """The path of a Chromium or Chrome, or None."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return next(filter(None, map(shutil.which, names)), None)


class Browser:
    """One page of a headless Chromium.

    Args:
        profile: an empty folder that it may write to.
        size: of the window, in pixels.
    """

    def __init__(self, profile: Path, size=(1500, 1100)):
        (read, commands), (answers, write) = os.pipe(), os.pipe()
        # Chromium reads commands from file 3 and answers into file 4; ours must not be in the way of those.
        ours = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10) for fd in (commands, answers, read, write)]
        for fd in (read, commands, answers, write):
            os.close(fd)
        self._commands, self._answers, read, write = ours
        flags = [*FLAGS, f"--user-data-dir={profile}", f"--window-size={size[0]},{size[1]}", "about:blank"]
        with (profile / "chromium.log").open("wb") as log:
            # In this order: the log may be at 3 or 4 itself.
            places = ((log.fileno(), 1), (log.fileno(), 2), (read, 3), (write, 4))
            moves = [(os.POSIX_SPAWN_DUP2, fd, place) for fd, place in places]
            self._process = os.posix_spawn(
                chromium(), ["chromium", *flags], os.environ, file_actions=moves, setsid=True
            )
        os.close(read)
        os.close(write)
        self._number, self._rest = 0, b""
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = None
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self._call(
            "Emulation.setDeviceMetricsOverride", width=size[0], height=size[1], deviceScaleFactor=1, mobile=False
        )

    def open(self, url):
        """Goes to a page."""
        self._call("Page.navigate", url="about:blank")
        self._call("Page.navigate", url=url)

    def evaluate(self, expression):
        """The value of a JavaScript expression."""
        answer = self._call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"])
        return answer["result"].get("value")

    def wait_for(self, expression, seconds=60.0):
        """The value of a JavaScript expression as soon as it is true."""
        deadline = time.monotonic() + seconds
        while not (value := self.evaluate(expression)):
            if time.monotonic() > deadline:
                raise TimeoutError(f"the page never came to: {expression}")
            time.sleep(0.25)
        return value

    def screenshot(self, path):
        """Saves what is to be seen as a PNG."""
        Path(path).write_bytes(base64.b64decode(self._call("Page.captureScreenshot", format="png")["data"]))

    def close(self):
        """Ends the browser with all its processes."""
        for fd in (self._commands, self._answers):
            os.close(fd)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process, signal.SIGKILL)
        os.waitpid(self._process, 0)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()

    def _call(self, method, seconds=60.0, **parameters):
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if getattr(self, "_session", None):
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + seconds
        while True:
            while b"\0" in self._rest:
                line, _, self._rest = self._rest.partition(b"\0")
                answer = json.loads(line)
                if answer.get("id") == self._number:
                    if "error" in answer:
                        raise RuntimeError(f"{method}: {answer['error']['message']}")
                    return answer["result"]
            ready, _, _ = select.select([self._answers], [], [], max(0, deadline - time.monotonic()))
            if not ready:
                raise TimeoutError(f"{method}: no answer in {seconds} s")
            self._rest += os.read(self._answers, 1 << 20)


class TensorBoard:
    """A TensorBoard server on a free port of this machine.

    Args:
        logdir: the logs to show.
    """

    def __init__(self, logdir: Path):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self._log = (Path(logdir).parent / "tensorboard.log").open("wb")
        self._process = subprocess.Popen(
            [
                sys.executable, "-m", "tensorboard.main", "--logdir", str(logdir), "--load_fast=false",
                "--host=127.0.0.1", f"--port={port}",
            ],
            stdout=self._log, stderr=self._log,
        )  # fmt: skip

    def get(self, path):
        """The answer of the server, as bytes."""
        with urllib.request.urlopen(f"{self.url}/{path}", timeout=30) as answer:
            return answer.read()

    def data(self, path):
        """The answer of the server's data interface."""
        return json.loads(self.get(f"data/{path}"))

    def wait_for_runs(self, count=1, seconds=90.0):
        """The names of the runs once the server has read so many of them."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                if len(runs := self.data("runs")) >= count:
                    return runs
            if self._process.poll() is not None:
                raise RuntimeError("TensorBoard ended by itself")
            time.sleep(0.25)
        raise TimeoutError("TensorBoard shows no runs")

    def close(self):
        """Ends the server."""
        self._process.terminate()
        self._process.wait(timeout=30)
        self._log.close()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()
