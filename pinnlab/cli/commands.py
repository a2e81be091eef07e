"""The `pinnlab` command: LightningCLI with recipes by name, short class names and one-line errors."""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from typing import Any

import lightning as L
import yaml
from jsonargparse import ActionConfigFile, lazy_instance
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback

from pinnlab import callbacks as own
from pinnlab.cli.bad_input import bad_input, refused, unwritable
from pinnlab.cli.building import build_in
from pinnlab.cli.catalog import RUNS, find_recipe
from pinnlab.cli.endings import cut_off, ending, why_lost, write_measured
from pinnlab.cli.given import checked, content_of
from pinnlab.cli.help import without_all
from pinnlab.cli.own_folder import own_folder
from pinnlab.cli.places import import_path
from pinnlab.cli.quiet import quieten
from pinnlab.cli.runs import LOOKING, NEED_A_RUN, WORDS, checkpoint_of, folder_of, found, with_run
from pinnlab.cli.trainer import Trainer
from pinnlab.cli.trainer_options import (
    board_in,
    check_board,
    check_callbacks,
    check_folder,
    check_trainer,
    is_replaced,
    use_root,
)
from pinnlab.cli.windows import looked_at, train
from pinnlab.errors import ConfigurationError, NotFiniteError, RankError, SavingError
from pinnlab.problems import Problem
from pinnlab.problems.own_file import file_of
from pinnlab.reporting.files import whole
from pinnlab.reporting.loggers import LogScaleTensorBoardLogger
from pinnlab.training.checkpoint_io import read_checkpoint
from pinnlab.training.datamodule import CollocationDataModule
from pinnlab.training.launching import end_together, launcher_of
from pinnlab.training.march import March
from pinnlab.training.module import PINN
from pinnlab.training.phases import built_optimizers
from pinnlab.training.ranks import exit_code
from pinnlab.training.trainer_parts import callbacks_of

EXIT_DONE, EXIT_FAILED, EXIT_BAD_INPUT, EXIT_SIGINT, EXIT_SIGTERM = 0, 1, 2, 130, 143

TRAINER_DEFAULTS: dict[str, Any] = {
    "max_epochs": -1,  # the phases end the run
    "log_every_n_steps": 50,
    "val_check_interval": 100,
    "check_val_every_n_epoch": None,
    "num_sanity_val_steps": 0,
    "enable_model_summary": False,
    "inference_mode": False,
    "devices": 1,
    "logger": lazy_instance(LogScaleTensorBoardLogger, save_dir=RUNS, default_hp_metric=False),
}

BEFORE: dict[str, Any] = {
    "trainer": {
        "logger": {
            "class_path": f"{LogScaleTensorBoardLogger.__module__}.{LogScaleTensorBoardLogger.__name__}",
            "init_args": {"save_dir": RUNS},
        }
    }
}
"""What a command has of classes before it is given anything."""


class RecipeFile(ActionConfigFile):
    """The option `-c`: a file, or the name of a shipped recipe."""

    def __call__(self, parser: Any, cfg: Any, values: Any, option_string: str | None = None) -> None:
        """Reads the recipe, resolves its short class names and hands it to the parser."""
        path = find_recipe(str(values))
        content = content_of(path)
        super().__call__(parser, cfg, yaml.safe_dump(content), option_string)
        if not content.get("name"):
            cfg["name"] = path.stem


