"""Code of the documentation with fewer steps than are printed: whether it runs does not take all of them."""

import re


def shortened(code, most):
    """The same with at most so many steps in each phase; as it is if there is no limit."""
    if most is None:
        return code
    return re.sub(r"\bsteps=(\d+)", lambda found: f"steps={min(int(found[1]), most)}", code)
