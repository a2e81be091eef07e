"""Which cards are slow in float64, and that TensorFloat-32 stays out of what is trained."""

import pytest
import torch

from pinnlab.numerics.precision import exact_products, has_slow_float64, multiply_coarsely, products, set_products


@pytest.mark.parametrize(
    ("card", "capability", "slow"),
    [
        ("P100", (6, 0), False),
        ("GTX 1080", (6, 1), True),
        ("V100", (7, 0), False),
        ("T4", (7, 5), True),
        ("A100", (8, 0), False),
        ("A10, RTX 3090", (8, 6), True),
        ("L4, RTX 4090", (8, 9), True),
        ("H100, H200", (9, 0), False),
        ("B200", (10, 0), False),
        ("B300", (10, 3), True),
        ("RTX 5090", (12, 0), True),
    ],
)
def test_cards(card, capability, slow, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert has_slow_float64(torch.device("cuda", 0)) is slow
    assert not has_slow_float64(torch.device("cpu"))


@pytest.fixture
def settings():
    """Leaves the settings of the process as they were."""
    before = products()
    yield
    set_products(before)


@pytest.mark.parametrize("before", ["highest", "high", "medium"])
def test_products_are_exact_inside(before, settings):
    torch.set_float32_matmul_precision(before)
    with exact_products():
        assert torch.get_float32_matmul_precision() == "highest"
        assert torch.backends.cuda.matmul.fp32_precision == "ieee"
    assert torch.get_float32_matmul_precision() == before
    with pytest.raises(KeyError), exact_products():
        raise KeyError
    assert torch.get_float32_matmul_precision() == before


def test_the_setting_of_one_backend_comes_back(settings):
    torch.backends.cuda.matmul.fp32_precision = "tf32"
    with exact_products():
        assert torch.backends.cuda.matmul.fp32_precision == "ieee"
    assert torch.backends.cuda.matmul.fp32_precision == "tf32"


def test_products_may_be_coarse_inside_where_that_is_asked_for(settings):
    with exact_products():
        assert [multiply_coarsely(asked) for asked in (False, True, True, False)] == [False, True, False, True]
        multiply_coarsely(True)
        assert torch.backends.cuda.matmul.fp32_precision == "tf32"
    assert torch.get_float32_matmul_precision() == "highest"


@pytest.mark.parametrize("coarsely", [False, True])
def test_another_process_rounds_as_this_one_and_torch_can_say_how(coarsely, settings):
    """Its code generator asks by names of both kinds, and refuses where they do not go together."""
    with exact_products():
        multiply_coarsely(coarsely)
        told = products()
    assert products() != told
    set_products(told)
    assert products() == told
    assert torch.get_float32_matmul_precision() == ("high" if coarsely else "highest")
    assert torch.backends.cuda.matmul.allow_tf32 is coarsely
