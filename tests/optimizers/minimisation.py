"""Minimising a function of one vector with a quasi-Newton method."""


class Minimisation:
    """Needs `function`, the vector `x`, an `optimizer` and the count `calls` from its subclass."""

    def closure(self):
        self.calls += 1
        self.optimizer.zero_grad()
        loss = self.function(self.x)
        loss.backward()
        return loss

    def step(self, times=1):
        for _ in range(times):
            returned = self.optimizer.step(self.closure)
        return returned

    def loss(self):
        return self.function(self.x.detach()).item()


def rosenbrock(x):
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()
