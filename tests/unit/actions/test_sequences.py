# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""Sequences in which a hold, an autoscaler, a migration and an API error meet.

Each of them once did the wrong thing: pods restarted or lost, a count written against its
autoscaler, a status that was not true.
"""

import dataclasses
import json

import pytest
from ops import testing

from capabilities import Api
from cluster import Cluster
from faults import Fault
from holds import Holds
from manifests.orders import obey
from tests.shapes import template
from tests.unit.actions.acting import REVISIONS, act, again, holds, keep_revision, refusal
from tests.unit.actions.test_autoscaled import (
    ADAPTER,
    ADAPTERS,
    HPAS,
    SCALING,
    bind,
    configured,
    scale_by_adapter,
    scaled,
)
from tests.unit.stub import CRD, PODS, crd
from tests.unit.test_charm import decoder, engine, pods_of, relation, settle, state

OLD, NEW = template("example.test/engine:1"), template("example.test/engine:2")
PART = ("scalingAdapter", "rolloutStrategy.rollingUpdate.partition", "annotations")


@pytest.fixture(autouse=True)
def adapters(api):
    api.objects[CRD] = crd("v1alpha2", *PART)
    api.lists[ADAPTERS] = []


def rolling(api, role="engine"):
    return api.roles[role].get("rolloutStrategy", {}).get("rollingUpdate", {})


def test_step_of_autoscaled_canary(ctx, api):
    given = state(engine(replicas=4, scaling=SCALING, rollout={"partition": 3}))
    out = settle(ctx, api, given)
    scale_by_adapter(api, 4)
    _, out = act(ctx, "rollout-resume", out, role="engine", to=2)
    assert rolling(api)["partition"] == 2


def test_hpa_fails_midway(ctx, api):
    out = settle(ctx, api, state(engine()))
    api.answers[("PATCH", HPAS)] = (500, "boom")
    given = again(out, scaled())
    out = ctx.run(ctx.on.relation_changed(given.get_relation(11)), given)
    api.answers.clear()
    for _ in range(3):
        out = ctx.run(ctx.on.update_status(), again(out, scaled()))
    assert f"{HPAS}/llama-engine" in api.objects


def test_hpa_removal_fails_midway(ctx, api):
    out = settle(ctx, api, state(scaled()))
    assert f"{HPAS}/llama-engine" in api.objects
    api.answers[("DELETE", HPAS)] = (500, "boom")
    given = configured(again(out, scaled()), autoscaler="none")
    out = ctx.run(ctx.on.config_changed(), given)
    api.answers.clear()
    for _ in range(3):
        out = ctx.run(ctx.on.update_status(), configured(again(out, scaled()), autoscaler="none"))
    assert f"{HPAS}/llama-engine" not in api.objects


def test_keep_autoscaled_writes_count(ctx, api):
    out = settle(ctx, api, state(scaled(), decoder()))
    scale_by_adapter(api, 6)
    given = again(out, engine(template={"spec": 1}), decoder(replicas=3))
    out = ctx.run(ctx.on.relation_changed(given.get_relation(12)), given)
    assert "replicas" not in api.roles["engine"]


def test_undo_autoscaled_writes_count(ctx, api):
    out = settle(ctx, api, state(scaled(min=1)))
    keep_revision(api, 1)
    given = again(out, engine(template=NEW, scaling=SCALING))
    out = ctx.run(ctx.on.relation_changed(given.get_relation(11)), given)
    keep_revision(api, 2)
    scale_by_adapter(api, 6)
    _, out = act(ctx, "rollout-undo", out, revision=1)
    assert "replicas" not in api.roles["engine"]


def test_last_autoscaled_role_leaves(ctx, api):
    out = settle(ctx, api, state(scaled()))
    scale_by_adapter(api, 6)
    rel = out.get_relation(11)
    out = ctx.run(ctx.on.relation_broken(rel), out)
    api.now += 20
    out = ctx.run(ctx.on.update_status(), state(peers=out.get_relation(1)))
    assert not api.roles["engine"].get("scalingAdapter") and not [
        k for k in api.objects if k.startswith(HPAS)
    ]


def test_last_held_role_leaves(ctx, api):
    out = settle(ctx, api, state(engine()))
    _, out = act(ctx, "scale", out, role="engine", replicas=4)
    out = ctx.run(ctx.on.relation_broken(out.get_relation(11)), out)
    api.now += 20
    out = ctx.run(ctx.on.update_status(), state(peers=out.get_relation(1)))
    assert api.roles["engine"]["replicas"] == 0


def test_autoscaled_from_zero(ctx, api):
    out = settle(ctx, api, state(scaled()))
    out = ctx.run(ctx.on.relation_broken(out.get_relation(11)), out)
    api.now += 20
    out = ctx.run(ctx.on.update_status(), state(peers=out.get_relation(1)))
    api.lists[PODS] = []
    out = ctx.run(ctx.on.update_status(), again(out, scaled()))
    assert api.roles["engine"]["replicas"] >= 1


def test_undo_sts_to_ris(ctx, api):
    out = settle(ctx, api, state(engine(template=OLD)))
    keep_revision(api, 1)
    given = again(out, engine(template=NEW, workload="StatefulSet"))
    out = ctx.run(ctx.on.relation_changed(given.get_relation(11)), given)
    keep_revision(api, 2)
    api.lists[PODS] = pods_of(api)
    assert "StatefulSet" in str(api.roles["engine"]["annotations"])
    message = refusal(ctx, "rollout-undo", out)
    assert message == "engine runs as a StatefulSet since; run migrate-api first"
    assert "StatefulSet" in str(api.roles["engine"].get("annotations"))


def test_transitive_restart(ctx, api):
    a = relation("engine", "a", 11, template=template(), replicas=2)
    b = relation("decoder", "b", 12, template=template(), replicas=1, start_after=["engine"])
    c = relation("router", "c", 13, template=template(), replicas=1, start_after=["decoder"])
    out = settle(ctx, api, state(a, b, c))
    _results, out = act(ctx, "rollout-restart", out, role="engine,router")
    assert "router" in holds(out).get("queued", {})


def test_delete_group_while_pinned(ctx, api):
    out = settle(ctx, api, state(engine(template=OLD)))
    keep_revision(api, 1)
    given = again(out, engine(template=NEW))
    out = ctx.run(ctx.on.relation_changed(given.get_relation(11)), given)
    keep_revision(api, 2)
    _, out = act(ctx, "rollout-undo", out, revision=1)
    del api.objects[api.group_path]
    api.lists[REVISIONS] = []
    out = settle(ctx, api, again(out, engine(template=NEW)))
    keep_revision(api, 1)
    newer = template("example.test/engine:3")
    given = again(out, engine(template=newer))
    out = ctx.run(ctx.on.relation_changed(given.get_relation(11)), given)
    assert "pin" not in holds(out)


def test_unknown_hold(ctx, api):
    settle(ctx, api, state(engine()))
    peers = testing.PeerRelation(
        "group",
        id=1,
        local_app_data={
            "holds": json.dumps(
                {"replicas": {"engine": 4}, "restarts": {"engine": "x"}, "newer": 1}
            )
        },
    )
    ctx.run(ctx.on.update_status(), state(engine(), peers=peers))
    assert api.roles["engine"]["replicas"] == 4


def test_status_detail_bad_scaling(ctx, api):
    out = settle(ctx, api, state(scaled()))
    bad = engine()
    bad = dataclasses.replace(bad, remote_app_data={**bad.remote_app_data, "scaling": "{no"})
    act(ctx, "status-detail", again(out, bad))


def test_bind_delete_fails(ctx, api):
    out = settle(ctx, api, state(scaled()))
    bind(api, "")
    api.answers[("DELETE", ADAPTERS)] = (500, "boom")
    ctx.run(ctx.on.update_status(), out)


def test_unknown_neighbour(ctx, api):
    out = settle(ctx, api, state(engine()))
    notes = api.group["metadata"]["annotations"]
    said = json.loads(notes["rbg-k8s.charm/applied"]) | {"PodMonitor/llama-engine": "x"}
    notes["rbg-k8s.charm/applied"] = json.dumps(said)
    given = again(out, engine(replicas=3))
    ctx.run(ctx.on.relation_changed(given.get_relation(11)), given)


def test_scale_while_pinned_with_adapter_left(ctx, api):
    out = settle(ctx, api, state(scaled()))
    keep_revision(api, 1)
    given = again(out, engine(template=NEW))  # no scaling any more
    out = ctx.run(ctx.on.relation_changed(given.get_relation(11)), given)
    keep_revision(api, 2)
    _, out = act(ctx, "rollout-undo", out, revision=1)
    api.objects[ADAPTER] = {"metadata": {"name": "llama-engine"}, "spec": {"replicas": 2}}
    _results, out = act(ctx, "scale", out, role="engine", replicas=5)
    assert (
        api.roles["engine"].get("replicas") == 5 or api.objects[ADAPTER]["spec"]["replicas"] == 5
    )


def test_bound_of_a_former_group(ctx, api):
    out = settle(ctx, api, state(scaled()))
    bind(api)
    out = ctx.run(ctx.on.update_status(), out)
    del api.objects[api.group_path]
    out = settle(ctx, api, again(out, scaled()))
    api.group["metadata"]["uid"] = "another"
    bind(api, "")
    api.requests.clear()
    out = ctx.run(ctx.on.update_status(), again(out, scaled()))
    assert [c for c in api.calls("DELETE") if "adapters" in c]


def test_refused_hpa_loops(ctx, api):
    api.answers[("PATCH", HPAS)] = (
        422,
        {"kind": "Status", "message": "invalid", "reason": "Invalid"},
    )
    out = settle(ctx, api, state(scaled()))
    api.requests.clear()
    out = ctx.run(ctx.on.update_status(), out)
    assert not [c for c in api.calls("PATCH") if "rolebasedgroups" in c]


def test_undo_before_rbg_made_a_revision(ctx, api):
    out = settle(ctx, api, state(engine(template=OLD)))
    keep_revision(api, 1)
    given = again(out, engine(template=NEW))
    out = ctx.run(ctx.on.relation_changed(given.get_relation(11)), given)
    keep_revision(api, 2)
    given = again(out, engine(template=template("example.test/engine:3")))
    out = ctx.run(ctx.on.relation_changed(given.get_relation(11)), given)
    results, out = act(ctx, "rollout-undo", out)  # RBG has not made 3 yet
    assert results["revision"] == "2"


def test_pin_outlives_an_emptied_group(ctx, api):
    out = settle(ctx, api, state(engine(template=OLD)))
    keep_revision(api, 1)
    given = again(out, engine(template=NEW))
    out = ctx.run(ctx.on.relation_changed(given.get_relation(11)), given)
    keep_revision(api, 2)
    _, out = act(ctx, "rollout-undo", out, revision=1)
    out = ctx.run(ctx.on.relation_broken(out.get_relation(11)), out)
    api.now += 20
    out = ctx.run(ctx.on.update_status(), state(peers=out.get_relation(1)))
    api.lists[PODS] = []
    out = ctx.run(ctx.on.update_status(), again(out, engine(template=NEW)))
    assert api.roles["engine"]["replicas"] == 2


def test_undo_while_migrating(ctx, api):
    out = settle(ctx, api, state(engine(template=OLD, workload="StatefulSet")))
    keep_revision(api, 1)
    given = again(out, engine(template=NEW))
    out = ctx.run(ctx.on.relation_changed(given.get_relation(11)), given)
    keep_revision(api, 2)
    api.lists[PODS] = pods_of(api)
    _, out = act(ctx, "migrate-api", out, confirm=True)
    message = refusal(ctx, "rollout-undo", out, revision=1)
    assert message == "engine is being migrated; wait until that is over"


def test_undo_role_level_addition(ctx, api):
    out = settle(ctx, api, state(engine(template=OLD)))
    keep_revision(api, 1)
    given = again(out, engine(template=OLD, rollout={"max_unavailable": "100%"}))
    out = ctx.run(ctx.on.relation_changed(given.get_relation(11)), given)
    keep_revision(api, 2)
    act(ctx, "rollout-undo", out)


def test_second_round_fails(ctx, api, monkeypatch):
    """A queued restart goes on in the hook of another action, whose second apply fails."""
    a = relation("engine", "a", 11, template=template(), replicas=2)
    b = relation("decoder", "b", 12, template=template(), replicas=1, start_after=["engine"])
    d = relation("router", "d", 13, template=template(), replicas=1)
    out = settle(ctx, api, state(a, b, d))
    # decoder's restart waits; engine became well since the last hook
    peers = dataclasses.replace(
        out.get_relation(1),
        local_app_data={
            **out.get_relation(1).local_app_data,
            "holds": json.dumps({"queued": {"decoder": "q"}}),
        },
    )
    real, applied = Cluster.apply, []

    def apply(self, manifest):
        applied.append(manifest["kind"])
        if len(applied) == 2:
            raise Fault("waiting for the Kubernetes API server: it answers 500")
        return real(self, manifest)

    monkeypatch.setattr(Cluster, "apply", apply)
    _, out = act(ctx, "rollout-restart", state(a, b, d, peers=peers), role="router")
    assert "RBG_K8S_RESTART" in json.dumps(api.roles["router"])
    assert "router" in holds(out)["restarts"]  # else the next hook would take it out again


def test_pause_of_autoscaled_sts():
    role = {
        "name": "e",
        "replicas": 8,
        "workload": {"kind": "StatefulSet"},
        "scalingAdapter": {"enable": True},
    }
    features = frozenset({"partition"})
    made = obey(role, Holds(paused=("e",)), Api("v1alpha1", features), {"e": 8})
    assert made["rolloutStrategy"]["rollingUpdate"]["partition"] == 8
    assert "replicas" not in made


def test_an_adapter_that_cannot_be_made_anew_costs_nothing(ctx, api):
    """A traceback would make Juju throw the hold away, and the pods restart once more."""
    out = settle(ctx, api, state(scaled()))
    scale_by_adapter(api, 2)
    bind(api, "")
    api.answers[("DELETE", ADAPTERS)] = (500, "boom")
    _, out = act(ctx, "rollout-restart", out)
    assert "RBG_K8S_RESTART" in json.dumps(api.roles["engine"])
    assert "engine" in holds(out)["restarts"]


def test_held_migration_cancelled(ctx, api):
    out = settle(ctx, api, state(engine(workload="StatefulSet"), decoder(workload="StatefulSet")))
    given = again(out, engine(), decoder())
    out = ctx.run(ctx.on.config_changed(), given)
    api.lists[PODS] = pods_of(api)
    _, out = act(ctx, "migrate-api", out, confirm=True)
    api.lists[PODS] = [p for p in pods_of(api) if "engine" not in p["metadata"]["name"]]
    given = again(out, engine(workload="StatefulSet"), decoder())
    for _ in range(4):
        out = ctx.run(ctx.on.update_status(), given)
        api.lists[PODS] = pods_of(api)
        given = again(out, engine(workload="StatefulSet"), decoder())
    assert holds(out).get("migrating") != ["engine", "decoder"]


def test_undo_leaves_newer_paused(ctx, api):
    out = settle(ctx, api, state(engine(template=OLD)))
    keep_revision(api, 1)
    out = settle(ctx, api, again(out, engine(template=NEW), decoder()))
    keep_revision(api, 2)
    _, out = act(ctx, "rollout-pause", out, role="decoder")
    _, out = act(ctx, "rollout-undo", out, revision=1)
    assert ("decoder" in holds(out).get("paused", [])) == bool(
        rolling(api, "decoder").get("paused")
    )
