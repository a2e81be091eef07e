"""L-BFGS in blocks at once: each block does what it would do alone, by slopes only."""

import pytest
import torch

from pinnlab.optimizers.limited_memory import CurvaturePairs
from pinnlab.optimizers.local_lbfgs import correct_blocks, inverse_hessians_times


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def hessians(blocks, m, seed=0):
    roots = draw(blocks, m, m, seed=seed)
    sizes = 10.0 ** torch.arange(blocks, dtype=torch.float64)
    return sizes[:, None, None] * (roots @ roots.mT + torch.eye(m, dtype=torch.float64))


def empty(blocks, m, history=6):
    return torch.zeros(blocks, history, 2, m, dtype=torch.float64)


def corrected(matrix, target, evaluations, pairs=None):
    """Blocks of quadratics from zero."""

    def gradients(moves):
        return (matrix @ (moves - target)[..., None])[..., 0]

    pairs = empty(*target.shape) if pairs is None else pairs
    return correct_blocks(gradients, gradients(torch.zeros_like(target)), pairs, evaluations), gradients


def test_products_are_those_of_the_memories_one_by_one():
    blocks, m, history = 3, 7, 4
    matrix, pairs, expected = hessians(blocks, m), empty(blocks, m, history), []
    vectors = draw(blocks, m, seed=1)
    for k, count in enumerate((0, 2, 4)):
        alone = CurvaturePairs({}, history)
        for j, s in enumerate(draw(count, m, seed=k)):
            alone.append(s, matrix[k] @ s)
            pairs[k, history - count + j] = torch.stack([s, matrix[k] @ s])
        expected.append(alone.times(vectors[k]) if count else 0.3 * vectors[k])
    found = inverse_hessians_times(pairs, vectors, torch.tensor(0.3, dtype=torch.float64))
    torch.testing.assert_close(found, torch.stack(expected), rtol=1e-10, atol=1e-12)


def test_blocks_of_all_sizes_are_minimised_at_once():
    matrix, target = hessians(4, 5), draw(4, 5, seed=2)
    found, gradients = corrected(matrix, target, 60)
    torch.testing.assert_close(found.moves, target, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(found.change, gradients(found.moves) - gradients(torch.zeros_like(target)))


@pytest.mark.parametrize("evaluations", [1, 2, 7])
def test_a_block_does_not_notice_the_others(evaluations):
    matrix, target = hessians(4, 5), draw(4, 5, seed=2)
    together, _ = corrected(matrix, target, evaluations)
    for k in range(4):
        alone, _ = corrected(matrix[k : k + 1], target[k : k + 1], evaluations)
        torch.testing.assert_close(together.moves[k], alone.moves[0], rtol=1e-12, atol=0)


def test_every_move_lowers_a_convex_function():
    matrix, target = hessians(4, 5), draw(4, 5, seed=2)

    def values(moves):
        away = moves - target
        return ((matrix @ away[..., None])[..., 0] * away).sum(1) / 2

    before, pairs, seen = values(torch.zeros_like(target)), empty(4, 5), []
    for evaluations in range(1, 12):
        found, _ = corrected(matrix, target, evaluations, pairs)
        seen.append(values(found.moves))
        assert (seen[-1] <= before).all()
        before = seen[-1]
    assert (before < 1e-2 * seen[0]).all()


def test_memories_make_the_next_time_quick():
    matrix, target = hessians(3, 5), draw(3, 5, seed=2)
    learned, _ = corrected(matrix, target, 12)
    cold, _ = corrected(matrix, -target, 4)
    warm, _ = corrected(matrix, -target, 4, learned.pairs)
    assert ((warm.moves + target).norm(dim=1) < 0.5 * (cold.moves + target).norm(dim=1)).all()


def test_a_step_out_of_the_domain_is_shortened_and_a_block_at_rest_stays():
    # -log(1 - x) + ... has its minimum at 1/2 and is not defined beyond 1; the second block has no gradient.
    def gradients(moves):
        x = moves[0]
        inside = 1 / (1 - x) - 2
        return torch.stack([100 * torch.where(x < 1, inside, torch.nan), torch.zeros_like(x)])

    pairs = empty(2, 1)
    pairs[0, -1, 0], pairs[0, -1, 1] = 5.0, 1.0  # a memory that steps much too far
    found = correct_blocks(gradients, gradients(torch.zeros(2, 1, dtype=torch.float64)), pairs, 30)
    assert found.moves[0].item() == pytest.approx(0.5, abs=1e-6)
    assert found.moves[1].item() == 0


def test_a_block_that_finds_no_step_forgets():
    pairs = empty(1, 2)
    pairs[:, -1] = 1.0
    found = correct_blocks(lambda moves: torch.full_like(moves, torch.nan), torch.ones(1, 2).double(), pairs, 5)
    assert not found.moves.any()
    assert not found.pairs.any()


def test_a_block_at_its_minimum_learns_nothing_of_roundings():
    """Of quadratics that bend alike everywhere, the minimum of which two steps find."""
    target, generator = draw(50, 3, seed=2), torch.Generator().manual_seed(0)

    def gradients(moves):
        noise = torch.randn(moves.shape, generator=generator, dtype=torch.float64)
        return 7.0 * (moves - target) + 1e-16 * noise

    found = correct_blocks(gradients, gradients(torch.zeros_like(target)), empty(50, 3), 10)
    s, y = found.pairs[:, :, 0], found.pairs[:, :, 1]
    learned = (s != 0).any(-1)
    assert learned.any(1).all()
    assert ((y - 7.0 * s).norm(dim=-1) <= 0.1 * y.norm(dim=-1))[learned].all()
