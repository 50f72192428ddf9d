"""Refusals of the juju command, actions with their schemas, config."""

import re
from pathlib import Path

import pytest

from rig.juju import ActionRefusedError, JujuError, Model

from .conftest import PLAIN, TOY


def test_limit(pair: Model):
    pair.deploy(PLAIN, "oth2")
    with pytest.raises(JujuError) as caught:
        pair.integrate("oth2:prov", "app:link")
    assert str(caught.value) == (
        'ERROR adding relation between endpoints "app:link" and "oth2:prov": cannot add relation '
        '"app:link", "oth2:prov": relation app:link oth2:prov: establishing a new relation for '
        "app:link would exceed its maximum relation limit of 1"
    )


def test_integrate(shared: Model):
    for one, other, text in (
        ("app:odd", "oth:prov", "no relations found"),
        ("app:bogus", "oth", 'application "app" has no "bogus" relation'),
        ("nobody", "oth", 'application "nobody" not found'),
        ("app:link", "oth:prov", "already exists"),
        ("app", "oth", "ambiguous relation"),
    ):
        with pytest.raises(JujuError, match=text):
            shared.integrate(one, other)
    with pytest.raises(JujuError, match="not found"):
        shared.remove_relation("oth:link", "app:prov")


def test_config(shared: Model):
    for values, text in (
        ({"bogus": "1"}, 'ERROR unknown option "bogus"'),
        ({"count": "abc"}, 'ERROR option "count" expected int, got "abc"'),
        ({"count": True}, 'ERROR option "count" expected int, got true'),
        ({"say": 3}, 'ERROR option "say" expected string, got 3'),
        ({"token": "plain"}, 'ERROR option "token" expected secret, got "plain"'),
    ):
        with pytest.raises(JujuError) as caught:
            shared.config("app", values)
        assert str(caught.value) == text
    assert shared.settle() == 0


@pytest.mark.parametrize(
    ("params", "problem"),
    [
        (
            {"cmd": "x", "bogus": 1},
            '(root) : additional property "bogus" is not allowed, given {"cmd":"x","bogus":1}',
        ),
        ({"cmd": "x", "num": "abc"}, '(root).num : must be of type integer, given "abc"'),
        ({}, '(root) : "cmd" property is missing and required, given {}'),
    ],
)
def test_action_schema(shared: Model, params: dict[str, object], problem: str):
    with pytest.raises(ActionRefusedError) as caught:
        shared.run("app/0", "cost", params)
    text = re.sub(r"id \d+", "id 19", str(caught.value))
    assert text == (
        f'ERROR Action id 19 failed: cannot run "cost" action: validation failed: {problem}'
    )
    assert shared.hooks == []


def test_actions(pair: Model):
    done = pair.run("app/leader", "cost", {"cmd": "x"})
    assert (done.status, done.results) == ("completed", {"params": {"cmd": "x", "num": "7"}})
    failed = pair.run("app/0", "tool", {"words": ["is-leader"], "fail": True})
    assert (failed.status, failed.message) == ("failed", "as you wish")
    assert failed.results["out"] == "true\n"
    with pytest.raises(ActionRefusedError, match='"bogus" not defined'):
        pair.run("app/0", "bogus")
    with pytest.raises(JujuError, match='unit "app/7" not found'):
        pair.run("app/7", "cost")
    pair.remove_application("app")
    while pair.unit("app/0").started:
        pair.step()
    with pytest.raises(ActionRefusedError, match="not running"):
        pair.run("app/0", "cost", {"cmd": "x"})


def test_deploy(model: Model, tmp_path: Path):
    with pytest.raises(JujuError, match="no charm was found"):
        model.deploy(tmp_path)
    model.deploy(TOY)
    with pytest.raises(JujuError, match='application already exists: "toy"'):
        model.deploy(TOY)


def test_refresh_that_adds_storage(model: Model, tmp_path: Path):
    model.deploy(PLAIN, "app")
    text = (PLAIN / "charmcraft.yaml").read_text()
    (tmp_path / "charmcraft.yaml").write_text(f"{text}\nstorage: {{data: {{type: filesystem}}}}\n")
    with pytest.raises(JujuError) as caught:
        model.refresh("app", tmp_path)
    assert str(caught.value) == (
        "ERROR updating storage directives on a k8s application during charm upgrade "
        "is not supported (not supported)"
    )
