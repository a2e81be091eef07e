"""A trained solution as a thing: evaluate it, derive it, put it on a grid, draw it, write it, export it."""

from pinnlab.solution.quantity import Quantity
from pinnlab.solution.solution import Solution

__all__ = ["Quantity", "Solution"]
