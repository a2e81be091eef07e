"""Single phases and callbacks are changed by their numbers, as the parser sees them."""

import copy

import pytest
import yaml

from pinnlab.cli.commands import run
from pinnlab.cli.numbered import put
from pinnlab.errors import ConfigurationError

RECIPE = """
problem: Poisson1D
model:
  network: {class_path: MLP, init_args: {hidden: [7, 7]}}
  phases: [{optimizer: Adam, steps: 2}, {optimizer: {class_path: LBFGS, init_args: {history: 9}}, steps: 4}]
trainer:
  callbacks:
    - {class_path: ResidualResampling, init_args: {every: 5}}
"""


@pytest.fixture
def shown(tmp_path, monkeypatch, capsys):
    (tmp_path / "own.yaml").write_text(RECIPE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["pinnlab"])

    def execute(*options):
        code = run(["fit", "-c", "own.yaml", *options, "--print_config"])
        captured = capsys.readouterr()
        return yaml.safe_load(captured.out) if code == 0 else (code, captured.err)

    return execute


@pytest.mark.filterwarnings("ignore")
def test_what_is_given_reaches_its_place_and_the_rest_stays(shown):
    config = shown(
        "--model.phases.0.steps", "500", "--model.phases.0.optimizer.lr=1.0e-8", "--model.phases.1.optimizer.history=3",
        "--model.phases.1.until.class_path=LossPlateau", "--trainer.callbacks.0.every", "77",
        "--model.network.hidden.1=8",
    )  # fmt: skip
    first, second = config["model"]["phases"]
    assert (first["steps"], second["steps"]) == (500, 4)
    assert first["optimizer"]["class_path"] == "torch.optim.Adam"
    assert first["optimizer"]["init_args"]["lr"] == 1e-8
    assert second["optimizer"]["init_args"]["history"] == 3
    assert second["until"]["class_path"].endswith("LossPlateau")
    assert config["trainer"]["callbacks"][0]["init_args"]["every"] == 77
    assert config["model"]["network"]["init_args"]["hidden"] == [7, 8]


@pytest.mark.filterwarnings("ignore")
def test_another_optimizer_and_a_whole_phase(shown):
    options = "--model.phases.0.optimizer=SSBroyden", "--model.phases.1={optimizer: SGD, steps: 3}"
    first, second = shown(*options)["model"]["phases"]
    assert first["optimizer"]["class_path"] == "pinnlab.optimizers.SSBroyden"
    assert (second["optimizer"]["class_path"], second["steps"]) == ("torch.optim.SGD", 3)


def test_a_list_from_the_line_is_changed_by_what_follows(shown):
    phases = shown("--model.phases=[{optimizer: Adam, steps: 1}]", "--model.phases.0.steps=6")["model"]["phases"]
    assert [phase["steps"] for phase in phases] == [6]


BAD = {
    "number": ("--model.phases.2.steps=5", "model.phases.2: there are 2 phases, 0 Adam and 1 LBFGS"),
    "callback": ("--trainer.callbacks.1.every=5", "trainer.callbacks.1: there is one callback, 0 ResidualResampling"),
    "key": ("--model.phases.0.stps=5", "'stps' (did you mean 'steps'?); known: dtype, optimizer,"),
    "the same": ("--model.phases.0.stps=5", "; there are 2 phases, 0 Adam and 1 LBFGS"),
    "value": ("--model.phases.0.steps=many", "model.phases.0.steps: must be int, got many; there are 2 phases"),
    "option": ("--model.phases.1.optimizer.histry=5", "option of LBFGS in model.phases.1.optimizer 'histry'"),
    "a letter": ("--model.phases.1.optimizer.c=5", "option of LBFGS in model.phases.1.optimizer 'c'"),
    "a word of the line": ("--data.config=5", "unknown option of data: 'config'"),
    "no number": (
        "--model.phases.steps=5",
        "model.phases.steps: of which? there are 2 phases, 0 Adam and 1 LBFGS; "
        "write --model.phases.0.steps for the first",
    ),
    "no list": ("--data.samplers.0.x=5", "data.samplers: there is no such list in the recipe; give --data.samplers"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_wrong_number_or_key_is_one_line(case, shown):
    option, phrase = BAD[case]
    code, err = shown(option)
    assert code == 2
    assert phrase in err
    assert err.count("\n") == 1


@pytest.mark.filterwarnings("ignore")
def test_without_a_number_it_is_the_only_one_or_that_which_was_added(shown):
    one = shown("--trainer.callbacks.every=77")["trainer"]["callbacks"]
    assert [callback["init_args"]["every"] for callback in one] == [77]
    two = shown("--trainer.callbacks+=FreshPoints", "--trainer.callbacks.every=3")["trainer"]["callbacks"]
    assert [callback["init_args"]["every"] for callback in two] == [5, 3]


@pytest.mark.filterwarnings("ignore")
def test_an_option_that_an_optimizer_hands_to_its_base_is_told_by_its_name(shown):
    """SSBroyden takes `**options`, so only the parser knows."""
    code, err = shown("--model.phases.0.optimizer=SSBroyden", "--model.phases.0.optimizer.iteratons=5")
    assert code == 2
    assert "unknown option of SSBroyden in model.phases 'iteratons' (did you mean 'iterations'?)" in err


def test_without_phases_there_is_none_to_change():
    before = {"model": {"phases": None}}
    with pytest.raises(ConfigurationError, match=r"model\.phases\.0: the recipe has no model\.phases to change one of"):
        put(copy.deepcopy(before), "model.phases.0.steps", 5)
