"""What signatures say of made-up runs."""

import dataclasses
import math

import pytest

from pinnlab.analysis.signatures import (
    OCTAVES,
    SIGNATURES,
    Bands,
    CoefficientLook,
    Look,
    Record,
    Switch,
    promise,
    rules,
    spectral,
)

START = Look(step=1, evaluations=1, phase=1, optimizer="Adam", version=0, loss=1.0)


def run(*changes, every=100, **always):
    """A record with one look for each mapping of changes against the first."""
    looks = [
        dataclasses.replace(START, step=1 + every * k, evaluations=1 + every * k, **{**always, **change})
        for k, change in enumerate(changes)
    ]
    return Record(looks)


def found(rule, record):
    return [finding.subject for finding in rule(record)]


@pytest.mark.parametrize("rule", SIGNATURES.values(), ids=list(SIGNATURES))
def test_nothing_is_said_of_what_was_not_measured(rule):
    assert rule(Record()) == []
    assert rule(run({})) == []
    assert rule(run(*[{}] * 10)) == []


def series(key, *values):
    return [{key: value} for value in values]


class TestUnderResolution:
    def ratios(self, *values, **always):
        return run(*series("ratios", *({"pde": v} for v in values)), points={"pde": 9}, **always)

    def test_only_after_two_looks_in_a_row(self):
        seen = [bool(rules.under_resolution(self.ratios(*values))) for values in ([500.0], [500.0, 3.0, 500.0])]
        assert seen == [False, False]
        finding = rules.under_resolution(self.ratios(3.0, 500.0, 200.0))[0]
        assert "'pde'" in finding.evidence
        assert "2e+02 times that of its 9 training points" in finding.evidence
        assert "data.points.pde" in finding.advice

    def test_one_look_is_enough_when_the_optimizer_has_stalled(self):
        assert found(rules.under_resolution, self.ratios(500.0, stalled=True)) == ["pde"]

    @pytest.mark.parametrize(("held_out", "jumps"), [([0.4, 0.1, 5.0, 9.0], False), ([0.02, 0.01, 60.0, 4e3], True)])
    def test_a_jump_is_named_where_the_residual_between_the_points_grows(self, held_out, jumps):
        looks = zip([1.5, 3.0, 1e5, 1e7], held_out, strict=True)
        record = run(*({"ratios": {"pde": r}, "equations": {"pde": square}} for r, square in looks), points={"pde": 9})
        assert ("take Weak, or add a viscosity" in rules.under_resolution(record)[0].advice) == jumps

    def test_not_a_number_is_no_resolution(self):
        assert not rules.under_resolution(self.ratios(math.nan, math.nan))


class TestBoundaryViolation:
    def looks(self, residuals, violations, sizes=(1.0, 1.0, 1.0, 1.0)):
        pairs = zip(residuals, violations, sizes, strict=True)
        return run(*({"equations": {"pde": r}, "sides": {"wall": v}, "sizes": {"wall": s}} for r, v, s in pairs))

    def test_the_residual_falls_and_the_condition_does_not(self):
        record = self.looks([50.0, 1e-3, 1e-4, 1e-5], [0.2, 2.0, 3.0, 1.5])
        finding = rules.boundary_violation(record)[0]
        assert finding.subject == "wall"
        assert "2e-07 of its largest value" in finding.evidence
        assert "still 0.5 of its own, 1 times the solution in size" in finding.evidence
        assert "model.weights.wall" in finding.advice

    @pytest.mark.parametrize(
        ("residuals", "violations", "sizes"),
        [
            ([50.0, 1e-3, 1e-4, 1e-5], [3.0, 0.2, 0.03, 0.02], (1.0, 1.0, 1.0, 1.0)),  # both fall
            ([50.0, 9.0, 4.0, 3.0], [3.0, 3.0, 3.0, 3.0], (1.0, 1.0, 1.0, 1.0)),  # neither falls
            ([50.0, 1e-3, 1e-4, 1e-5], [3.0, 3.0, 3.0, 3.0], (1.0, 1.0, 1.0, 0.05)),  # small against the solution
            ([50.0, 40.0, 1e-4, 1e-5], [3.0, 3.0, 3.0, 3.0], (1.0, 1.0, 1.0, 1.0)),  # not for long enough
        ],
    )
    def test_healthy(self, residuals, violations, sizes):
        assert rules.boundary_violation(self.looks(residuals, violations, sizes)) == []

    def test_all_equations_have_to_be_solved(self):
        sides = {"sides": {"wall": 1.0}}
        record = run({"equations": {"a": 1.0, "b": 1.0}, **sides}, *[{"equations": {"a": 1e-5, "b": 0.1}, **sides}] * 3)
        assert rules.boundary_violation(record) == []


