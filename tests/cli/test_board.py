"""`pinnlab board`: TensorBoard where it shows what matters."""

import json
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import numpy as np
import pytest
from torch.utils.tensorboard import SummaryWriter

from pinnlab.cli.board import IMAGES, PAGE, run_board

pytestmark = pytest.mark.filterwarnings("ignore")  # those of TensorBoard's own parts


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def get(url):
    with urllib.request.urlopen(url, timeout=30) as answer:
        return json.loads(answer.read())


def test_it_serves_the_runs_with_all_their_images_until_it_is_interrupted(tmp_path):
    with SummaryWriter(str(tmp_path / "mine")) as writer:
        for step in range(30):
            writer.add_image("solution/u", np.full((2, 2, 3), step / 30), step, dataformats="HWC")
    command = [sys.executable, "-m", "pinnlab", "board", str(tmp_path), "--host", "127.0.0.1", "--port", free_port()]
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True)
    try:
        address = process.stdout.readline().split()[-1]
        assert address.endswith(f"/{PAGE}")
        query = "data/plugin/images/images?run=mine&tag=solution/u&sample=0"
        deadline = time.monotonic() + 60
        while get(f"{address.removesuffix(PAGE)}data/runs") != ["mine"]:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        images = get(address.removesuffix(PAGE) + query)
        assert len(images) == 30 <= IMAGES  # TensorBoard by itself keeps ten
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0


def test_bad_input_is_one_line(tmp_path, capsys):
    assert run_board([str(tmp_path / "nowhere")]) == 2
    assert capsys.readouterr().err.startswith("error: there are no runs in ")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert run_board([str(tmp_path), "--host", "127.0.0.1", "--port", str(taken.getsockname()[1])]) == 2
    assert capsys.readouterr().err.startswith("error: --port: ")


@pytest.mark.parametrize("arguments", [["--port", "many"], ["one", "two"]])
def test_what_is_no_option_is_refused(arguments):
    with pytest.raises(SystemExit) as stop:
        run_board(arguments)
    assert stop.value.code == 2
