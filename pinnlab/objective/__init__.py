"""(problem, network, points) -> residuals, loss, gradient, linearization; scores of points, and weights."""
