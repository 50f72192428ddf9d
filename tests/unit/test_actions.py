# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""Actions: exact results, and one sentence for whatever cannot be done."""

import json

import pytest
import yaml
from ops import testing

import actions
from tests.unit.stub import CRD, PODS, crd, pod
from tests.unit.test_charm import (  # noqa: F401
    PEERS,
    api,
    ctx,
    decoder,
    engine,
    relation,
    settle,
    state,
)


def failing(ctx, action, given, **params):  # noqa: F811
    with pytest.raises(testing.ActionFailed) as failure:
        ctx.run(ctx.on.action(action, params=params), given)
    return failure.value.message


def scale(ctx, given, **params):  # noqa: F811
    return ctx.run(ctx.on.action("scale", params={"release": False, **params}), given)


def test_scale_holds_the_count_whatever_the_role_charm_says(ctx, api):  # noqa: F811
    out = settle(ctx, api, state(engine()))
    out = scale(ctx, out, role="engine", replicas=5)
    assert api.roles["engine"]["replicas"] == 5
    assert ctx.action_results == {
        "role": "engine",
        "replicas": "5",
        "held": "true",
        "status": "engine 2/5: starting (held)",
    }
    given = state(engine(replicas=3), peers=out.get_relation(1))
    ctx.run(ctx.on.relation_changed(given.get_relation(11)), given)
    assert api.roles["engine"]["replicas"] == 5


def test_the_hold_of_a_role_that_left_can_be_released(ctx, api):  # noqa: F811
    out = settle(ctx, api, state(engine(), decoder()))
    out = scale(ctx, out, role="decoder", replicas=3)
    given = state(engine(), decoder(), peers=out.get_relation(1))
    out = ctx.run(ctx.on.relation_broken(given.get_relation(12)), given)
    scale(ctx, state(engine(), peers=out.get_relation(1)), role="decoder", release=True)
    assert ctx.action_results["held"] == "false"


def test_release_gives_it_back(ctx, api):  # noqa: F811
    out = settle(ctx, api, state(engine()))
    out = scale(ctx, out, role="engine", replicas=5)
    out = scale(ctx, out, role="engine", release=True)
    assert api.roles["engine"]["replicas"] == 2
    assert ctx.action_results["held"] == "false"
    assert ctx.action_results["replicas"] == "2"
    assert "holds" not in out.get_relation(1).local_app_data


def test_scale_to_zero(ctx, api):  # noqa: F811
    out = settle(ctx, api, state(engine(), decoder()))
    api.lists[PODS] = [p for p in api.lists[PODS] if "engine" in p["metadata"]["name"]]
    out = scale(ctx, out, role="decoder", replicas=0)
    message = "engine 2/2, decoder 0 (scaled to zero, held)"
    assert out.unit_status == testing.ActiveStatus(message)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"role": "store", "replicas": 1}, "no role 'store'; the roles are: engine"),
        ({"role": "engine"}, "say either replicas=<count> or release=true"),
        (
            {"role": "engine", "replicas": 1, "release": True},
            "say either replicas=<count> or release=true",
        ),
        (
            {"role": "engine", "replicas": -1},
            "replicas: Input should be greater than or equal to 0",
        ),
    ],
)
def test_scale_refuses(ctx, api, params, message):  # noqa: F811
    out = settle(ctx, api, state(engine()))
    assert failing(ctx, "scale", out, **{"release": False, **params}) == message


def test_scale_without_any_role(ctx, api):  # noqa: F811
    message = failing(ctx, "scale", state(), role="engine", replicas=1, release=False)
    assert message == "no role 'engine'; the roles are: none"


def test_scale_refuses_a_count_that_would_hold_the_role_back(ctx, api):  # noqa: F811
    given = state(engine(replicas=3, rollout={"partition": 1}))
    api.objects[CRD]["spec"]["versions"][0]["schema"] = crd_with_partition()
    out = ctx.run(ctx.on.config_changed(), given)
    message = failing(ctx, "scale", out, role="engine", replicas=1, release=False)
    assert message == (
        "prefill (role engine): rollout.partition: 1 must be less than the replicas (1)"
    )
    assert "holds" not in out.get_relation(1).local_app_data


def crd_with_partition():
    made = crd("v1alpha2", "rolloutStrategy.rollingUpdate.partition")
    return made["spec"]["versions"][0]["schema"]


@pytest.mark.parametrize("action", ["scale", "show-manifest", "status-detail"])
def test_only_the_leader(ctx, api, action):  # noqa: F811
    params = {"role": "engine", "replicas": 1} if action == "scale" else {}
    message = failing(ctx, action, state(engine(), leader=False), **params)
    assert message == f"only the leader can; run `juju run llama/leader {action}`"


