"""Which changes a pod takes in place, also for pods that the stand-in did not make itself."""

from __future__ import annotations

from typing import Any

import pytest

from rig.standin import inplace

MADE: dict[str, Any] = {
    "metadata": {"labels": {"a": "1"}},
    "spec": {"containers": [{"name": "e", "image": "e:1", "env": [{"name": "A", "value": "1"}]}]},
}


def pod() -> dict[str, Any]:
    """The pod as the API has it: with defaults and a token."""
    container = {**MADE["spec"]["containers"][0], "imagePullPolicy": "Always"}
    return {"spec": {"containers": [container], "volumes": [{"name": "token"}]}}


def changed(**fields: Any) -> dict[str, Any]:
    """The template with other fields in its container."""
    return {"metadata": {}, "spec": {"containers": [{**MADE["spec"]["containers"][0], **fields}]}}


@pytest.mark.parametrize("made_of", [MADE, None])
@pytest.mark.parametrize(("template", "possible"), [
    (changed(), True),
    (changed(image="e:2"), True),
    (changed(env=[{"name": "A", "value": "2"}]), False),
    (changed(args=["x"]), False),
    ({"spec": {**changed()["spec"], "volumes": [{"name": "v"}]}}, False),
    ({"spec": {"containers": [*changed()["spec"]["containers"], {"name": "f"}]}}, False),
])  # fmt: skip
def test_what_is_possible(
    made_of: dict[str, Any] | None, template: dict[str, Any], possible: bool
) -> None:
    assert inplace.possible(pod(), made_of, template) is possible


def test_what_was_taken_away_shows_only_where_it_is_remembered() -> None:
    template = changed(env=[])
    assert not inplace.possible(pod(), MADE, template)
    assert inplace.possible(pod(), None, template)