class TestDivergenceOnSwitch:
    def test_the_loss_blows_up(self):
        record = Record(switches=[Switch(100, 2, "LBFGS", 1e-4, 3e4, 2), Switch(300, 3, "Adam", 1e-4, 1e-2, 50)])
        finding = rules.divergence_on_switch(record)[0]
        assert found(rules.divergence_on_switch, record) == ["phase 2"]
        assert finding.evidence == "the loss was 3e+04 after 2 steps of phase 2 (LBFGS), and 0.0001 before"

    def test_not_a_number_counts_as_infinite(self):
        assert found(rules.divergence_on_switch, Record(switches=[Switch(9, 2, "SGD", 1.0, math.inf, 1)])) == [
            "phase 2"
        ]


class TestStagnation:
    def stall(self, gradient, loss=1e-2, top=1.0, **options):
        return run({}, {"stalled": True, "gradient": gradient, "top": top, "loss": loss, **options})

    def test_a_search_that_fails_where_the_gradient_promises_much(self):
        finding = rules.stagnation(self.stall(0.1))[0]
        assert finding.subject == "phase 1"
        assert "promises 0.25" in finding.evidence  # 0.1^2 / (4 x 1e-2)

    def test_a_search_that_goes_on(self):
        assert rules.stagnation(self.stall(0.1, stalled=False)) == []

    @pytest.mark.parametrize("loss", [1e-6, 1e-12, 1e-20])
    def test_a_minimum(self, loss):
        assert rules.stagnation(self.stall(1e-4 * math.sqrt(loss), loss)) == []

    def test_what_rounding_hides_is_no_stagnation(self):
        # Residuals that are round-off of residuals of order one point anywhere.
        assert rules.stagnation(self.stall(1e-15, 1e-30)) == []
        assert rules.stagnation(self.stall(1e-5, 1e-10, epsilon=1.2e-7)) == []
        assert rules.stagnation(self.stall(0.1, round_off=0.2)) == []


def test_promise_is_the_decrease_of_a_gradient_step_on_a_quadratic():
    # The loss sum (a_i x_i)^2 is r'r with J = diag(a); the step of length 1 / (2 max a^2) along the gradient.
    a, x = (3.0, 1.0, 0.1), (0.2, -1.0, 5.0)
    loss = sum((s * v) ** 2 for s, v in zip(a, x, strict=True))
    gradient = [2 * s * s * v for s, v in zip(a, x, strict=True)]
    norm = math.hypot(*gradient)
    # Minimise along the gradient the model with the largest curvature, 2 max a^2, everywhere.
    best = min(-t * norm**2 + 9.0 * t * t * norm**2 for t in [k / 18000 for k in range(2000)])
    assert promise(norm, 9.0, loss) == pytest.approx(-best / loss, rel=1e-4)
    assert promise(0.0, 0.0, 0.0) == 0.0


class TestCoefficient:
    def looks(self, *coefficients):
        return run(*series("coefficients", *({"k": c} for c in coefficients)))

    def test_at_its_bound(self):
        at_bound = CoefficientLook(0.999, 0.004, 1.0)
        assert rules.vanishing_coefficient_gradient(self.looks(at_bound)) == []
        finding = rules.vanishing_coefficient_gradient(self.looks(CoefficientLook(0.5, 1.0, 1.0), at_bound, at_bound))[
            0
        ]
        assert finding.subject == "k"
        assert "k = 0.999 is at its bound" in finding.evidence
        assert "0.004 of its gradient" in finding.evidence

    def test_without_influence(self):
        idle = CoefficientLook(0.5, 1.0, 1e-5)
        finding = rules.vanishing_coefficient_gradient(self.looks(idle, idle))[0]
        assert "1e-05 times as much" in finding.evidence
        assert "raise model.weights" in finding.advice
        assert "vanished prescribe an Integral that is linear in it" in finding.advice

    def test_in_units_in_which_it_is_large(self):
        large = CoefficientLook(-5e7, 1.0, 1e-8)
        finding = rules.vanishing_coefficient_gradient(self.looks(large, large))[0]
        assert finding.advice == "give k bounds, or write it as a multiple: a coefficient of about 1, times -5e+07"

    def test_healthy(self):
        assert rules.vanishing_coefficient_gradient(self.looks(*[CoefficientLook(0.9, 0.36, 2.0)] * 5)) == []


