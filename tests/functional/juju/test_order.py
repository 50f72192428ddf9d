"""The order of the hooks, row by row as a real Juju 4 was seen to do it."""

import json
from typing import Any

import pytest

from rig.juju import JujuError, Model

from .conftest import PLAIN, hooks, link_id

FIRST = ["install", "mates-relation-created", "leader-elected", "config-changed", "start"]
NEW_POD = ["stop", "upgrade-charm", "config-changed", "start"]


def seen(model: Model, unit: str, hook: str) -> dict[str, Any]:
    """What the charm could see in its last such hook."""
    log = [r.logs[-1] for r in model.hooks if (r.unit, r.hook) == (unit, hook)][-1]
    return json.loads(log.removeprefix("INFO "))


def departing(model: Model, unit: str) -> list[str]:
    """JUJU_DEPARTING_UNIT of the unit's hooks, where it is given."""
    return [r.departing_unit for r in model.hooks if r.unit == unit and r.departing_unit]


def test_deploy(model: Model):
    model.deploy(PLAIN, "app")
    assert model.settle() == 5
    assert hooks(model, "app/0") == FIRST


def test_pebble_ready_comes_before_config_changed():
    with Model(pebble=lambda unit, container: True) as model:
        model.deploy(PLAIN, "app")
        model.settle()
        first = ["install", "mates-relation-created", "leader-elected", "watcher-pebble-ready"]
        assert hooks(model, "app/0") == [*first, "config-changed", "start"]
        assert model.hooks[3].env == {"JUJU_WORKLOAD_NAME": "watcher"}
        model.hooks.clear()
        model.churn("app/0")
        model.settle()
        assert hooks(model, "app/0") == [*NEW_POD, "watcher-pebble-ready"]


def test_integrate(model: Model):
    for app in ("app", "oth"):
        model.deploy(PLAIN, app, config={"watch": True})
    model.settle()
    model.hooks.clear()
    model.integrate("oth:prov", "app:link")
    model.settle()
    assert hooks(model, "app/0") == [
        f"link-relation-{k}" for k in ("created", "joined", "changed")
    ]
    assert hooks(model, "oth/0") == [
        f"prov-relation-{k}" for k in ("created", "joined", "changed")
    ]
    assert [r.remote_unit for r in model.hooks if r.unit == "app/0"] == ["", "oth/0", "oth/0"]
    assert seen(model, "app/0", "link-relation-created")["members"] == []
    assert seen(model, "app/0", "link-relation-joined")["members"] == ["oth/0"]


def test_integrated_before_install(model: Model):
    model.deploy(PLAIN, "app")
    model.deploy(PLAIN, "oth")
    model.integrate("app:link", "oth:prov")
    model.settle()
    assert hooks(model, "app/0") == [
        *FIRST[:2],
        "link-relation-created",
        *FIRST[2:],
        "link-relation-joined",
        "link-relation-changed",
    ]


def test_remove_relation(pair: Model):
    number = link_id(pair)
    pair.remove_relation("app", "oth:prov")
    with pytest.raises(JujuError, match="already exists"):
        pair.integrate("app:link", "oth:prov")
    pair.settle()
    assert hooks(pair, "app/0") == ["link-relation-departed", "link-relation-broken"]
    assert departing(pair, "app/0") == ["oth/0"]
    for hook in hooks(pair, "app/0"):  # the tools still know the relation in both
        assert seen(pair, "app/0", hook)["link"] == [f"link:{number}"]
        assert seen(pair, "app/0", hook)["planned"] == 1
    assert seen(pair, "app/0", "link-relation-departed")["members"] == []
    assert number not in pair.relations


def test_scale_to_0_and_back(pair: Model):
    number = link_id(pair)
    pair.set_databag("app", "link", {"from": "before"})
    pair.settle()
    pair.hooks.clear()
    pair.scale("app", 0)
    pair.settle()
    assert hooks(pair, "app/0") == [
        "link-relation-departed",
        "link-relation-broken",
        "mates-relation-broken",
        "stop",
        "remove",
    ]
    assert departing(pair, "app/0") == ["app/0"]
    assert {seen(pair, "app/0", hook)["planned"] for hook in hooks(pair, "app/0")} == {0}
    assert {seen(pair, "app/0", hook)["leader"] for hook in hooks(pair, "app/0")} == {True}
    assert seen(pair, "app/0", "stop")["link"] == []
    # The relation lives on: the other side sees a unit go, nothing broken.
    assert hooks(pair, "oth/0") == ["prov-relation-departed"]
    assert departing(pair, "oth/0") == ["app/0"]
    assert pair.status()["applications"]["app"]["status"] == "unknown"
    assert pair.databag("app", number) == {"from": "before"}

    pair.hooks.clear()
    pair.scale("app", 1)
    pair.settle()
    joined = ["link-relation-joined", "link-relation-changed"]
    assert hooks(pair, "app/0") == [*FIRST[:2], "link-relation-created", *FIRST[2:], *joined]
    assert hooks(pair, "oth/0") == ["prov-relation-joined", "prov-relation-changed"]
    assert pair.databag("app", number) == {"from": "before"}


def test_remove_our_application(pair: Model):
    pair.remove_application("app")
    pair.settle()
    gone = ["link-relation-departed", "link-relation-broken", "stop", "remove"]
    assert hooks(pair, "app/0") == gone
    assert departing(pair, "app/0") == ["app/0"]
    assert {seen(pair, "app/0", hook)["planned"] for hook in gone} == {0}
    assert hooks(pair, "oth/0") == ["prov-relation-departed", "prov-relation-broken"]
    assert list(pair.apps) == ["oth"]


