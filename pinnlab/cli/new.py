"""`pinnlab new my_problem.py`: a problem to change, and its recipe."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from pinnlab.cli.help import HELP
from pinnlab.cli.own_files import check_name
from pinnlab.errors import ConfigurationError

PROBLEM = '''\
"""A cooling fin: how warm is a rod that is heated at one end and loses heat to the air?"""

import math

import torch

from pinnlab.domains import Interval
from pinnlab.problems import Dirichlet, Exact, Neumann, Problem, Residual


class {name}(Problem):
    """u'' = m^2 u for 0 < x < 1 (length), with u(0) = 1 (temperature above the air's) and u'(1) = 0."""

    def __init__(self, m: float = 3.0):  # change it with --problem.m 5
        self.m = m
        x = Interval("x", 0, 1)  # with time: x, t = Interval("x", 0, 1), Interval("t", 0, 2), and x * t below
        super().__init__(
            domain=x,
            unknowns=("u",),
            conditions={{
                "pde": Residual(x, self.balance),
                "hot": Dirichlet(x.face(x=0.0), u=1.0),  # a number, or a function of the coordinates
                "insulated": Neumann(x.face(x=1.0), u=0.0),  # the derivative along the outward normal
            }},
        )

    def balance(self, u, x):  # vanishes where the equation holds; derivatives are u.x, u.xx, u.t, u.laplacian()
        return u.xx - self.m**2 * u

    def reference(self):  # the known solution, to measure errors; leave it out if there is none
        return Exact(lambda x: torch.cosh(self.m * (1 - x)) / math.cosh(self.m))
'''

RECIPE = """\
# A cooling fin: how {file} is trained. `pinnlab list` shows what else could stand here.
problem:
  class_path: {module}.{name}
  init_args: {{m: 3.0}}
data:
  points: {{pde: 100, hot: 1, insulated: 1}}  # where each condition is asked for
model:
  network:
    class_path: MLP
    init_args: {{hidden: [16, 16]}}
  phases:  # one optimizer after the other
    - optimizer: {{class_path: Adam, init_args: {{lr: 5.0e-3}}}}
      steps: 200
    - optimizer: {{class_path: SSBroyden}}  # ten iterations a step
      steps: 60
"""

USAGE = """\
usage: pinnlab new FILE.py

writes a problem of 30 lines to change, and its recipe FILE.yaml beside it;
then: pinnlab fit FILE.py"""


def write_problem(arguments: Sequence[str]) -> int:
    """Carries out `pinnlab new FILE.py`: writes both files, or none.

    Args:
        arguments: what follows `new`.

    Returns:
        The exit code, 0.

    Raises:
        ConfigurationError: no file is named, or its name will not do; one of the two is there already, or cannot be
            written.
    """
    if arguments and arguments[0] in HELP:
        print(USAGE)
        return 0
    if len(arguments) != 1:
        raise ConfigurationError("new: name one file, as in `pinnlab new my_problem.py`")
    path = Path(arguments[0])
    check_name(path)
    words = {"file": path.name, "module": path.stem, "name": class_name(path.stem)}
    texts = {path: PROBLEM.format(**words), path.with_suffix(".yaml"): RECIPE.format(**words)}
    for file in texts:
        if file.exists():
            raise ConfigurationError(f"{file}: is there already; take another name, or move it away")
    try:
        for file, text in texts.items():
            file.write_text(text, encoding="utf-8")
    except OSError as error:
        for begun in texts:
            with contextlib.suppress(OSError):
                begun.unlink()
        raise ConfigurationError(f"{file}: cannot be written ({error.strerror}); take another folder") from error
    print(f"wrote {path} and {path.with_suffix('.yaml').name}; now: pinnlab fit {path}")
    return 0


def class_name(module: str) -> str:
    """The class that a file is for: `MyProblem` in `my_problem`.

    Examples:
        >>> class_name("my_problem"), class_name("heat2d")
        ('MyProblem', 'Heat2d')
    """
    return "".join(part[:1].upper() + part[1:] for part in module.split("_")) or "MyProblem"
