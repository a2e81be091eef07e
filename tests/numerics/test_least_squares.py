"""Damped least squares against dense solves, and where a Gram matrix no longer can say anything."""

import pytest
import torch

from pinnlab.numerics.least_squares import CountSketch, DampedLeastSquares, rank_revealing, triangle


def graded(rows, columns, smallest=1e-12, seed=0):
    """A matrix with singular values from 1 down to `smallest`, and its singular vectors."""
    generator = torch.Generator().manual_seed(seed)
    count = min(rows, columns)
    u, v = (torch.linalg.qr(torch.randn(size, count, generator=generator, dtype=torch.float64)).Q
            for size in (rows, columns))  # fmt: skip
    s = torch.logspace(0, torch.tensor(smallest).log10().item(), count, dtype=torch.float64)
    return u, s, v


def draw(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize("shape", [(40, 12), (12, 12), (7, 12)])
@pytest.mark.parametrize("damping", [1e-3, 1.0, 50.0])
def test_step_against_the_augmented_system(shape, damping):
    rows, right = draw(*shape), draw(shape[0] + 1)[1:]
    augmented = torch.cat([rows, damping**0.5 * torch.eye(shape[1], dtype=torch.float64)])
    carried = draw(shape[1] + 3)[3:]
    system = DampedLeastSquares(rows, right)
    zero = torch.zeros(shape[1], dtype=torch.float64)
    for start in (zero, carried):
        below = torch.cat([-right, damping**0.5 * start])
        expected = torch.linalg.lstsq(augmented, below[:, None], driver="gelsd").solution[:, 0]
        found = system.step(damping, None if start is zero else carried)
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)
    several = system.step(torch.tensor([damping, 2 * damping], dtype=torch.float64))
    torch.testing.assert_close(several[0], system.step(damping), rtol=1e-13, atol=0)
    torch.testing.assert_close(several[1], system.step(2 * damping), rtol=1e-13, atol=0)


def test_what_a_step_promises():
    rows, right = draw(30, 9), draw(31)[1:]
    system = DampedLeastSquares(rows, right)
    dampings = torch.tensor([1e-6, 0.1, 10.0], dtype=torch.float64)
    for step, decrease in zip(system.step(dampings), system.decreases(dampings), strict=True):
        expected = right.square().sum() - (rows @ step + right).square().sum()
        torch.testing.assert_close(decrease, expected, rtol=1e-12, atol=0)
        torch.testing.assert_close(system.curvature(step), (rows @ step).square().sum(), rtol=1e-12, atol=0)
    torch.testing.assert_close(system.lengths(dampings), system.step(dampings).norm(dim=1), rtol=1e-12, atol=0)


def test_damping_for_a_length():
    u, s, v = graded(60, 20)
    system = DampedLeastSquares(u * s @ v.T, draw(60))
    lengths = torch.tensor([1e-6, 1e-2, 1.0, 1e4], dtype=torch.float64)
    dampings = system.of_length(lengths)
    assert bool((dampings[1:] < dampings[:-1]).all())
    torch.testing.assert_close(system.lengths(dampings), lengths, rtol=1e-9, atol=0)
    longest = system.lengths(torch.zeros(1, dtype=torch.float64))
    assert float(system.lengths(system.of_length(1e6 * longest))) == pytest.approx(float(longest), rel=1e-6)


def test_resolves_what_the_gram_matrix_does_not():
    """A component along a singular value of 1e-10: its square is below the round-off of J'J."""
    u, s, v = graded(80, 20, smallest=1e-10)
    rows = u * s @ v.T
    right = -rows @ v[:, -1]  # the undamped step is the last singular vector
    step = DampedLeastSquares(*_split(triangle([rows[:33], rows[33:]], 20, 40), rows, right)).step(1e-26)
    assert float((step - v[:, -1]).norm()) < 1e-4
    values, vectors = torch.linalg.eigh(rows.T @ rows)
    squared = -(vectors / (values.clamp_min(0) + 1e-26)) @ (vectors.T @ (rows.T @ right))
    assert not float((squared - v[:, -1]).norm()) < 0.1


def _split(rows, whole, right):
    """The triangle of [J r] as the system wants it."""
    both = triangle([torch.cat([whole, right[:, None]], 1)], rows.shape[1] + 1, 1)
    return both[:, :-1], both[:, -1]