def test_a_count_kept_while_the_api_server_is_away(ctx, api):  # noqa: F811
    out = settle(ctx, api, state(engine()))
    api.answers["PATCH", "/"] = (503, "away")
    message = failing(ctx, "scale", out, role="engine", replicas=3, release=False)
    assert message == (
        "kept, and applied as soon as possible: "
        "waiting for the Kubernetes API server: it answers 503"
    )


@pytest.mark.parametrize("action", ["scale", "show-manifest"])
def test_an_api_server_away_is_said(ctx, api, action):  # noqa: F811
    params = {"role": "engine", "replicas": 1} if action == "scale" else {}
    api.answers["GET", "/"] = (503, "away")
    message = failing(ctx, action, state(engine()), **params)
    assert message == "waiting for the Kubernetes API server: it answers 503"


def test_show_manifest(ctx, api):  # noqa: F811
    given = state(engine(), relation("router", "gateway", 13, template="x"))
    ctx.run(ctx.on.action("show-manifest"), given)
    results = ctx.action_results
    assert results["api-version"] == "v1alpha2"
    assert results["problems"]["1"].startswith("gateway (role router): template: ")
    [shown] = yaml.safe_load_all(results["manifest"])
    assert [r["name"] for r in shown["spec"]["roles"]] == ["engine"]
    assert not api.calls("PATCH") or api.group["spec"] == shown["spec"]


def test_show_manifest_on_an_old_rbg_that_is_not_remembered(ctx, api):  # noqa: F811
    """The running group is found all the same: a role that turned bad is shown as it runs."""
    api.version = "v1alpha1"
    api.objects[CRD] = crd("v1alpha1")
    ctx.run(ctx.on.config_changed(), state(engine(replicas=3)))
    ctx.run(ctx.on.action("show-manifest"), state(engine(replicas=-1)))
    [shown] = yaml.safe_load_all(ctx.action_results["manifest"])
    assert [(r["name"], r["replicas"]) for r in shown["spec"]["roles"]] == [("engine", 3)]


def test_show_manifest_as_json(ctx, api):  # noqa: F811
    ctx.run(ctx.on.action("show-manifest", params={"format": "json"}), state(engine()))
    assert json.loads(ctx.action_results["manifest"])[0]["kind"] == "RoleBasedGroup"


def test_show_manifest_of_nothing(ctx, api):  # noqa: F811
    ctx.run(ctx.on.action("show-manifest", params={"format": "json"}), state())
    assert ctx.action_results["manifest"] == "[]"


def test_a_manifest_that_is_too_large_for_a_result(ctx, api, monkeypatch):  # noqa: F811
    monkeypatch.setattr(actions, "MAX_RESULT", 100)
    message = failing(ctx, "show-manifest", state(engine()))
    assert message.endswith("characters; an action can show 100")


def test_status_detail(ctx, api):  # noqa: F811
    out = settle(ctx, api, state(engine(), decoder(start_after=["engine"])))
    pulling = {"name": "serve", "state": {"waiting": {"reason": "ErrImagePull"}}}
    leaving = pod("llama-engine-9", "engine")
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    made = api.roles["engine"]["standalonePattern"]["template"]
    api.lists[PODS] = [
        pod("llama-engine-0", "engine", made),
        pod("llama-engine-1", "engine", made, ready=False, containerStatuses=[pulling]),
        leaving,
    ]
    warning = {
        "reason": "Failed",
        "message": "Failed to pull\nimage",
        "involvedObject": {"name": "llama-engine-1"},
    }
    other = {**warning, "involvedObject": {"name": "llama-engineer-1"}}
    api.lists["/api/v1/namespaces/ml/events"] = [warning, other]
    labels = {
        "rbg.workloads.x-k8s.io/group-name": "llama",
        "rbg.workloads.x-k8s.io/role-name": "engine",
    }
    api.lists["/apis/workloads.x-k8s.io/v1alpha2/namespaces/ml/roleinstancesets"] = [
        {"metadata": {"name": "llama-engine", "labels": labels}, "status": {}}
    ]
    ctx.run(ctx.on.action("status-detail"), out)
    line = "engine 1/2: cannot pull image example.test/e:1; decoder 0/1: waiting for engine"
    assert ctx.action_results == {
        "status": f"blocked: {line}",
        "group": "llama",
        "api-version": "v1alpha2",
        "roles": {
            "engine": {
                "ready": "1/2",
                "updated": "2/2",
                "state": "blocked",
                "cause": "cannot pull image example.test/e:1",
                "held": "false",
                "pods-per-replica": "1",
                "workload": "RoleInstanceSet/llama-engine",
                "pods-not-ready": {
                    "llama-engine-1": "cannot pull image example.test/e:1",
                    "llama-engine-9": "leaving",
                },
                "events": {"1": "Failed llama-engine-1: Failed to pull image"},
            },
            "decoder": {
                "ready": "0/1",
                "updated": "0/1",
                "state": "waiting",
                "cause": "waiting for engine",
                "held": "false",
                "pods-per-replica": "1",
                "start-after": "engine",
            },
        },
        "problems": {},
    }


