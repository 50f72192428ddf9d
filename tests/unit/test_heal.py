# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""What is freed when RBG is stuck, and above all what is not."""

from heal import to_free
from names import TEMPLATE_DIGEST
from rolepods import RolePods
from tests.unit.stub import pod

STUCK = {
    "kind": "RoleInstanceSet",
    "metadata": {"generation": 2},
    "spec": {"replicas": 3},
    "status": {
        "observedGeneration": 2,
        "readyReplicas": 2,
        "updatedReplicas": 0,
        "updateRevision": "new",
        "currentRevision": "old",
    },
}


def role(*ready, replicas=3, **rolling):
    pods = tuple(
        pod(
            f"llama-engine-{i}",
            "engine",
            ready=is_ready,
            labels={"rbg.workloads.x-k8s.io/role-instance-name": f"llama-engine-{i}"},
        )
        for i, is_ready in enumerate(ready)
    )
    spec = {"replicas": replicas, "rolloutStrategy": {"rollingUpdate": rolling}}
    return RolePods("engine", spec, pods)


def instances(*revisions):
    return [
        {"metadata": {"name": f"llama-engine-{i}", "labels": {"controller-revision-hash": r}}}
        for i, r in enumerate(revisions)
    ]


def test_only_broken_ones_on_the_old_revision():
    assert to_free(role(True, False, False), STUCK, instances("old", "old", "new")) == [
        "llama-engine-1"
    ]


def test_ordinals_below_the_partition_stay():
    given = role(False, False, False, partition=2)
    assert to_free(given, STUCK, instances("old", "old", "old")) == ["llama-engine-2"]


def test_a_partition_in_percent_counts_too():
    given = role(False, False, False, partition="67%")
    assert to_free(given, STUCK, instances("old", "old", "old")) == ["llama-engine-2"]


def test_nothing_while_rbg_still_moves():
    moving = {**STUCK, "status": {**STUCK["status"], "updatedReplicas": 1}}
    assert to_free(role(False, False, False), moving, instances("old", "old", "old")) == []


LOST = {**STUCK, "status": {**STUCK["status"], "currentRevision": "new", "readyReplicas": 3}}


def ghost(name, size=0, ready="True"):
    conditions = [{"type": "RoleInstanceReady", "status": ready}]
    status = {"componentStatuses": [{"name": "engine", "size": size}], "conditions": conditions}
    return {"metadata": {"name": name}, "status": status}


def test_instances_that_count_themselves_ready_without_a_pod():
    given = [ghost("a"), ghost("b", size=1), ghost("c", ready="False"), instances("new")[0]]
    assert to_free(role(), LOST, given) == ["a"]


def test_not_while_a_pod_is_there_nor_where_none_is_wanted():
    assert to_free(role(True), LOST, [ghost("a")]) == []
    assert to_free(role(replicas=0), LOST, [ghost("a")]) == []
    none = {**LOST, "status": {**LOST["status"], "readyReplicas": 0}}
    assert to_free(role(), none, [ghost("a")]) == []


def test_an_instance_without_an_ordinal_counts_as_the_first():
    odd = [{"metadata": {"name": "llama-engine-xk2p"}}]
    assert to_free(role(False, partition=1), STUCK, odd) == []
    assert to_free(role(False), STUCK, odd) == []


# --- going back to a template that some replicas still have -------------------------------------

HALF = {**STUCK, "status": {**STUCK["status"], "updatedReplicas": 2, "currentRevision": "new"}}
PULLING = {"name": "serve", "state": {"waiting": {"reason": "ErrImagePull"}}}
OLD, NEW = ({"metadata": {"annotations": {TEMPLATE_DIGEST: d}}} for d in ("old", "new"))


def half_back(*extra, broken=PULLING):
    """Two replicas on the wanted template, one broken on another."""
    found = [
        pod(
            f"llama-engine-{i}",
            "engine",
            made,
            ready=status is None,
            labels={"rbg.workloads.x-k8s.io/role-instance-name": f"llama-engine-{i}"},
            containerStatuses=[status] if status else [],
        )
        for i, (made, status) in enumerate([(NEW, None), (NEW, None), (OLD, broken), *extra])
    ]
    spec = {"replicas": len(found), "standalonePattern": {"template": NEW}}
    return RolePods("engine", spec, tuple(found))


def test_a_broken_replica_of_another_template_holds_the_rest_back():
    given = instances("new", "new", "old")
    assert to_free(half_back(), HALF, given) == ["llama-engine-2"]


def test_not_while_rbg_starts_a_new_pod():
    given = half_back((NEW, {"name": "serve", "state": {"waiting": {"reason": "X"}}}))
    assert to_free(given, HALF, instances("new", "new", "old", "new")) == []


def test_not_one_that_only_starts():
    starting = {"name": "serve", "state": {"waiting": {"reason": "ContainerCreating"}}}
    assert to_free(half_back(broken=starting), HALF, instances("new", "new", "old")) == []


def test_not_while_more_may_be_unavailable():
    more = {**HALF, "spec": {"replicas": 3, "updateStrategy": {"maxUnavailable": 2}}}
    assert to_free(half_back(), more, instances("new", "new", "old")) == []