class SaveConfig(SaveConfigCallback):
    """Writes the whole configuration beside the logs and into every checkpoint."""

    @functools.cached_property
    def _text(self) -> str:
        """As YAML, which takes longer than the rest of a small checkpoint; nothing changes it during a run."""
        return str(self.parser.dump(self.config, skip_none=False))

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Writes `config.yaml`; without a logger, or with one that keeps no files, there is no folder for it."""
        if not trainer.loggers or stage != "fit" or self.already_saved or (folder := trainer.log_dir) is None:
            return
        file = Path(folder) / self.config_filename
        if trainer.strategy.broadcast(file.is_file()):
            raise ConfigurationError(f"trainer.logger.version: a run is in {file.parent} already; leave it out")
        if trainer.is_global_zero:
            whole(file, functools.partial(Path.write_text, data=self._text, encoding="utf-8"))
        self.already_saved = True

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        """Adds the configuration, as YAML."""
        checkpoint["pinnlab_config"] = self._text


class PinnlabCLI(LightningCLI):
    """Builds problem, module, data and trainer from a recipe and the command line."""

    def init_parser(self, **kwargs: Any) -> LightningArgumentParser:
        """A parser whose `-c` knows the shipped recipes."""
        kwargs.setdefault("exit_on_error", False)
        kwargs.setdefault("allow_abbrev", False)  # `--data.point` is a typing error, not another `--data.points`
        parser = self.parser_class(**kwargs)
        parser.add_argument("-c", "--config", action=RecipeFile, help="A recipe: a YAML file or a shipped name.")
        return parser

    def _parse_ckpt_path(self) -> None:
        """Nothing in a checkpoint changes the configuration, which is compared to it later; Lightning's would."""

    _asked: str | None = None

    def __init__(self, *args: Any, asked: str | None = None, **kwargs: Any) -> None:
        self._asked = asked
        super().__init__(*args, **kwargs)

    def subcommands(self) -> dict[str, set[str]]:  # type: ignore[override]
        """Lightning's and `diagnose`; of these the one that is asked for: to build a parser of each takes its time."""
        known = {**LightningCLI.subcommands(), "diagnose": {"model", "datamodule"}}
        return {self._asked: known[self._asked]} if self._asked in known else known

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Adds the problem and the run's name; module and data share the problem and the seed."""
        parser.add_subclass_arguments(Problem, "problem", required=True)
        parser.add_argument(
            "--problem_file", type=str | None, default=None, help="The Python file of your own problem."
        )
        parser.add_argument("--problem_folder", type=str | None, default=None, help="Where relative paths in it begin.")
        parser.add_argument("--march", type=March | None, default=None, help="Windows of time, one after the other.")
        parser.add_argument("--name", type=str | None, default=None, help="The run's name; default: the recipe's.")
        for key in ("model.problem", "data.problem"):
            parser.link_arguments("problem", key, apply_on="instantiate")
        for key in ("model.seed", "data.seed"):
            parser.link_arguments("seed_everything", key, compute_fn=int)

    def before_instantiate_classes(self) -> None:
        """Names the run's folder after the recipe, and the file that the problem is in: the run is found by both."""
        config = self.config[self.subcommand]
        check_trainer(config.trainer)
        if config.get("folder") is not None:
            check_folder("folder", Path(config.folder))
        file = file_of(import_path(config.problem.class_path, "problem"))
        config.problem_file = None if file is None else str(file)
        config.problem_folder = None if file is None else config.problem_folder or str(Path.cwd())
        config.name = config.get("name") or config.problem.class_path.rpartition(".")[2]
        board = board_in(config.trainer.get("logger"))
        if board is not None and board.get("name") == "lightning_logs":
            board.name = config.name
        key = None if board is None else use_root(config.trainer, board, RUNS)
        self._find_checkpoint(config, board)
        if key is not None and config.get("folder") is None:
            check_board("ckpt_path" if self.subcommand in LOOKING and config.ckpt_path else key, board)

    def _find_checkpoint(self, config: Any, logger: Any) -> None:
        """Turns words for a checkpoint into its path; who looks at a run writes into its folder."""
        given = config.get("ckpt_path")
        if given is None:
            if self.subcommand in NEED_A_RUN:
                run = f"pinnlab {self.subcommand} runs/{config.name}/version_0"
                raise ConfigurationError(f"ckpt_path: {self.subcommand} needs a trained run; name one, as in `{run}`")
            return
        runs = Path(logger.save_dir if logger is not None else RUNS) / config.name
        if given not in WORDS and not Path(given).exists():
            raise ConfigurationError(f"ckpt_path: there is no file {given}")
        path = found(given, runs) if given in WORDS else checkpoint_of(Path(given))
        read_checkpoint(path)  # before a file is written
        config.ckpt_path = str(path)
        folder = folder_of(path)
        if folder is None and logger is not None and str(logger.save_dir) == RUNS:
            folder = path.parent  # of no run that can be seen: beside the file
        if self.subcommand in LOOKING and logger is not None and folder is not None:
            logger.save_dir, logger.name, logger.version = str(folder.parent), "", folder.name

    def instantiate_classes(self) -> None:
        """Builds everything; what a constructor refuses in its own words is bad input, too.

        Raises:
            ConfigurationError: a package is missing, or an option of a logger, callback or the trainer is refused.
        """
        folder = self.config[self.subcommand].problem_folder
        build_in(self._parser(self.subcommand), folder and Path(folder))
        try:
            super().instantiate_classes()
            if self.subcommand == "fit":
                built_optimizers(self.model)  # what they refuse shows before a folder is made
        except (ImportError, TypeError, ValueError) as error:
            told = refused(error)
            if told is None:
                raise
            raise told from error

    def instantiate_trainer(self, **kwargs: Any) -> L.Trainer:
        """Adds the callbacks of every run, unless the recipe brings its own of that kind."""
        trainer_config = self.config_init[self.subcommand].trainer
        given = trainer_config.get("callbacks") or []
        given = given if isinstance(given, list) else [given]
        if trainer_config.get("logger") is False and trainer_config.get("enable_checkpointing") is None:
            # Without a logger there is no folder for them; who asks for some gets them here.
            trainer_config["enable_checkpointing"] = any(isinstance(c, Checkpoint) for c in given)
        extra = [c for c in self._standard_callbacks(trainer_config) if not is_replaced(c, given)]
        check_callbacks(given)
        trainer_config["callbacks"] = [*given, *extra]
        trainer = super().instantiate_trainer(**kwargs)
        for logger in trainer.loggers:
            if isinstance(logger, LogScaleTensorBoardLogger):
                logger.is_open = self.subcommand not in LOOKING
        end_together(trainer)
        self.graceful = next(c for c in trainer_config["callbacks"] if isinstance(c, own.GracefulStop))
        return trainer

    def _standard_callbacks(self, trainer_config: Any) -> list[L.Callback]:
        """What every run has: signatures of failure, going back after a blow-up, figures, summary and so on."""
        standard: list[L.Callback] = [
            own.FailureSignatures(),
            own.Rollback(),
            own.GracefulStop(),
            own.SolutionFigures(),
            own.FrequencyHistory(),
            own.SolutionWriter(),
        ]
        if self.subcommand == "fit":
            config = self.config[self.subcommand]
            is_shown = trainer_config.get("logger") is not False
            recipe = self._parser(self.subcommand).dump(config, skip_default=True) if is_shown else None
            standard += [own.SlowSteps(), own.ErrorMeasurement(), own.RunSummary(config.name)]
            standard.append(own.Dashboard(config.name, recipe))
        if trainer_config.get("enable_progress_bar") is not False:
            standard.insert(0, own.PhaseProgressBar())  # it closes its bar before the summary is printed
        if trainer_config.get("enable_checkpointing") is not False:
            standard.append(own.RunCheckpoint())
        return standard

    def _prepare_subcommand_kwargs(self, subcommand: str) -> dict[str, Any]:
        """What Lightning's commands are called with; of a run in windows, what there is to look at."""
        given: dict[str, Any] = super()._prepare_subcommand_kwargs(subcommand)
        in_windows = self.config_init[subcommand].march is not None
        return looked_at(subcommand, given) if in_windows and subcommand in LOOKING else given

    def fit(self, **arguments: Any) -> None:
        """Trains; a run that is ended in the middle of a step says what was saved before."""
        try:
            with own_folder(self.trainer):
                train(self.trainer, self.config_init[self.subcommand].march, arguments)
        except (KeyboardInterrupt, SystemExit):
            self._say(cut_off(self.trainer))
            raise

    def after_validate(self) -> None:
        """Writes what was measured into the run's folder."""
        write_measured(self.trainer, "validate", self.config[self.subcommand].ckpt_path)

    def after_test(self) -> None:
        """Writes what was measured into the run's folder."""
        write_measured(self.trainer, "test", self.config[self.subcommand].ckpt_path)

    def _say(self, line: str | None) -> None:
        if line is not None and self.trainer.is_global_zero:
            print(line)

    def after_fit(self) -> None:
        """Says how to go on after a run that ended early, or that its end could not be saved."""
        for saver in callbacks_of(self.trainer, own.RunCheckpoint):
            if saver.failed:
                raise SavingError(f"{saver.path}: cannot be written, so the end of the run is not saved")
        for summary in callbacks_of(self.trainer, own.RunSummary):
            if summary.failed:
                raise SavingError(f"{summary.failed}: cannot be written; the end of the run is in last.ckpt")
        self._say(ending(self.trainer))


