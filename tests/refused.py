"""Bad input is refused in one line."""

import pytest

from pinnlab.errors import ConfigurationError


def assert_refused_in_one_line(build, key):
    """A call fails with one line that has these words."""
    with pytest.raises(ConfigurationError) as caught:
        build()
    assert key in str(caught.value)
    assert "\n" not in str(caught.value)
