# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""`rollout-history`, `rollout-diff`, `rollout-undo`: back, and held there."""

import pytest
from ops import testing

from tests.shapes import template
from tests.unit.actions.acting import REVISIONS, act, again, holds, keep_revision, refusal
from tests.unit.stub import CRD, PODS, crd
from tests.unit.test_charm import decoder, engine, leave, pods_of, settle, state

OLD, NEW = template("example.test/engine:1"), template("example.test/engine:2")


def image(api, role="engine"):
    containers = api.roles[role]["standalonePattern"]["template"]["spec"]["containers"]
    return containers[0]["image"]


@pytest.fixture
def out(ctx, api):
    """A group at its second revision: the engine got another image."""
    first = settle(ctx, api, state(engine(template=OLD), decoder()))
    keep_revision(api, 1, created="2026-11-22T12:00:02Z")
    given = again(first, engine(template=NEW), decoder())
    second = ctx.run(ctx.on.relation_changed(given.get_relation(11)), given)
    keep_revision(api, 2, created="2026-11-22T12:00:03Z")
    api.lists[PODS] = pods_of(api)
    return ctx.run(ctx.on.update_status(), second)


def test_history(ctx, api, out):
    results, _ = act(ctx, "rollout-history", out)
    assert results == {
        "held": "none",
        "revisions": {
            "1": {
                "time": "2026-11-22T12:00:02Z",
                "cause": "config",
                "changed": "first revision kept",
                "current": "false",
            },
            "2": {
                "time": "2026-11-22T12:00:03Z",
                "cause": "relation engine (prefill)",
                "changed": "engine: image example.test/engine:1 -> example.test/engine:2",
                "current": "true",
            },
        },
    }


def test_revisions_of_workloads_and_of_a_former_group_are_not_ours(ctx, api, out):
    keep_revision(api, 3, owner="some-statefulset")
    results, _ = act(ctx, "rollout-history", out)
    assert list(results["revisions"]) == ["1", "2"]


def test_diff(ctx, api, out):
    results, _ = act(ctx, "rollout-diff", out, revision=1)
    assert results["revision"] == "1"
    assert results["current"] == "2"
    lines = results["diff"].splitlines()
    assert lines[:2] == ["--- revision 1", "+++ revision 2 (current)"]
    changed = [(line[0], line[1:].strip()) for line in lines if line[0] in "+-"]
    assert ("-", "image: example.test/engine:1") in changed
    assert ("+", "image: example.test/engine:2") in changed
    assert not [line for line in lines if "replicas" in line]


def test_diff_of_a_revision_that_is_gone(ctx, api, out):
    message = refusal(ctx, "rollout-diff", out, revision=9)
    assert message == "revision: 9 is not kept; RBG has 1, 2"


def test_undo_goes_back_and_holds_there(ctx, api, out):
    results, out = act(ctx, "rollout-undo", out, revision=1)
    assert image(api) == "example.test/engine:1"
    assert results["revision"] == "1"
    assert results["changes-waiting"] == "1"
    api.lists[PODS] = pods_of(api)
    given = again(out, engine(template=template("example.test/engine:3")), decoder(replicas=3))
    out = ctx.run(ctx.on.relation_changed(given.get_relation(11)), given)
    assert image(api) == "example.test/engine:1"
    assert api.roles["decoder"]["replicas"] == 1
    message = "engine 2/2, decoder 1/1; held at revision 1, 2 changes waiting; run rollout-resume"
    assert out.unit_status == out.app_status == testing.ActiveStatus(message)
    _, out = act(ctx, "rollout-resume", out)
    assert image(api) == "example.test/engine:3"
    assert api.roles["decoder"]["replicas"] == 3
    assert "held" not in out.unit_status.message
    assert holds(out) == {}


def test_undo_goes_one_back_by_default(ctx, api, out):
    act(ctx, "rollout-undo", out)
    assert image(api) == "example.test/engine:1"


def test_the_naive_undo_would_be_undone_by_the_next_hook(ctx, api, out):
    """RBG's own undo writes the old spec; a charm that renders relations puts the new one back."""
    api.group["spec"]["roles"] = [
        {**r, "replicas": 2} for r in api.lists[REVISIONS][0]["data"]["spec"]["roles"][1:]
    ]
    api.group["metadata"]["managedFields"].append(
        {"manager": "kubectl-rbg", "fieldsV1": {"f:spec": {}}}
    )
    ctx.run(ctx.on.update_status(), out)
    assert image(api) == "example.test/engine:2"


def test_counts_stay_and_can_still_be_held(ctx, api, out):
    _, out = act(ctx, "scale", out, role="decoder", replicas=4)
    _, out = act(ctx, "rollout-undo", out)
    assert api.roles["decoder"]["replicas"] == 4
    _, out = act(ctx, "scale", out, role="engine", replicas=5)
    assert (image(api), api.roles["engine"]["replicas"]) == ("example.test/engine:1", 5)


