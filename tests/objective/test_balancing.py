"""The formulas of weights against their definitions, written out once more."""

import math

import pytest
import torch
from linearized import draw

from pinnlab.errors import ConfigurationError
from pinnlab.objective.balancing import (
    LRA,
    MOST,
    AbstractLossTerms,
    GradientNorm,
    NTKTrace,
    ReLoBRaLo,
    SoftAdapt,
    ascended,
    attention,
    causal,
    time_chunks,
)


class Terms(AbstractLossTerms):
    """Terms that are given."""

    def __init__(self, values=(1.0, 2.0, 3.0), weights=(1.0, 2.0, 0.5), equations=(True, False, False), seed=0):
        self._values = torch.tensor(values, dtype=torch.float64)
        self.weights = torch.tensor(weights, dtype=torch.float64)
        self.equations = torch.tensor(equations)
        self.slopes = draw(3, 5) * torch.tensor([[10.0], [1.0], [0.1]])
        self.seed, self.asked = seed, []

    def values(self):
        return self._values

    def gradients(self):
        return self.slopes

    def traces(self, max_rows):
        self.asked.append(max_rows)
        return torch.tensor([8.0, 3.0, 1.0], dtype=torch.float64)

    def generator(self):
        return torch.Generator().manual_seed(self.seed)


def test_gradient_norm():
    terms = Terms()
    norms = [math.sqrt(sum(x * x for x in row)) for row in terms.slopes.tolist()]
    wanted = [sum(norms) / 3 / norm for norm in norms]
    expected = [0.9 * w + 0.1 * v for w, v in zip([1.0, 2.0, 0.5], wanted, strict=True)]
    assert GradientNorm().update(terms).tolist() == pytest.approx(expected, rel=1e-12)
    assert GradientNorm(decay=0).update(terms).tolist() == pytest.approx(wanted, rel=1e-12)


def test_gradient_norm_does_not_care_about_the_own_weight():
    """A term a thousand times off ends up with the same product of weight and gradient."""
    one, other = Terms(), Terms()
    other.slopes = one.slopes * torch.tensor([[1.0], [1000.0], [1.0]])
    pulls = [
        (GradientNorm(decay=0).update(t)[:, None] * t.slopes).norm(dim=1) / t.slopes.norm(dim=1).mean()
        for t in (one, other)
    ]
    for pull in pulls:
        assert torch.allclose(pull, torch.ones(3, dtype=torch.float64), rtol=1e-12)


def test_lra():
    terms = Terms(equations=(True, False, True))
    rows = terms.slopes.tolist()
    top = max(abs(a + b) for a, b in zip(rows[0], rows[2], strict=True))
    wanted = top / (sum(abs(2.0 * x) for x in rows[1]) / 5)
    assert LRA(decay=0.7).update(terms).tolist() == pytest.approx([1.0, 0.7 * 2.0 + 0.3 * wanted, 0.5], rel=1e-12)


def test_ntk_trace():
    terms = Terms()
    assert NTKTrace(max_rows=7).update(terms).tolist() == pytest.approx([4 / 8, 4 / 3, 4 / 1], rel=1e-12)
    assert NTKTrace(decay=0.5).update(terms).tolist() == pytest.approx([0.75, 1 + 2 / 3, 2.25], rel=1e-12)
    assert terms.asked == [7, 200]


def softmax(values):
    powers = [math.exp(v) for v in values]
    return [p / sum(powers) for p in powers]


@pytest.mark.parametrize("rho", [0.0, 1.0])
def test_relobralo(rho):
    rule, seen = ReLoBRaLo(alpha=0.8, expected_rho=rho, temperature=2.0), []
    weights = [1.0, 1.0, 1.0]
    for values in ([1.0, 2.0, 3.0], [0.5, 2.0, 4.0], [0.4, 1.0, 5.0]):
        weights = rule.update(Terms(values, weights)).tolist()
        seen.append(values)
        first, last = seen[0], seen[max(len(seen) - 2, 0)]
        if len(seen) == 1:
            expected = [1.0] * 3
        else:
            far, near = (
                [3 * s for s in softmax([v / (2.0 * b) for v, b in zip(values, before, strict=True)])]
                for before in (first, last)
            )
            past = expected if rho else far
            expected = [0.8 * p + 0.2 * n for p, n in zip(past, near, strict=True)]
        assert weights == pytest.approx(expected, rel=1e-12)
        assert sum(weights) == pytest.approx(3)


