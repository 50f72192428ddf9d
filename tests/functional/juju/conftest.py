"""A model for each test, and two charms to deploy in it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from rig.juju import Model

CHARMS = Path(__file__).parent / "charms"
PLAIN = CHARMS / "plain"
TOY = CHARMS / "toy"


@pytest.fixture
def model() -> Iterator[Model]:
    """An empty model."""
    with Model("m") as new:
        yield new


@pytest.fixture
def pair(model: Model) -> Model:
    """`app` and `oth`, related over ``link`` and ``prov``; the log of hooks is empty."""
    return _related(model)


@pytest.fixture(scope="module")
def shared() -> Iterator[Model]:
    """The same, but one for all tests of a module: they only ask, or put back what they did."""
    with Model("m") as new:
        yield _related(new)


def _related(model: Model) -> Model:
    model.deploy(PLAIN, "app")
    model.deploy(PLAIN, "oth")
    model.integrate("app:link", "oth:prov")
    model.settle()
    model.hooks.clear()
    for app in model.apps.values():
        app.config["watch"] = True  # without the two hooks that the command would bring
    return model


def hooks(model: Model, unit: str) -> list[str]:
    """The hooks of a unit, in order."""
    return [record.hook for record in model.hooks if record.unit == unit]


def link_id(model: Model) -> int:
    """The id of the relation between `app` and `oth`."""
    return next(r.id for r in model.relations.values() if not r.peer)