def command(arguments: list[str]) -> PinnlabCLI:
    """Parses and carries out one command of LightningCLI: fit, validate, test, predict or diagnose.

    Args:
        arguments: as on the command line, without the program's name.

    Returns:
        What was built for it: module, data, trainer.
    """
    given = checked(arguments, BEFORE)
    return PinnlabCLI(
        PINN,
        CollocationDataModule,
        save_config_callback=SaveConfig,
        save_config_kwargs={"overwrite": False},
        trainer_class=Trainer,
        trainer_defaults=TRAINER_DEFAULTS,
        seed_everything_default=0,
        auto_configure_optimizers=False,
        load_from_checkpoint_support=False,
        args=given,
        asked=given[0] if given else None,
    )


def run(arguments: list[str] | None = None) -> int:
    """Runs one command of LightningCLI and answers for its errors.

    Args:
        arguments: as on the command line, without the program's name; default: `sys.argv`.

    Returns:
        The exit code: 0 done, 2 bad input, 130 interrupted, 143 terminated, 1 otherwise.
    """
    quieten()
    try:
        cli = command(with_run(without_all(sys.argv[1:] if arguments is None else arguments)))
    except SystemExit as stop:
        return _exit_code(stop)
    except KeyboardInterrupt:
        return EXIT_SIGINT
    except Exception as error:
        message, lost = bad_input(error), unwritable(error)
        if message is None and lost is None:
            raise
        print(f"error: {message or lost}", file=sys.stderr)
        if isinstance(error, RankError):
            return error.exit_code
        failed = message is None or isinstance(error, (NotFiniteError, SavingError))
        return EXIT_FAILED if failed else EXIT_BAD_INPUT
    code, launcher = _code(cli), launcher_of(cli.trainer)
    return code if launcher is None else launcher.watch.leave(code)


def _code(cli: PinnlabCLI) -> int:
    """What to exit with after a command that came to its end."""
    if cli.graceful.number is not None:
        return exit_code(cli.graceful.number)
    lost = why_lost(cli.trainer) if cli.subcommand == "fit" else None
    if lost is None:
        return EXIT_DONE
    print(f"error: {lost}", file=sys.stderr)
    return EXIT_FAILED


def _exit_code(stop: SystemExit) -> int:
    if type(stop).__name__ == "SIGTERMException":
        return EXIT_SIGTERM
    if isinstance(stop.__context__, KeyboardInterrupt):
        return EXIT_SIGINT
    return stop.code if isinstance(stop.code, int) else EXIT_DONE if stop.code is None else EXIT_FAILED