def test_relobralo_begins_with_the_weights_that_there_are():
    for values in ([1.0, 2.0, 3.0], [1.0, 0.0, 3.0]):
        assert ReLoBRaLo().update(Terms(values, [5.0, 1.0, 0.5])).tolist() == [5.0, 1.0, 0.5]


def test_relobralo_draws_from_the_generator():
    results = set()
    for seed in range(20):
        rule = ReLoBRaLo(expected_rho=0.5)
        rule.update(Terms())
        found = rule.update(Terms((5.0, 1.0, 1.0), seed=seed))
        assert torch.equal(found, _again(seed))
        results.add(tuple(found.tolist()))
    assert len(results) == 2


def _again(seed):
    rule, other = ReLoBRaLo(expected_rho=0.5), ReLoBRaLo(expected_rho=0.5)
    rule.update(Terms())
    other.load_state_dict(rule.state_dict())
    return other.update(Terms((5.0, 1.0, 1.0), seed=seed))


@pytest.mark.parametrize("normalized", [False, True])
@pytest.mark.parametrize("by_value", [False, True])
def test_softadapt(normalized, by_value):
    rule, now = SoftAdapt(beta=2.0, normalized=normalized, by_value=by_value), [0.5, 2.5, 2.0]
    assert rule.update(Terms()).tolist() == [1.0, 2.0, 0.5]  # nothing to compare with yet
    slopes = [-0.5, 0.5, -1.0]
    powers = [math.exp(2.0 * (s / 2 if normalized else s)) for s in slopes]
    powers = [p * v if by_value else p for p, v in zip(powers, now, strict=True)]
    expected = [3 * p / sum(powers) for p in powers]
    assert rule.update(Terms(now)).tolist() == pytest.approx(expected, rel=1e-12)
    rule.reset()
    assert rule.update(Terms(now)).tolist() == [1.0, 2.0, 0.5]


@pytest.mark.parametrize("rule", [GradientNorm(0.0), LRA(0.0), NTKTrace(), ReLoBRaLo(), SoftAdapt()])
def test_weights_stay_finite_when_a_term_vanishes(rule):
    terms = Terms((0.0, 1.0, 1.0), equations=(False, True, False))
    terms.slopes[0] = 0
    terms.traces = lambda max_rows: torch.tensor([0.0, 1.0, 2.0], dtype=torch.float64)
    for _ in range(2):
        found = rule.update(terms)
        assert found.isfinite().all()
        assert found.max() <= MOST


@pytest.mark.parametrize("rule", [GradientNorm(), LRA(), NTKTrace()], ids=lambda rule: type(rule).__name__)
@pytest.mark.parametrize("left", [0.0, 1e-20])
def test_a_term_whose_gradient_has_vanished_keeps_its_weight_and_the_others_do_not_see_it(rule, left):
    """Its quotient was taken for 1e8, a tenth of which was its weight after one update."""
    terms = Terms(equations=(True, False, False))
    terms.slopes[1] *= left
    terms.traces = lambda max_rows: torch.tensor([8.0, 3.0 * left, 1.0], dtype=torch.float64)
    two = Terms((1.0, 3.0), (1.0, 0.5), (True, False))
    two.slopes = terms.slopes[[0, 2]]
    two.traces = lambda max_rows: torch.tensor([8.0, 1.0], dtype=torch.float64)
    found, alone = rule.update(terms).tolist(), rule.update(two).tolist()
    assert found == pytest.approx([alone[0], 2.0, alone[1]], rel=1e-12)
    assert alone[1] > 0.5
    terms.slopes, terms.traces = torch.zeros(3, 5), lambda max_rows: torch.zeros(3)
    assert rule.update(terms).tolist() == [1.0, 2.0, 0.5]