def test_remove_other_application(pair: Model):
    pair.remove_application("oth")
    pair.settle()
    assert hooks(pair, "app/0") == ["link-relation-departed", "link-relation-broken"]
    assert departing(pair, "app/0") == ["oth/0"]
    assert seen(pair, "app/0", "link-relation-broken")["planned"] == 1


def test_an_application_waits_for_the_other_side(pair: Model):
    """Our application stays while a unit of the other one has not left the relation."""
    pair.kill = lambda record: record.unit == "oth/0"
    pair.remove_application("app")
    pair.settle(raise_on_error=False)
    assert pair.status()["applications"]["app"] == {
        **pair.status()["applications"]["app"],
        "scale": 0,
        "status": "unknown",
        "units": {},
    }
    pair.kill = None
    pair.resolve("oth/0")
    pair.settle()
    assert list(pair.apps) == ["oth"]


def test_force_leaves_a_dead_relation(pair: Model):
    number = link_id(pair)
    pair.remove_application("app", force=True, no_wait=True)
    assert list(pair.apps) == ["oth"]
    pair.settle()
    assert [(r.unit, r.hook) for r in pair.hooks] == [("oth/0", "prov-relation-departed")]
    assert departing(pair, "oth/0") == ["app/0"]
    # A namesake gets a relation of its own, beside the dead one.
    pair.deploy(PLAIN, "app")
    new = pair.integrate("app:link", "oth:prov")
    pair.settle()
    ids = json.loads(pair.run("oth/0", "tool", {"words": ["relation-ids", "prov"]}).results["out"])
    assert ids == [f"prov:{number}", f"prov:{new}"]
    # Who writes into the dead one fails, again and again.
    pair.config("oth", say="x")
    pair.settle(raise_on_error=False)
    assert pair.status()["applications"]["oth"]["units"]["oth/0"]["status"] == "error"
    pair.resolve("oth/0")
    pair.settle(raise_on_error=False)
    assert [r.failure for r in pair.hooks][-2:] == [
        f"committing relation {number}: relation not found"
    ] * 2


def test_force_alone_runs_stop_and_remove(pair: Model):
    pair.remove_application("app", force=True)
    pair.settle()
    assert hooks(pair, "app/0") == ["stop", "remove"]
    assert list(pair.apps) == ["oth"]


@pytest.mark.parametrize("how", ["refresh", "churn"])
def test_a_new_pod(pair: Model, how: str):
    before = pair.unit("app/0").directory
    (before / "kept").touch()
    if how == "refresh":
        pair.refresh("app")
    else:
        pair.churn("app/0")
    pair.settle()
    assert hooks(pair, "app/0") == NEW_POD
    assert seen(pair, "app/0", "stop")["planned"] == 1
    assert seen(pair, "app/0", "stop")["link"] != []
    assert hooks(pair, "oth/0") == []
    assert not (pair.unit("app/0").directory / "kept").exists()


@pytest.mark.parametrize("command", ["config", "trust", "distrust"])
def test_config_changed_comes_twice(pair: Model, command: str):
    if command == "config":
        pair.config("app", count=5)
    else:
        getattr(pair, command)("app")
    pair.settle()
    assert hooks(pair, "app/0") == ["config-changed"] * 2


def test_same_config_is_no_event(pair: Model):
    pair.config("app", count="3")
    assert pair.settle() == 0


def test_scale_up_and_down(pair: Model):
    pair.scale("app", 2)
    pair.settle()
    assert hooks(pair, "app/1") == [
        *FIRST[:2],
        "link-relation-created",
        *FIRST[3:],  # not the leader
        "link-relation-joined",
        "link-relation-changed",
        "mates-relation-joined",
        "mates-relation-changed",
    ]
    assert hooks(pair, "app/0") == ["mates-relation-joined", "mates-relation-changed"]
    assert hooks(pair, "oth/0") == ["prov-relation-joined", "prov-relation-changed"]
    pair.hooks.clear()
    pair.scale("app", 1)
    pair.settle()
    assert hooks(pair, "app/1")[-2:] == ["stop", "remove"]
    assert hooks(pair, "app/0") == ["mates-relation-departed"]
    assert hooks(pair, "oth/0") == ["prov-relation-departed"]
    assert departing(pair, "app/0") == departing(pair, "oth/0") == ["app/1"]


def test_removed_before_install(model: Model):
    model.deploy(PLAIN, "app")
    model.remove_application("app")
    assert model.settle() == 0
    assert not model.apps and not model.relations


def test_quirks(pair: Model):
    pair.quirks = {"no-remote-app-in-broken", "no-goal-state-in-remove"}
    pair.remove_application("app")
    pair.settle()
    assert seen(pair, "app/0", "stop")["planned"] == 0
    failed = next(r for r in pair.hooks if r.hook == "remove")
    assert "planned" in failed.logs[-1]  # the charm guards it


def test_update_status_and_notices(pair: Model):
    pair.update_status()
    pair.pebble_notice("app/0", "watcher", "example.com/x")
    pair.pebble_notice("app/0", "watcher", "example.com/x")
    pair.pebble_check("app/0", "watcher", "up", failed=True)
    pair.settle()
    assert hooks(pair, "oth/0") == ["update-status"]
    assert hooks(pair, "app/0") == [
        "update-status",
        "watcher-pebble-custom-notice",
        "watcher-pebble-check-failed",
    ]
    notice = next(r for r in pair.hooks if "notice" in r.hook)
    assert notice.env["JUJU_NOTICE_KEY"] == "example.com/x"
