"""Where the command writes a run's configuration."""

from types import SimpleNamespace

from pinnlab.cli.commands import SaveConfig


def test_a_logger_that_keeps_no_files_has_no_folder_for_the_configuration(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    strategy = SimpleNamespace(broadcast=lambda told: told)
    parser = SimpleNamespace(dump=lambda config, skip_none: "seed: 0\n")
    for folder, written in ((None, []), ("kept", ["kept/config.yaml"])):
        trainer = SimpleNamespace(loggers=[object()], log_dir=folder, strategy=strategy, is_global_zero=True)
        SaveConfig(parser, {}).setup(trainer, None, "fit")
        assert [str(path) for path in tmp_path.rglob("*.yaml")] == [str(tmp_path / name) for name in written]
