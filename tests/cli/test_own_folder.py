"""A run has a folder of its own; a refused one leaves none."""

from pathlib import Path

import lightning as L
import pytest
from lightning.pytorch.loggers import CSVLogger

from pinnlab.cli.own_folder import CONFIG, own_folder
from pinnlab.reporting.loggers import LogScaleTensorBoardLogger


def trainer_with(logger):
    return L.Trainer(logger=logger, enable_checkpointing=False, enable_progress_bar=False)


@pytest.mark.parametrize("kind", [LogScaleTensorBoardLogger, CSVLogger])
def test_runs_that_begin_at_once_have_folders_of_their_own(tmp_path, monkeypatch, kind):
    """None sees the folders of the others when it looks for a number."""
    monkeypatch.setattr(kind, "_get_next_version", lambda self: 0)
    numbers = []
    for _ in range(3):
        logger = kind(tmp_path, name="mine")
        with own_folder(trainer_with(logger)):
            numbers.append(logger.version)
    assert numbers == [0, 1, 2]


def test_a_version_that_was_asked_for_stays(tmp_path):
    (tmp_path / "mine" / "version_3").mkdir(parents=True)
    logger = LogScaleTensorBoardLogger(tmp_path, name="mine", version=3)
    with own_folder(trainer_with(logger)):
        assert logger.version == 3


@pytest.mark.parametrize("stop", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("written", [None, CONFIG, "events.out.tfevents.1", "last.ckpt"])
def test_a_run_that_makes_no_step_leaves_what_was_there(tmp_path, stop, written):
    logger = LogScaleTensorBoardLogger(tmp_path / "runs", name="mine")
    folder = Path(logger.log_dir)

    def train():
        with own_folder(trainer_with(logger)):
            if written:
                (folder / written).touch()
            raise stop

    with pytest.raises(stop):
        train()
    assert folder.is_dir() == (written == "last.ckpt")
    assert (tmp_path / "runs").is_dir() == (written == "last.ckpt")


def test_a_run_that_was_trained_keeps_its_folder(tmp_path):
    logger = LogScaleTensorBoardLogger(tmp_path, name="mine")
    with own_folder(trainer_with(logger)):
        pass
    assert Path(logger.log_dir).is_dir()


def test_without_a_logger_no_folder_is_made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with own_folder(trainer_with(False)):
        pass
    assert not list(tmp_path.iterdir())
