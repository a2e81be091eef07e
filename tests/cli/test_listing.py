"""What is read from the sources is what importing them finds."""

import inspect

import pytest

from pinnlab.cli.catalog import KINDS, classes
from pinnlab.cli.listing import Sources


@pytest.mark.parametrize("kind", KINDS)
def test_names_and_sentences_are_those_of_the_imported_classes(kind):
    found = Sources().sentences(*KINDS[kind])
    imported = classes(*KINDS[kind])
    assert list(found) == list(imported)
    assert found == {name: inspect.getdoc(cls).partition("\n")[0] for name, cls in imported.items()}


@pytest.mark.parametrize(
    ("package", "base"),
    [
        ("pinnlab.problems.conditions", "pinnlab.problems.Condition"),  # private and abstract classes in between
        ("pinnlab.domains", "pinnlab.domains.Region"),
        ("pinnlab.derivatives.fields", "pinnlab.derivatives.AbstractField"),
        ("pinnlab.callbacks.redraw", "lightning.pytorch.Callback"),  # ABC's methods, but not ABC
        ("pinnlab.optimizers.quasi_newton", "torch.optim.Optimizer"),
        ("pinnlab.criteria.gradients", "pinnlab.criteria.Criterion"),
    ],
)
def test_so_are_those_of_packages_that_are_not_listed(package, base):
    assert set(Sources().sentences(package, base)) == set(classes(package, base))