class TestImbalance:
    def looks(self, ratio, *weak):
        return run(*({"gradients": {"pde": 1.0, "wall": ratio}, "sides": {"wall": w}} for w in weak))

    def test_a_term_is_drowned(self):
        finding = rules.imbalance(self.looks(1e-4, 2.0, 2.0, 1.0))[0]
        assert finding.subject == "wall"
        assert "'pde' is 1e+04 times that of 'wall'" in finding.evidence
        assert "0.5 of its largest" in finding.evidence

    def test_a_weak_term_that_falls_is_well(self):
        assert rules.imbalance(self.looks(1e-4, 2.0, 1.0, 0.02)) == []

    def test_a_balanced_loss(self):
        assert rules.imbalance(self.looks(0.1, *[1.0] * 5)) == []

    @pytest.mark.parametrize("square", [1e-34, 1e-28, 1e-20])
    def test_a_term_that_holds_needs_no_gradient(self, square):
        """To rounding errors, in a sum of many functions, and at one point after a linear solve."""
        looks = [{"gradients": {"pde": 1.0, "wall": 0.0}, "equations": {"pde": 1e-4}, "sides": {"wall": square}}] * 3
        assert rules.imbalance(run(*looks)) == []

    def test_a_prescribed_value_holds_in_units_of_the_solution(self):
        """Displacements of a millimetre beside forces in pascal: the square alone would be lost among theirs."""
        terms = {"gradients": {"pde": 1.0, "wall": 0.0}, "equations": {"pde": 1e22}, "sides": {"wall": 1e-6}}
        assert found(rules.imbalance, run(*[{**terms, "sizes": {"wall": 0.5}}] * 3, loss=1e22)) == ["wall"]
        assert rules.imbalance(run(*[{**terms, "sizes": {"wall": 1e-8}}] * 3, loss=1e22)) == []

    def test_a_term_as_small_as_what_is_left_of_the_others_is_drowned(self):
        looks = [{"gradients": {"pde": 1.0, "wall": 0.0}, "equations": {"pde": 1e-20}, "sides": {"wall": 1e-20}}] * 3
        assert found(rules.imbalance, run(*looks, loss=2e-20)) == ["wall"]

    def test_a_large_weight_on_another_term_hides_nothing(self):
        looks = [{"gradients": {"pde": 1.0, "wall": 0.0}, "equations": {"pde": 1e-4}, "sides": {"wall": 1e-8}}] * 3
        assert found(rules.imbalance, run(*looks, loss=1e8)) == ["wall"]

    def test_a_gradient_of_zero_is_drowned(self):
        assert found(rules.imbalance, self.looks(0.0, 1.0, 1.0, 1.0)) == ["wall"]

    def test_where_all_gradients_are_zero_none_drowns_another(self):
        """As with weights of 1e-300; a term was compared with itself."""
        looks = [{"gradients": {"pde": 0.0, "wall": 0.0}, "equations": {"pde": 1.0}, "sides": {"wall": 1.0}}] * 3
        assert rules.imbalance(run(*looks)) == []