def test_a_group_that_is_held_is_idle_too(ctx, api, out):
    _, out = act(ctx, "rollout-undo", out)
    api.lists[PODS] = pods_of(api)
    api.requests.clear()
    out = ctx.run(ctx.on.update_status(), out)
    assert len(api.requests) == 2
    assert out.unit_status.message.endswith(
        "held at revision 1, 1 change waiting; run rollout-resume"
    )


def test_an_undo_that_does_not_arrive_is_not_held(ctx, api, out):
    api.answers["PATCH", "/"] = (503, "away")
    message = refusal(ctx, "rollout-undo", out)
    assert message.startswith("nothing was changed: waiting for the Kubernetes API server")


def test_a_restart_between_is_not_made_again_by_resume(ctx, api, out):
    """The stamp of the revision that runs stays the role's own."""
    _, out = act(ctx, "rollout-restart", out, role="decoder")
    keep_revision(api, 3)
    _, out = act(ctx, "rollout-undo", out, revision=2)
    before = api.roles["decoder"]
    _, out = act(ctx, "rollout-resume", out)
    assert api.roles["decoder"] == before


def test_undo_leaves_no_pause_behind(ctx, api, out):
    _, out = act(ctx, "rollout-pause", out)
    keep_revision(api, 3)
    _, out = act(ctx, "rollout-undo", out, revision=1)
    assert "paused" not in api.roles["engine"].get("rolloutStrategy", {}).get("rollingUpdate", {})
    assert "paused" not in holds(out)


def test_a_role_that_left_does_not_come_back(ctx, api, out):
    given = again(out, engine(template=NEW), decoder())
    out = leave(ctx, api, given, 12)
    keep_revision(api, 3)
    act(ctx, "rollout-undo", again(out, engine(template=NEW)), revision=1)
    assert list(api.roles) == ["engine"]


def test_a_role_leaves_a_held_group_too(ctx, api, out):
    _, out = act(ctx, "rollout-undo", out)
    given = again(out, engine(template=NEW), decoder())
    leave(ctx, api, given, 12)
    assert list(api.roles) == ["engine"]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"revision": 2}, "revision 2 is what runs already; nothing to undo"),
        ({"revision": 7}, "revision: 7 is not kept; RBG has 1, 2"),
        ({"revision": 0}, "revision: Input should be greater than or equal to 1"),
    ],
)
def test_undo_refuses(ctx, api, out, params, message):
    assert refusal(ctx, "rollout-undo", out, **params) == message
    assert image(api) == "example.test/engine:2"


def test_undo_to_what_runs_under_another_number(ctx, api, out):
    _, out = act(ctx, "rollout-undo", out, revision=1)
    keep_revision(api, 3)
    message = refusal(ctx, "rollout-undo", out, revision=1)
    assert message == "revision 1 is what runs already; nothing to undo"


def test_a_single_role_cannot_be_resumed_out_of_a_held_group(ctx, api, out):
    _, out = act(ctx, "rollout-undo", out)
    message = refusal(ctx, "rollout-resume", out, role="engine")
    assert message == "the whole group is held at revision 1; run rollout-resume without role"


def test_no_revision_before_this_one(ctx, api):
    out = settle(ctx, api, state(engine()))
    api.lists[REVISIONS] = []
    message = refusal(ctx, "rollout-undo", out)
    assert message == "RBG has made no revision of this group yet; run the action again later"
    keep_revision(api, 1)
    message = refusal(ctx, "rollout-undo", out)
    assert message == "there is no revision before the current one"


def test_a_revision_of_an_older_rbg(ctx, api, out):
    data = api.lists[REVISIONS][0]["data"]["spec"]["roles"][1:]
    api.lists[REVISIONS][0]["data"]["spec"]["roles"] = [
        {"name": r["name"], "template": r["standalonePattern"]["template"]} for r in data
    ]
    message = refusal(ctx, "rollout-undo", out, revision=1)
    assert message == "revision 1 was made for RBG 0.6 or older; choose a later one"


@pytest.mark.parametrize("action", ["rollout-history", "rollout-undo"])
def test_rbg_up_to_0_4_keeps_none(ctx, api, action):
    api.version = "v1alpha1"
    api.objects[CRD] = crd("v1alpha1")
    out = ctx.run(ctx.on.config_changed(), state(engine()))
    message = refusal(ctx, action, out)
    assert message == "this RBG keeps no revisions; update it to 0.5 or later"


def test_requests(ctx, api, out):
    for action, bound in (("rollout-history", 4), ("rollout-undo", 5)):
        api.requests.clear()
        act(ctx, action, out)
        assert len(api.requests) <= bound, api.requests
