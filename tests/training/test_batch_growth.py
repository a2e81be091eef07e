"""Rules by which batches grow, and the noise of a mini-batch's gradient against plain autograd."""

import math

import pytest
import torch

from pinnlab.cli.catalog import KINDS, classes, resolve_names
from pinnlab.errors import ConfigurationError
from pinnlab.networks import MLP
from pinnlab.objective.residuals import ResidualSystem
from pinnlab.objective.trial_function import Trial
from pinnlab.problems import Burgers
from pinnlab.samplers import UniformRandom
from pinnlab.training.batch_growth import (
    Geometric,
    GrowthRule,
    Linear,
    NormTest,
    _part,
    gradient_noise,
    relative_variance,
    rung,
)

WEIGHTS = torch.tensor([0.5, 3.0, 20.0], dtype=torch.float64)


def never():
    raise AssertionError("a schedule looked at gradients")


def sizes(rule, most, times):
    return [rung(rule.first, rule.wanted(0, k, never), most) for k in range(1, times + 1)]


def test_schedules_follow_their_formulas_rounded_down_to_the_ladder():
    assert sizes(Geometric(10), 1000, 8) == [20, 40, 80, 160, 320, 640, 1000, 1000]
    assert sizes(Geometric(10, factor=3), 1000, 5) == [20, 80, 160, 640, 1000]  # 30, 90, 270, 810
    assert sizes(Linear(10, step=15), 100, 6) == [20, 40, 40, 40, 80, 100]  # 25, 40, 55, 70, 85, 100


@pytest.mark.parametrize(
    ("wanted", "expected"), [(0, 4), (4, 4), (7.9, 4), (8, 8), (29.9, 16), (30, 30), (math.inf, 30), (math.nan, 4)]
)
def test_rungs(wanted, expected):
    assert rung(4, wanted, 30) == expected


def test_a_set_smaller_than_the_first_size_is_taken_whole():
    assert rung(8, 8, 5) == 5


@pytest.mark.parametrize(("noise", "expected"), [(0.24, 64), (0.26, 128), (1e9, 128), (math.inf, 128), (math.nan, 64)])
def test_norm_test_doubles_when_noise_exceeds_theta_squared(noise, expected):
    assert NormTest(16, theta=0.5).wanted(64, 3, lambda: noise) == expected


def test_relative_variance_is_that_of_means_over_batches():
    generator = torch.Generator().manual_seed(0)
    samples = 3.0 * torch.randn(3000, 8, 5, 4, generator=generator, dtype=torch.float64)  # 3,000 batches of 40 samples
    rest = torch.full((4,), 1e3, dtype=torch.float64)
    estimates = [relative_variance(batch.mean(1), rest) * 4e6 for batch in samples]
    measured = samples.mean((1, 2)).var(0).sum()
    assert measured == pytest.approx(4 * 9 / 40, rel=0.1)
    assert sum(estimates) / 3000 == pytest.approx(4 * 9 / 40, rel=0.03)


def residuals(counts=(16, 24, 7)):
    problem = Burgers(exact_conditions=False)
    torch.manual_seed(0)
    system = ResidualSystem(problem, Trial(problem, MLP(2, 1, hidden=[5])).double())
    batch = {
        name: condition.rows(UniformRandom().sample(condition.region, count, seed=k))
        for k, ((name, condition), count) in enumerate(zip(problem.conditions.items(), counts, strict=True))
    }
    return system, batch


def gradient(system, rows):
    terms = zip(WEIGHTS, system.residuals(rows).values(), strict=True)
    loss = sum(weight * r.square().mean() for weight, r in terms)
    return torch.cat([g.reshape(-1) for g in torch.autograd.grad(loss, list(system.trial.parameters()))])


def test_only_conditions_that_are_sampled_make_noise():
    system, batch = residuals()
    names = list(batch)
    sampled = names[:2]
    found = gradient_noise(system.weighted_loss, system.trial.tensors(), WEIGHTS, batch, sampled)
    parts = torch.stack(
        [gradient(system, {n: rows[k::8] if n in sampled else rows for n, rows in batch.items()}) for k in range(8)]
    )
    mean = gradient(system, batch)
    torch.testing.assert_close(parts.mean(0), mean, rtol=1e-10, atol=1e-12)
    expected = ((parts - mean).square().sum() / 7 / 8) / mean.square().sum()
    assert found == pytest.approx(float(expected), rel=1e-10)
    everything = gradient_noise(system.weighted_loss, system.trial.tensors(), WEIGHTS, batch, names, chunks=4)
    assert everything != pytest.approx(found, rel=1e-3)
    assert all(p.grad is None for p in system.trial.parameters())


@pytest.mark.parametrize("world", [2, 3])
def test_parts_do_not_depend_on_the_number_of_processes(monkeypatch, world):
    rows = torch.arange(21)
    found = {k: [] for k in range(8)}
    for rank in range(world):
        monkeypatch.setattr("pinnlab.numerics.distributed.rank", lambda rank=rank: rank)
        monkeypatch.setattr("pinnlab.numerics.distributed.world_size", lambda: world)
        for k in range(8):
            found[k] += _part(rows[rank::world], k, 8).tolist()
    assert {k: sorted(part) for k, part in found.items()} == {k: rows[k::8].tolist() for k in range(8)}


@pytest.mark.parametrize(
    ("build", "key"),
    [
        (lambda: Geometric(1), r"Geometric\.first"),
        (lambda: NormTest(0), r"NormTest\.first"),
        (lambda: Geometric(8, factor=1.0), r"Geometric\.factor"),
        (lambda: Geometric(8, factor=math.nan), r"Geometric\.factor"),
        (lambda: Linear(8, step=0), r"Linear\.step"),
        (lambda: NormTest(8, theta=0.0), r"NormTest\.theta"),
    ],
)
def test_bad_numbers_are_refused(build, key):
    with pytest.raises(ConfigurationError, match=key):
        build()


def test_rules_can_be_named_in_recipes():
    assert set(classes(*KINDS["growth rules"]).values()) == {Geometric, Linear, NormTest}
    assert all(issubclass(rule, GrowthRule) for rule in (Geometric, Linear, NormTest))
    assert resolve_names({"rule": "NormTest"}) == {"rule": "pinnlab.training.batch_growth.NormTest"}