def test_where_the_equations_have_no_gradient_there_is_nothing_to_balance_with():
    terms = Terms()
    terms.slopes[0] = 0
    assert LRA().update(terms).tolist() == [1.0, 2.0, 0.5]


def test_attention_is_the_recursion_repeated():
    weights, residual = torch.tensor([1.0, 0.25, 4.0]), torch.tensor([0.5, -2.0, 1.0])
    lambdas = [1.0, 0.5, 2.0]
    for _ in range(3):
        lambdas = [0.9 * v + 0.01 * abs(r) / 2.0 for v, r in zip(lambdas, residual.tolist(), strict=True)]
    found = attention(weights, residual, decay=0.9, rate=0.01, times=3)
    assert found.tolist() == pytest.approx([v * v for v in lambdas], rel=1e-6)
    never_forgets = attention(weights, residual, decay=1.0, rate=0.01, times=3)
    assert never_forgets[1].item() == pytest.approx((0.5 + 0.03) ** 2, rel=1e-6)
    assert attention(weights, torch.zeros(3), 0.9, 0.01).isfinite().all()


def test_attention_is_bounded():
    weights = attention(torch.ones(2), torch.tensor([1.0, 0.5]), 0.999, 0.01, times=100_000)
    assert weights.sqrt().tolist() == pytest.approx([10.0, 5.0], rel=1e-4)


@pytest.mark.parametrize("power", [1, 2])
def test_ascent_is_along_the_gradient_by_the_weights(power):
    weights, residual = torch.tensor([1.0, 4.0, 0.25]).double(), torch.tensor([1.0, 2.0, 3.0]).double()
    variable = (weights ** (1 / power)).requires_grad_()
    loss = (variable**power * residual.square()).sum() / residual.square().mean()
    (slope,) = torch.autograd.grad(loss, variable)
    expected = (variable + 0.1 * slope).detach() ** power
    assert torch.allclose(ascended(weights, residual, 0.1, power, normalized=False), expected, rtol=1e-12)
    found = ascended(weights, residual, 0.1, power, normalized=True)
    assert torch.allclose(found, expected / expected.mean(), rtol=1e-12)
    assert found.mean().item() == pytest.approx(1)


def test_causal_weights():
    times = torch.tensor([0.0, 0.4, 0.6, 1.1, 2.0]).double()
    residual = torch.tensor([1.0, 3.0, 2.0, 0.5, 7.0]).double()
    chunk = time_chunks(times, 0.0, 2.0, 4)
    assert chunk.tolist() == [0, 0, 1, 2, 3]
    means = [5.0, 4.0, 0.25, 49.0]
    expected = [math.exp(-0.1 * sum(means[:i])) for i in range(4)]
    assert causal(residual, chunk, 4, 0.1).tolist() == pytest.approx(expected, rel=1e-12)
    later = causal(residual, chunk, 4, 0.1, initial=2.0)
    assert later.tolist() == pytest.approx([w * math.exp(-0.2) for w in expected], rel=1e-12)
    gap = causal(residual[[0, 4]], chunk[[0, 4]], 4, 0.1)
    assert gap.tolist() == pytest.approx([1.0, *[math.exp(-0.1)] * 3], rel=1e-12)


@pytest.mark.parametrize(
    ("build", "key"),
    [
        (lambda: GradientNorm(decay=1.0), "GradientNorm.decay"),
        (lambda: LRA(decay=-0.1), "LRA.decay"),
        (lambda: NTKTrace(decay=2.0), "NTKTrace.decay"),
        (lambda: NTKTrace(max_rows=0), "NTKTrace.max_rows"),
        (lambda: ReLoBRaLo(alpha=1.5), "ReLoBRaLo.alpha"),
        (lambda: ReLoBRaLo(expected_rho=1.5), "ReLoBRaLo.expected_rho"),
        (lambda: ReLoBRaLo(temperature=0.0), "ReLoBRaLo.temperature"),
        (lambda: SoftAdapt(beta=math.nan), "SoftAdapt.beta"),
    ],
)
def test_bad_numbers_are_refused(build, key):
    with pytest.raises(ConfigurationError, match=rf"^{key}: must be"):
        build()
