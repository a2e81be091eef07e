"""Tables that are copied to where they are computed with once, and are then those that they would have been."""

import copy
import gc
import pickle

import pytest
import torch
from card import WAITS, CardTensor, card
from torch.func import jvp, vmap

from pinnlab.numerics import constants
from pinnlab.numerics.compiled_value import CompiledValue
from pinnlab.numerics.compiler import Compiler
from pinnlab.numerics.constants import constant_like


@pytest.fixture
def table():
    return torch.linspace(0.1, 0.9, 4, dtype=torch.float64)


X = torch.ones(3, 4)


def test_a_table_that_fits_is_itself(table):
    assert constant_like(table, X.double()) is table


def test_it_is_copied_once(table):
    found = constant_like(table, X)
    assert found.dtype == torch.float32
    assert torch.equal(found, table.to(X))
    assert constant_like(table, X) is found
    assert constant_like(table, X, torch.float16).dtype == torch.float16


def test_it_is_copied_to_a_card_once(table):
    with card() as device:
        x = X.to(device)
        for waits in (1, 0):
            WAITS.clear()
            assert isinstance(constant_like(table, x), CardTensor)
            assert len(WAITS) == waits


def test_what_is_written_to_the_table_is_seen_in_the_same_memory(table):
    before = constant_like(table, X)
    table[0] = 7.0
    found = constant_like(table, X)
    assert found is before
    assert torch.equal(found, table.to(X))


def test_a_table_of_another_shape_is_copied_anew(table):
    constant_like(table, X)
    table.resize_(2)
    assert torch.equal(constant_like(table, X), table.to(X))


def test_copies_go_with_the_table(table):
    constant_like(table, X)
    before = len(constants._COPIES)
    del table
    gc.collect()
    assert len(constants._COPIES) <= before


def test_copies_are_no_part_of_its_state(table):
    plain = pickle.dumps(table.clone())
    constant_like(table, X)
    assert len(pickle.dumps(table)) == len(plain)
    other = copy.deepcopy(table)
    other[0] = 5.0
    assert torch.equal(constant_like(other, X), other.to(X))
    assert torch.equal(constant_like(table, X), table.to(X))


def test_what_is_differentiated_is_not_kept(table):
    table.requires_grad_()
    constant_like(table, X).sum().backward()
    assert torch.equal(table.grad, torch.ones_like(table))


def test_what_is_asked_for_in_a_transform_first_is_of_use_outside(table):
    def scaled(x):
        return (x * constant_like(table, x)).sum()

    primal, tangent = jvp(lambda x: vmap(scaled)(x), (X,), (X,))
    assert torch.equal(primal, tangent)
    assert torch.equal(vmap(scaled)(X), primal)
    assert torch.equal(constant_like(table, X), table.to(X))
    batched = vmap(lambda row: constant_like(row, X))(table.expand(3, 4))
    assert torch.equal(batched, table.to(X).expand(3, 4))


def test_what_is_asked_for_in_inference_first_can_be_differentiated_with(table):
    with torch.inference_mode():
        constant_like(table, X)
        inference = constant_like(table * 1, X)
    assert inference.is_inference()
    x = X.clone().requires_grad_()
    (x * constant_like(table, X)).sum().backward()
    assert torch.equal(x.grad, table.to(X).expand(3, 4))


def test_a_traced_function_has_it_as_a_constant(table):
    def scaled(parameters, inputs):
        return inputs["x"] * constant_like(table, inputs["x"]) * parameters["factor"]

    given = {"factor": torch.tensor(2.0)}, {"x": torch.rand(100, 4)}
    expected = scaled(*given)
    constants._COPIES.clear()
    compiled = CompiledValue(scaled, Compiler())
    assert torch.equal(compiled(*given), expected)
    assert type(constant_like(table, X)) is torch.Tensor
    assert torch.equal(scaled(*given), expected)
