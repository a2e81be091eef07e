"""A trained solution as a thing: evaluate it, derive it, put it on a grid, draw it, write it, export it."""

from pinnlab.solution.solution import Quantity, Solution

__all__ = ["Quantity", "Solution"]
