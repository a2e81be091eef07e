"""What is given in several places is laid over each other as the parser does."""

import warnings

import pytest
import yaml
from torch import nn

from pinnlab.cli.commands import run
from pinnlab.cli.given import checked

RECIPE = """
problem: Poisson1D
model:
  network: {class_path: MLP, init_args: {hidden: [7, 7], activation: sin}}
  phases: [{optimizer: Adam, steps: 2}]
"""


class Narrow(nn.Module):
    """A network that has to be told its widths.

    Args:
        inputs: coordinates.
        outputs: unknowns.
        hidden: no default.
    """

    def __init__(self, inputs: int, outputs: int, *, hidden: list[int]) -> None:
        super().__init__()


class Typed(nn.Module):
    """A network in which `hidden` is something else.

    Args:
        inputs: coordinates.
        outputs: unknowns.
        hidden: of another type.
    """

    def __init__(self, inputs: int, outputs: int, *, hidden: int = 3, activation: str = "tanh") -> None:
        super().__init__()


@pytest.fixture(autouse=True)
def recipe(tmp_path, monkeypatch):
    (tmp_path / "own.yaml").write_text(RECIPE)
    (tmp_path / "siren.yaml").write_text("model: {network: SIREN}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["pinnlab"])


CHANGES = {
    "by name": (["--model.network=SIREN"], {"hidden": [7, 7]}, "activation"),
    "by path": (["--model.network.class_path=SIREN"], {"hidden": [7, 7]}, "activation"),
    "by a second recipe": (["-c", "siren.yaml"], {"hidden": [7, 7]}, "activation"),
    "with options": (["--model.network=SIREN", "--model.network.hidden=[8]"], {"hidden": [8]}, "activation"),
    "as a mapping": (["--model.network={class_path: SIREN, init_args: {hidden: [3]}}"], {"hidden": [3]}, "activation"),
    "what it needs": (["--model.network=test_given.Narrow"], {"hidden": [7, 7]}, "activation"),
    "another type": (["--model.network=test_given.Typed"], {"activation": "sin", "hidden": 3}, "hidden"),
    "the same class": (["--model.network=MLP"], {"hidden": [7, 7], "activation": "sin"}, None),
}


@pytest.mark.parametrize("case", CHANGES)
def test_another_class_keeps_what_it_takes_and_the_rest_is_told(case, capsys):
    """The look before and the parser agree."""
    options, expected, lost = CHANGES[case]
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert run(["fit", "-c", "own.yaml", *options, "--print_config"]) == 0
    shown = capsys.readouterr()
    network = yaml.safe_load(shown.out)["model"]["network"]
    assert expected.items() <= network["init_args"].items()
    name = network["class_path"].rpartition(".")[2]
    told = [line for line in shown.err.splitlines() if "leaves out" in line]
    line = f"warning: model.network: {name} leaves out what was given for MLP: {lost}"
    assert told == ([] if lost is None else [line])


def test_what_a_class_before_had_is_no_option_of_the_next():
    with pytest.warns(UserWarning, match=r"model\.network: SIREN leaves out what was given for MLP: activation"):
        checked(["fit", "-c", "own.yaml", "--model.network=SIREN"], {})