@pytest.mark.parametrize("sizes", [[900], [300] * 3, [1] * 5, [0, 400, 0, 500, 7]])
def test_triangle_keeps_the_gram_matrix(sizes):
    rows = draw(sum(sizes), 11)
    found = triangle(rows.split(sizes), 11, 100)
    assert len(found) <= 22
    torch.testing.assert_close(found.T @ found, rows.T @ rows, rtol=1e-12, atol=1e-12)


def test_triangle_never_has_more_rows_than_it_may():
    seen, real = [], torch.cat

    def blocks():
        for _ in range(50):
            yield torch.ones(100, 4, dtype=torch.float64)

    def watching(parts, *arguments):
        whole = real(parts, *arguments)
        seen.append(len(whole))
        return whole

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "cat", watching)
        triangle(blocks(), 4, 1000)
    assert max(seen) <= 1100
    assert len(seen) < 8


def test_sketch_keeps_the_gram_matrix_on_average():
    rows, total = draw(500, 3), torch.zeros(3, 3, dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    for _ in range(400):
        sums = torch.zeros(60, 3, dtype=torch.float64)
        CountSketch(60, 500, generator).add(rows, sums, slice(None))
        total += sums.T @ sums / 400
    exact = rows.T @ rows
    assert float((total - exact).norm() / exact.norm()) < 0.02


def test_sketch_of_blocks_adds_up():
    rows, sketch = draw(100, 5), CountSketch(20, 100, torch.Generator().manual_seed(3))
    matrix = torch.zeros(20, 100, dtype=torch.float64)
    for number in range(100):
        for bucket, sign in zip(sketch.buckets[number].tolist(), sketch.signs[number].tolist(), strict=True):
            matrix[bucket, number] += sign / 2**0.5
    sums = torch.zeros(20, 5, dtype=torch.float64)
    for numbers in (slice(0, 30), torch.arange(99, 29, -1)):
        sketch.add(rows[numbers], sums, numbers)
    torch.testing.assert_close(sums, matrix @ rows, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("shape", [(40, 12), (12, 12)])
def test_rank_revealing_of_independent_columns(shape):
    rows, right = draw(*shape) * torch.logspace(-9, 9, shape[1], dtype=torch.float64), draw(shape[0] + 1)[1:]
    found = rank_revealing(rows, right)
    expected = torch.linalg.lstsq(draw(*shape), -right[:, None], driver="gelsd").solution[:, 0]
    scaled = found.minimiser * torch.logspace(-9, 9, shape[1], dtype=torch.float64)
    torch.testing.assert_close(scaled, expected, rtol=1e-9, atol=1e-12)
    assert found.rank == shape[1]
    assert found.left_over == pytest.approx(float((rows @ found.minimiser + right).square().sum()), rel=1e-12)


@pytest.mark.parametrize("shape", [(30, 9), (6, 9)])
def test_rank_revealing_of_columns_that_depend_on_each_other(shape):
    """Twice the same column, a zero one, more columns than rows: a minimum all the same, without large numbers."""
    rows, right = draw(*shape), draw(shape[0] + 1)[1:]
    rows = torch.cat([rows, rows[:, :1], torch.zeros(shape[0], 1)], 1)
    found = rank_revealing(rows, right)
    least = torch.linalg.lstsq(rows, -right[:, None], driver="gelsd").solution[:, 0]
    assert found.rank == min(shape)
    assert found.left_over == pytest.approx(float((rows @ least + right).square().sum()), rel=1e-10, abs=1e-25)
    assert float(found.minimiser.norm()) < 100 * float(least.norm())
    assert float(found.minimiser[-1]) == 0.0


def test_tolerance_leaves_out_what_is_below_it():
    basis = torch.linalg.qr(draw(20, 3)).Q
    rows = torch.stack([basis[:, 0], basis[:, 1], basis[:, 0] + 1e-6 * basis[:, 2]], 1)
    assert [rank_revealing(rows, basis[:, 2], tolerance).rank for tolerance in (None, 1e-8, 1e-4)] == [3, 3, 2]
    torch.testing.assert_close(
        rank_revealing(rows, basis[:, 2]).minimiser[2], torch.tensor(-1e6).double(), rtol=1e-9, atol=0
    )


def test_rank_revealing_in_float32():
    rows, right = draw(20, 4).float(), draw(21)[1:].float()
    found = rank_revealing(torch.cat([rows, rows[:, :2]], 1), right)
    assert found.rank == 4
    assert found.minimiser.dtype == torch.float32