class TestFloat32Floor:
    def test_residuals_that_are_rounding_errors(self):
        finding = rules.float32_floor(run({"round_off": 0.3}))[0]
        assert "0.3 of the residual" in finding.evidence
        assert "float64" in finding.advice
        assert rules.float32_floor(run({"round_off": 0.01})) == []

    def test_a_search_that_ends_in_rounding_errors(self):
        stall = {"stalled": True, "round_off": 0.005, "top": 1.0, "loss": 1e-6}
        assert rules.float32_floor(run({}, {**stall, "gradient": 1e-6}))
        # The gradient promises a quarter of the loss, and rounding hides a hundredth: it must be the search.
        assert rules.float32_floor(run({}, {**stall, "gradient": 1e-3})) == []
        assert rules.stagnation(run({}, {**stall, "gradient": 1e-3}))


class TestSpectralBias:
    def errors(self, *errors, reference=(0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0)):
        return run(*series("bands", *({"u": Bands(error, reference)} for error in errors)))

    def test_high_frequencies_stay(self):
        learned, start = (0.0, 0.005, 0.0, 0.0, 0.9, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0)
        assert spectral.spectral_bias(self.errors(start, start, learned, learned, learned)) == []  # not for long enough
        record = self.errors(start, start, *[learned] * 6)
        finding = spectral.spectral_bias(record)[0]
        assert finding.subject == "u"
        assert "0.95 of what there is to learn in 9 to 16 half waves" in finding.evidence
        assert "0.071 in 2 half waves, which were learned at evaluation 201" in finding.evidence

    def test_healthy(self):
        both = (0.0, 0.005, 0.0, 0.0, 0.1, 0.0, 0.0)
        assert spectral.spectral_bias(self.errors(*[both] * 8)) == []
        low_left = (0.0, 1.0, 0.0, 0.0, 0.001, 0.0, 0.0)
        assert spectral.spectral_bias(self.errors(*[low_left] * 8)) == []

    def test_frequencies_that_the_solution_does_not_have_do_not_count(self):
        smooth = (0.0, 1.0, 0.0, 0.0, 1e-6, 0.0, 0.0)
        error = (0.0, 1e-8, 0.0, 0.0, 1e-5, 0.0, 0.0)
        assert spectral.spectral_bias(self.errors(*[error] * 8, reference=smooth)) == []

    def test_times_that_do_not_count_yet_are_no_bias(self):
        stays = (0.0, 0.005, 0.0, 0.0, 0.9, 0.0, 0.0)
        waiting = self.errors(*[stays] * 8)
        assert spectral.spectral_bias(waiting)
        waiting.looks = [dataclasses.replace(look, held_back=0.25) for look in waiting.looks]
        assert spectral.spectral_bias(waiting) == []
        # From here on all times count, which begins at evaluation 801; three times as long later it is one.
        later = self.errors(*[stays] * 30).looks[8:]
        seen = [bool(spectral.spectral_bias(Record([*waiting.looks, *later[:many]]))) for many in (16, 17, 18)]
        assert seen == [False, False, True]

    def test_what_is_left_has_to_be_of_high_frequency(self):
        elsewhere = (0.0, 0.005, 5.0, 0.0, 0.9, 0.0, 0.0)
        assert spectral.spectral_bias(self.errors(*[elsewhere] * 8)) == []

    def test_residuals_are_relative_to_their_beginning(self):
        start, later = (1.0, 4.0, 0.0, 0.0, 9.0, 0.0, 0.0), (1e-3, 4e-3, 0.0, 0.0, 8.0, 0.0, 0.0)
        finding = spectral.spectral_bias(self.errors(start, *[later] * 6, reference=()))[0]
        assert "the residual of u is 0.94" in finding.evidence
        assert "in 1 half wave or less" in finding.evidence


def test_times_that_never_counted_are_told_at_the_end():
    seen = [
        found(rules.late_times_held_back, run(*series("held_back", *shares), {"held_back": 0.25, "final": final}))
        for *shares, final in ((0.5, 0.4, False), (0.5, 0.0, True), (0.0, 0.5, 0.4, True))
    ]
    assert seen == [[], [], [""]]
    finding = rules.late_times_held_back(run({"held_back": 0.25, "final": True}))[0]
    assert "25% of the time interval" in finding.evidence


def test_all_octaves_have_words():
    words = [spectral.waves(band) for band in range(len(OCTAVES))]
    assert words[0] == "in 1 half wave or less"
    assert words[1:3] == ["in 2 half waves", "in 3 to 4 half waves"]
    assert words[-1] == "in 33 half waves and more"
