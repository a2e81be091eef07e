"""At which steps something is logged, measured or drawn."""

import itertools

import pytest

from pinnlab.reporting.log_steps import DENSE, draws, is_spaced, logs_loss, measures_error


def test_spaced_numbers_are_those_with_few_binary_digits():
    def by_text(step, digits):
        return len(bin(step)[2:].rstrip("0")) <= digits

    for digits in (1, 2, 3, 5):
        assert [n for n in range(1, 3000) if is_spaced(n, digits)] == [n for n in range(1, 3000) if by_text(n, digits)]
    assert not is_spaced(0, 3)
    assert not is_spaced(-4, 3)


@pytest.mark.parametrize("steps", [31, 50, 112, 500, 20_000])
def test_any_run_of_more_than_thirty_steps_has_thirty_points_and_eight_figures(steps):
    losses = [n for n in range(1, steps + 1) if logs_loss(n, n, 50)]
    errors = [n for n in range(1, steps + 1) if measures_error(n, n)]
    figures = {n for n in range(1, steps + 1) if draws(n)} | {steps}
    assert len(losses) >= 30
    assert len(errors) >= 30
    assert len(figures) >= 8
    assert max(b / a for a, b in itertools.pairwise(errors) if a > 8) <= 1.25  # no gap on a logarithmic axis
    assert len(errors) <= DENSE + 4 * steps.bit_length()
    assert len(figures) <= steps.bit_length() + 3


def test_losses_are_logged_at_every_so_many_steps_besides_and_not_at_all_for_zero():
    assert all(logs_loss(50 * k, 50 * k - 7, 50) for k in range(1, 100))
    assert not any(logs_loss(n, n, 0) for n in range(1, 100))


def test_the_beginning_of_a_later_phase_is_measured_too():
    assert [n for n in range(1001, 1013) if measures_error(n, n - 1000)] == [*range(1001, 1009), 1010, 1012]
    assert [n for n in range(999, 1040) if logs_loss(n, n - 1000, 50)] == [*range(1000, 1033), 1034, 1036, 1038]
