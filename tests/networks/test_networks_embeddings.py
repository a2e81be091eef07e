from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from torch.func import jacrev

from pinnlab.errors import ConfigurationError
from pinnlab.networks import MLP, SIREN, FourierFeatures, Kink, ModifiedMLP, PeriodicEmbedding, PirateNet, Root, Stretch

PERIODIC = partial(PeriodicEmbedding, columns=[0], harmonics=2)


def test_fourier_features_agree_with_numpy():
    embedding = FourierFeatures(3, features=7, scale=2.0).double()
    x = np.random.default_rng(0).uniform(-1, 1, (5, 3))
    phase = x @ embedding.frequencies.numpy().T
    expected = np.concatenate([np.cos(phase), np.sin(phase)], 1)
    assert embedding.outputs == 14
    np.testing.assert_allclose(embedding(torch.from_numpy(x)).numpy(), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("scale", [0.5, 1.0, 10.0])
def test_fourier_frequencies_have_the_scale_asked_for(scale: float):
    torch.manual_seed(0)
    frequencies = FourierFeatures(2, features=20_000, scale=scale).frequencies
    assert frequencies.std().item() == pytest.approx(scale, rel=0.02)
    assert abs(frequencies.mean().item()) < 0.02 * scale


def test_fourier_frequencies_are_fixed_and_saved():
    embedding = FourierFeatures(2)
    assert not list(embedding.parameters())
    assert "frequencies" in embedding.state_dict()


def test_periodic_embedding_lists_cosines_sines_and_the_rest():
    embedding = PeriodicEmbedding(3, columns=[2, 0], harmonics=2).double()
    x = np.random.default_rng(0).uniform(-1, 1, (4, 3))
    phase = np.pi * np.stack([x[:, 2], 2 * x[:, 2], x[:, 0], 2 * x[:, 0]], 1)
    expected = np.concatenate([np.cos(phase), np.sin(phase), x[:, 1:2]], 1)
    assert embedding.outputs == 9
    np.testing.assert_allclose(embedding(torch.from_numpy(x)).numpy(), expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize(
    "factory",
    [
        partial(MLP, embedding=PERIODIC),
        partial(MLP, embedding=partial(FourierFeatures, features=8, embedding=PERIODIC)),
        partial(ModifiedMLP, embedding=PERIODIC),
        partial(SIREN, embedding=PERIODIC),
        partial(PirateNet, embedding=PERIODIC),
    ],
    ids=["mlp", "mlp-fourier", "modified-mlp", "siren", "piratenet"],
)
def test_values_and_derivatives_are_periodic(factory: partial):
    torch.manual_seed(0)
    network = factory(2, 1).double()

    def value(x: torch.Tensor) -> torch.Tensor:
        return network(x)[0]

    derivatives = [value, jacrev(value), jacrev(jacrev(value)), jacrev(jacrev(jacrev(value)))]
    inside = False
    for t in (-1.0, 0.3):
        left, right, middle = (torch.tensor([x, t], dtype=torch.float64) for x in (-1.0, 1.0, 0.1))
        for order, derivative in enumerate(derivatives):
            at_left, at_right = derivative(left), derivative(right)
            tolerance = 1e-14 * 20**order * max(1.0, at_left.abs().max().item())
            torch.testing.assert_close(at_left, at_right, rtol=0, atol=tolerance)
        inside = inside or abs(value(middle) - value(left)) > 1e-3
    assert inside, "a constant would pass as periodic"


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: FourierFeatures(2, features=0), "features must be a positive integer"),
        (lambda: FourierFeatures(2, scale=0.0), "scale: must be positive, got 0"),
        (lambda: FourierFeatures(2, scale=float("nan")), "scale: must be a number, got nan"),
        (lambda: FourierFeatures(0), "inputs must be a positive integer"),
        (lambda: Stretch(2, factors=[1.0]), r"factors: \[1.0\] must be 2, one for each coordinate"),
        (lambda: Stretch(1, factors=[-1.0]), "factors"),
        (lambda: Kink(1, at=1.0), "at: must be between -1 and 1"),
        (lambda: Kink(1, column=1), "column: must be a whole number from 0 to 0"),
        (lambda: PeriodicEmbedding(2, columns=[]), "columns must list at least one column"),
        (lambda: PeriodicEmbedding(2, columns=[2]), "columns: must be a whole number from 0 to 1, got 2"),
        (lambda: PeriodicEmbedding(2, columns=[-1]), "columns: must be a whole number from 0 to 1, got -1"),
        (lambda: PeriodicEmbedding(2, columns=[0, 0]), "columns must not repeat themselves"),
        (lambda: PeriodicEmbedding(2, columns=[0], harmonics=0), "harmonics must be a positive integer"),
    ],
)
def test_bad_options_are_named(build, message: str):
    with pytest.raises(ConfigurationError, match=message):
        build()


def test_stretch_multiplies_each_coordinate_and_its_derivatives():
    embedding = Stretch(2, factors=[10.0, 0.5]).double()
    x = torch.tensor([[0.3, -0.4], [1.0, 2.0]], dtype=torch.float64)
    assert torch.equal(embedding(x), x * torch.tensor([10.0, 0.5], dtype=torch.float64))
    assert torch.equal(jacrev(embedding)(x[0]), torch.diag(torch.tensor([10.0, 0.5], dtype=torch.float64)))


def test_stretch_may_come_after_another_embedding():
    embedding = Stretch(1, factors=[2.0, 3.0], embedding=Kink).double()
    x = torch.tensor([[-0.5]], dtype=torch.float64)
    assert embedding(x).tolist() == [[-1.0, 1.5]]


def test_root_keeps_the_ends_and_is_quadratic_backwards():
    embedding, x = Root(2, column=1).double(), torch.tensor([[0.3, -1.0], [0.3, 1.0], [0.3, -0.5]], dtype=torch.float64)
    found = embedding(x)
    assert found[:, 0].tolist() == [0.3, 0.3, 0.3]
    torch.testing.assert_close(found[:, 1], torch.tensor([-1.0, 1.0, 0.0], dtype=torch.float64))
    torch.testing.assert_close(2 * ((1 + found[:, 1]) / 2) ** 2 - 1, x[:, 1])


def test_kink_adds_a_column_that_bends():
    embedding = Kink(2, column=1, at=0.25).double()
    x = torch.tensor([[0.3, -0.75], [0.1, 0.5]], dtype=torch.float64)
    assert torch.equal(embedding(x), torch.tensor([[0.3, -0.75, 1.0], [0.1, 0.5, 0.25]], dtype=torch.float64))
    slopes = torch.stack([jacrev(embedding)(row) for row in x])
    assert slopes[:, 2].tolist() == [[0.0, -1.0], [0.0, 1.0]]
