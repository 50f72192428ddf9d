# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""What RBG leaves behind for ever is freed by the charm, and nothing else is."""

from ops import testing

from tests.unit.stub import PODS, pod
from tests.unit.test_charm import api, ctx, engine, state

__all__ = ["api", "ctx"]

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


def test_a_role_that_ignores_its_mended_template_is_freed(ctx, api):
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


def test_a_unit_that_does_not_lead_frees_nothing(ctx, api):
    test_a_role_that_ignores_its_mended_template_is_freed(ctx, api)
    api.requests.clear()
    out = ctx.run(ctx.on.update_status(), state(leader=False))
    assert not api.calls("DELETE")
    assert out.unit_status.message == "engine 0/1: stuck on a broken revision"


def test_pods_that_rbg_lost_are_started_anew(ctx, api):
    out = ctx.run(ctx.on.config_changed(), state(engine(replicas=1)))
    api.lists[SETS] = [role_instance_set(readyReplicas=1, updatedReplicas=1)]
    api.lists[INSTANCES] = [GHOST]
    ctx.run(ctx.on.update_status(), out)
    assert api.calls("DELETE") == [f"DELETE {INSTANCES}/llama-engine-0"]


def test_pods_that_lack_our_label_are_not_lost(ctx, api, monkeypatch):
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


def test_an_instance_that_is_gone_already(ctx, api):
    out = ctx.run(ctx.on.config_changed(), state(engine(replicas=1)))
    api.lists[SETS] = [role_instance_set(readyReplicas=1, updatedReplicas=1)]
    api.lists[INSTANCES] = [GHOST]
    api.answers["DELETE", INSTANCES] = (404, "gone")
    out = ctx.run(ctx.on.update_status(), out)
    assert out.unit_status.name == "maintenance"
