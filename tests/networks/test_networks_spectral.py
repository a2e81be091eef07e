"""Waves times Chebyshev polynomials: their formula, which functions there are, and how well they are told apart."""

import itertools
import math
from functools import partial

import numpy as np
import pytest
import torch
from numpy.polynomial import chebyshev

import pinnlab
from pinnlab import Phase
from pinnlab.errors import ConfigurationError
from pinnlab.networks import FourierFeatures, Lens, SineSeries, SpectralFeatures, Stretch
from pinnlab.networks.last_layer import last_layer
from pinnlab.optimizers import LeastSquares
from pinnlab.problems import KuramotoSivashinsky
from pinnlab.samplers import Grid


def functions(columns, waves, degree, taper, inputs):
    """Wave vectors and degrees of all functions, by a search through all of them."""
    found, others = [], inputs - len(columns)
    for vector in itertools.product(range(-waves, waves + 1), repeat=len(columns)):
        length, nonzero = math.hypot(*vector), [k for k in vector if k]
        if length > waves or (nonzero and nonzero[0] < 0):
            continue
        top = round(degree * (1 - taper * length / waves))
        for powers in itertools.product(range(degree + 1), repeat=others):
            if sum(powers) <= top:
                kinds = (np.cos, np.sin) if nonzero else (np.cos,)
                found += [(kind, vector, powers) for kind in kinds]
    return found


def by_hand(kind, vector, powers, x, columns, period):
    """One function at points `(n, inputs)`."""
    others = [k for k in range(x.shape[1]) if k not in columns]
    values = kind(np.pi / period * (x[:, columns] @ np.array(vector, dtype=float)))
    for k, j in zip(others, powers, strict=True):
        values = values * chebyshev.chebval(x[:, k], [0.0] * j + [1.0])
    return values


