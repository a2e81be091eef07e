"""What a checkpoint says of problem and network: class paths and arguments, or why it cannot."""

import copy
import pickle
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from pinnlab import PINN
from pinnlab.networks import MLP, FourierFeatures
from pinnlab.problems import Burgers, Heat1D, Poisson
from pinnlab.training.description import description


class Given(Burgers):
    """Takes arguments of several kinds."""

    def __init__(self, viscosity=0.1, *, table=(), word="a", switch=None, **others):
        super().__init__(viscosity=viscosity)


class Unnamed(Burgers):
    """Takes arguments without names."""

    def __init__(self, *numbers):
        super().__init__()


def small(inputs: int, outputs: int) -> nn.Module:
    """A network made by a function."""
    return MLP(inputs, outputs, hidden=[4])


def described(problem, network=None):
    return description(problem, network, scale_inputs=True, dtype="float64")


def test_arguments_are_those_that_were_given_by_name():
    found = described(Heat1D(0.3, exact_conditions=True))
    assert found["problem"] == {
        "class_path": "pinnlab.problems.heat.Heat1D",
        "init_args": {"diffusivity": 0.3, "exact_conditions": True},
    }
    assert found["model"] == {"scale_inputs": True, "dtype": "float64", "network": None}
    assert found["missing"] == {}
    assert described(Poisson(dim=3))["problem"]["init_args"] == {"dim": 3}
    assert described(Burgers())["problem"]["init_args"] == {}


def test_all_is_primitive():
    problem = Given(np.float64(0.2), table=(1, np.int64(2), [None]), switch={"a": np.True_}, more=2.5)
    found = described(problem)["problem"]
    assert found["class_path"] == "test_description.Given"
    assert found["init_args"] == {"viscosity": 0.2, "table": [1, 2, [None]], "switch": {"a": True}, "more": 2.5}
    assert type(found["init_args"]["viscosity"]) is float
    assert type(found["init_args"]["table"][1]) is int


def test_networks_are_classes_functions_or_such_with_some_arguments():
    embedding = partial(FourierFeatures, features=4)
    found = described(Burgers(), partial(MLP, hidden=(5, 6), embedding=embedding))["model"]["network"]
    assert found == {
        "class_path": "pinnlab.networks.mlp.MLP",
        "init_args": {
            "hidden": [5, 6],
            "embedding": {"class_path": "pinnlab.networks.embeddings.FourierFeatures", "init_args": {"features": 4}},
        },
    }
    assert described(Burgers(), MLP)["model"]["network"]["init_args"] == {}
    assert described(Burgers(), small)["model"]["network"] == "test_description.small"


def local_problem():
    class Local(Burgers):
        pass

    return Local()


REASONS = {
    "local": (local_problem, None, "problem", "Local is in no module that can be imported"),
    "object": (lambda: Given(table=torch.ones(2)), None, "problem", "it has an argument of class Tensor"),
    "unnamed": (lambda: Unnamed(1, 2), None, "problem", "Unnamed takes arguments without names"),
    "module": (Burgers, MLP(2, 1), "network", "it was given as an object, a MLP"),
    "lambda": (Burgers, lambda i, o: MLP(i, o), "network", "<lambda> is in no module"),
    "positions": (Burgers, partial(MLP, 2), "network", "an argument of class partial"),
}


@pytest.mark.parametrize("case", REASONS)
def test_what_cannot_be_described_says_why(case):
    problem, network, key, reason = REASONS[case]
    found = described(problem(), network)
    assert list(found["missing"]) == [key]
    assert reason in found["missing"][key]
    assert key not in {**found, **found["model"]}


def test_classes_of_a_script_cannot_be_imported_elsewhere(monkeypatch):
    monkeypatch.setattr(Given, "__module__", "__main__")
    assert "no module that can be imported" in described(Given())["missing"]["problem"]


def test_copies_keep_their_arguments():
    problem = Heat1D(diffusivity=0.3)
    for again in (copy.copy(problem), copy.deepcopy(problem)):
        assert described(again) == described(problem)
    assert pickle.loads(pickle.dumps(Burgers.__new__(Burgers))).constructed_with == ((), {})


def test_a_checkpoint_holds_it():
    model = PINN(Burgers(viscosity=0.1), partial(MLP, hidden=[4]), dtype="float32", seed=3)
    assert model.recipe["model"]["dtype"] == "float32"
    assert model.recipe["model"]["seed"] == 3
    assert model.recipe["problem"]["init_args"] == {"viscosity": 0.1}
