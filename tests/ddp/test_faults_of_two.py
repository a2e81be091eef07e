"""Two processes end alike where only one of them has the point at which the equation is not finite."""

import pytest
from forked import on_ranks
from run_faults import break_down


@pytest.mark.parametrize("guarded", [pytest.param(False, marks=pytest.mark.slow), True], ids=["bare", "rollback"])
def test_all_processes_say_the_same(guarded, tmp_path):
    on_ranks(2, tmp_path, break_down, tmp_path, guarded)
    first, second = ((tmp_path / f"{rank}-{guarded}.txt").read_text().splitlines() for rank in range(2))
    assert first[::2] == second[::2]
    assert sorted([first[1], second[1]]) == ["0 points", "1 points"]
    assert all("residual of condition 'pde' is nan at x = 0.9" in line for line in first[::2])