def test_status_detail_without_a_group(ctx, api):  # noqa: F811
    ctx.run(ctx.on.action("status-detail"), state())
    assert ctx.action_results["status"].startswith("blocked: no role related")


# --- what RBG leaves behind --------------------------------------------------------------------

SETS = "/apis/workloads.x-k8s.io/v1alpha2/namespaces/ml/roleinstancesets"
INSTANCES = "/apis/workloads.x-k8s.io/v1alpha2/namespaces/ml/roleinstances"
LABELS = {
    "rbg.workloads.x-k8s.io/group-name": "llama",
    "rbg.workloads.x-k8s.io/role-name": "engine",
}


GHOST = {
    "metadata": {"name": "llama-engine-0"},
    "status": {
        "componentStatuses": [{"name": "engine", "size": 0}],
        "conditions": [{"type": "RoleInstanceReady", "status": "True"}],
    },
}


def role_instance_set(**status):
    return {
        "metadata": {"name": "llama-engine", "generation": 2, "labels": LABELS},
        "spec": {"replicas": 1},
        "status": {
            "observedGeneration": 2,
            "updateRevision": "new",
            "currentRevision": "old",
            **status,
        },
    }


def test_a_role_that_ignores_its_mended_template_is_freed(ctx, api):  # noqa: F811
    out = ctx.run(ctx.on.config_changed(), state(engine(replicas=1)))
    labels = {"rbg.workloads.x-k8s.io/role-instance-name": "llama-engine-0"}
    api.lists[PODS] = [pod("llama-engine-0", "engine", ready=False, labels=labels)]
    api.lists[SETS] = [role_instance_set(updatedReplicas=0, readyReplicas=0)]
    api.lists[INSTANCES] = [
        {"metadata": {"name": "llama-engine-0", "labels": {"controller-revision-hash": "old"}}}
    ]
    out = ctx.run(ctx.on.update_status(), out)
    assert api.calls("DELETE") == [f"DELETE {INSTANCES}/llama-engine-0"]
    message = "engine 0/1: replacing pods that RBG left behind"
    assert out.unit_status == testing.MaintenanceStatus(message)


def test_a_unit_that_does_not_lead_frees_nothing(ctx, api):  # noqa: F811
    test_a_role_that_ignores_its_mended_template_is_freed(ctx, api)
    api.requests.clear()
    out = ctx.run(ctx.on.update_status(), state(leader=False))
    assert not api.calls("DELETE")
    assert out.unit_status.message == "engine 0/1: stuck on a broken revision"


def test_pods_that_rbg_lost_are_started_anew(ctx, api):  # noqa: F811
    out = ctx.run(ctx.on.config_changed(), state(engine(replicas=1)))
    api.lists[SETS] = [role_instance_set(readyReplicas=1, updatedReplicas=1)]
    api.lists[INSTANCES] = [GHOST]
    ctx.run(ctx.on.update_status(), out)
    assert api.calls("DELETE") == [f"DELETE {INSTANCES}/llama-engine-0"]


def test_pods_that_lack_our_label_are_not_lost(ctx, api, monkeypatch):  # noqa: F811
    out = ctx.run(ctx.on.config_changed(), state(engine(replicas=1)))
    api.lists[SETS] = [role_instance_set(readyReplicas=1, updatedReplicas=1)]
    api.lists[INSTANCES] = [GHOST]
    import cluster

    own = cluster.Cluster.pods
    monkeypatch.setattr(
        cluster.Cluster, "pods", lambda self, s=None: [pod("x", "engine")] if s else own(self)
    )
    ctx.run(ctx.on.update_status(), out)
    assert not api.calls("DELETE")


def test_an_instance_that_is_gone_already(ctx, api):  # noqa: F811
    out = ctx.run(ctx.on.config_changed(), state(engine(replicas=1)))
    api.lists[SETS] = [role_instance_set(readyReplicas=1, updatedReplicas=1)]
    api.lists[INSTANCES] = [GHOST]
    api.answers["DELETE", INSTANCES] = (404, "gone")
    out = ctx.run(ctx.on.update_status(), out)
    assert out.unit_status.name == "maintenance"


assert PEERS  # used through `state`