@pytest.mark.parametrize(
    ("inputs", "columns", "waves", "degree", "taper", "period"),
    [
        (2, [0], 4, 3, 0.0, 1.0),
        (2, [1], 5, 4, 0.7, 1.0),
        (3, [0, 2], 3, 2, 0.5, 2.0),
        (3, [1], 2, 3, 1.0, 0.5),
        (2, [0, 1], 3, 2, 0.0, 1.0),
        (2, [], 1, 4, 0.0, 1.0),
    ],
)
def test_the_functions_are_those_of_the_formula(inputs, columns, waves, degree, taper, period):
    options = {"columns": columns, "waves": waves, "degree": degree, "taper": taper, "period": period}
    network = SpectralFeatures(inputs, 1, **options).double()
    expected = functions(columns, waves, degree, taper, inputs)
    assert network.last.weight.shape == (1, len(expected))
    x = torch.rand(60, inputs, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    made = torch.func.jacrev(lambda w: torch.func.functional_call(network, {"last.weight": w}, x)[:, 0])(
        network.last.weight.detach()
    )[:, 0].numpy()
    given = np.stack([by_hand(*function, x.numpy(), columns, period) for function in expected], 1)
    nearest = np.abs(made[:, :, None] - given[:, None]).max(0)  # each is one of the others, in whatever order
    assert sorted(nearest.argmin(1)) == list(range(len(expected)))
    assert nearest.min(1).max() < 1e-12


@pytest.mark.parametrize(
    ("inputs", "columns", "waves", "folds", "degree"),
    [(2, [0], [4], None, 3), (3, [0, 2], [6, 3], [2, 1], 2), (3, [1], [6], [3], 2), (2, [0, 1], [3, 3], None, 1)],
)
def test_sines_between_walls_are_those_of_the_formula(inputs, columns, waves, folds, degree):
    """Products of sines in a quarter of an ellipse times products of polynomials, each once; zero on the walls."""
    network = SineSeries(inputs, 1, columns=columns, waves=waves, folds=folds, degree=degree).double()
    x = torch.rand(60, inputs, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    steps, others = folds or [1] * len(columns), [k for k in range(inputs) if k not in columns]
    given = []
    for numbers in itertools.product(*(range(step, top + 1, step) for step, top in zip(steps, waves, strict=True))):
        if math.hypot(*((k - step) / top for k, step, top in zip(numbers, steps, waves, strict=True))) > 1:
            continue
        for powers in itertools.product(range(degree + 1), repeat=len(others)):
            if sum(powers) <= degree:
                values = np.ones(60)
                for k, column in zip(numbers, columns, strict=True):
                    values = values * np.sin(np.pi * k * (x[:, column].numpy() + 1) / 2)
                for column, j in zip(others, powers, strict=True):
                    values = values * chebyshev.chebval(x[:, column].numpy(), [0.0] * j + [1.0])
                given.append(values)
    made = torch.func.jacrev(lambda w: torch.func.functional_call(network, {"last.weight": w}, x)[:, 0])(
        network.last.weight.detach()
    )[:, 0].numpy()
    assert made.shape == (60, len(given))
    nearest = np.abs(made[:, :, None] - np.stack(given, 1)[:, None]).max(0)
    assert sorted(nearest.argmin(1)) == list(range(len(given)))
    assert nearest.min(1).max() < 1e-12
    torch.nn.init.normal_(network.last.weight)
    for column in columns:
        for end in (-1.0, 1.0):
            wall = x.clone()
            wall[:, column] = end
            assert network(wall).abs().max() < 1e-12


@pytest.mark.parametrize("flat", [False, True])
def test_polynomials_bend_at_walls_where_waves_cannot(flat):
    """Zero, or of no slope, on the walls; a polynomial that bends there is fitted exactly, and not without."""
    x = torch.linspace(-1, 1, 60, dtype=torch.float64)[:, None]
    target = 3 * x**4 - 6 * x**2 + x**3 - 3 * x if flat else 2 - 2 * x**2 + 3 * x - 3 * x**3
    errors = []
    for bends in (True, False):
        network = SineSeries(1, 1, columns=[0], waves=[6], flat=flat, bends=bends).double()
        rows = torch.func.jacrev(lambda w, own=network: torch.func.functional_call(own, {"last.weight": w}, x)[:, 0])(
            network.last.weight.detach()
        )[:, 0]
        assert rows.shape[1] == 6 + flat + 2 * bends
        network.last.weight.data = torch.linalg.lstsq(rows, target, driver="gelsd").solution.T
        errors.append(float((network(x) - target).detach().abs().max()))
        ends = torch.tensor([[-1.0], [1.0]], dtype=torch.float64, requires_grad=True)
        values = network(ends)
        given = torch.autograd.grad(values.sum(), ends)[0] if flat else values
        assert given.abs().max() < 1e-9
    assert errors[0] < 1e-10
    assert errors[1] > 1e-3


def test_bends_in_two_coordinates_come_with_every_wave():
    network = SineSeries(3, 1, columns=[0, 1], waves=[3, 3], bends=True, degree=1)
    assert network.last.weight.shape == (1, 2 * (9 + 2 * 3 * 2 + 4))
    with pytest.raises(ConfigurationError, match="bends: polynomials are not folded"):
        SineSeries(1, 1, waves=[4], folds=[2], bends=True)


def test_begins_with_a_constant_and_is_linear_in_what_is_trained():
    network = SpectralFeatures(2, 3, waves=3, degree=2).double()
    x = torch.rand(5, 2, dtype=torch.float64)
    assert torch.equal(network(x), network.last.weight[:, 0].expand(5, 3))
    assert last_layer(network) == ["last.weight"] == [name for name, _ in network.named_parameters()]
    torch.nn.init.normal_(network.last.weight)
    later = x + torch.tensor([2.0, 0.0], dtype=torch.float64)  # the width of the scaled domain
    torch.testing.assert_close(network(later), network(x), rtol=0, atol=1e-12)
    single, twice = network(x), None
    with torch.no_grad():
        network.last.weight.mul_(2)
        twice = network(x)
    torch.testing.assert_close(twice, 2 * single.detach())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("normal", [True, False])
def test_a_chaotic_equation_goes_on_through_windows(normal):
    """To the digits of the reference, where random sines of the same number end at 1e-6."""
    solution = pinnlab.march(
        KuramotoSivashinsky(horizon=0.02, exact_conditions=False),
        windows=2,
        model={
            "network": partial(SpectralFeatures, waves=24, degree=7, taper=0.5),
            "phases": [Phase(partial(LeastSquares, normal=normal), steps=4)],
            "compile": False,
        },
        data={"points": {"pde": 540, "start": 54}, "sampler": Grid(cells=[54, 10]), "evaluation_points": 500},
    )
    assert solution.errors()["u"] < 1e-8


@pytest.mark.parametrize("at", [-1.0, 0.0, 1.0])
def test_a_lens_leaves_walls_where_they_are(at):
    lens = partial(Lens, at=at, width=0.2, periodic=True)
    network = SineSeries(2, 1, waves=[5], degree=2, embedding=lens).double()
    torch.nn.init.normal_(network.last.weight)
    walls = torch.tensor([[-1.0, 0.3], [1.0, -0.7]], dtype=torch.float64)
    assert float(network(walls).detach().abs().max()) < 1e-12


@pytest.mark.parametrize(
    ("embedding", "said"),
    [
        (partial(Lens, at=0.5, periodic=True), "embedding: moves the walls of column 0 from -1 and 1"),
        (partial(Stretch, factors=[2.0, 1.0]), "embedding: moves the walls"),
        (partial(FourierFeatures, features=3), "embedding: FourierFeatures makes 6 columns of 2; waves and"),
    ],
)
def test_embeddings_that_are_not_for_walls_are_refused(embedding, said):
    with pytest.raises(ConfigurationError, match=said):
        SineSeries(2, 1, waves=[5], embedding=embedding)
