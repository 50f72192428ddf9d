# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""What a change is to the watcher, beside what the charm judges by."""

import copy

import pytest

import names
import watch_meaning
import watcher
from causes import is_ready
from rolepods import RolePods
from tests.unit.stub import pod
from watch_meaning import group_meaning, pod_meaning


def a_pod(**status):
    made = pod("llama-engine-0", "engine", **status)
    made["metadata"] |= {"uid": "u", "resourceVersion": "1", "managedFields": [{"time": "t"}]}
    made["metadata"]["labels"][names.ROLE_LABEL] = "engine"
    made["metadata"]["annotations"] = {names.TEMPLATE_DIGEST: "d", "other": "1"}
    made["status"].setdefault("containerStatuses", [{"name": "serve", "restartCount": 0}])
    return made


def put(tree, path, value):
    changed = copy.deepcopy(tree)
    at = changed
    *way, last = path
    for key in way:
        at = at[key]
    at[last] = value
    return changed


SERVE = ("status", "containerStatuses", 0)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("metadata", "uid"), "v"),
        (("metadata", "deletionTimestamp"), "2026-01-01T00:00:00Z"),
        (("metadata", "annotations", names.TEMPLATE_DIGEST), "e"),
        (("metadata", "labels", names.ROLE_INSTANCE_LABEL), "i"),
        (("spec", "containers", 0, "image"), "other:1"),
        (("spec", "nodeName"), ""),
        (("status", "phase"), "Failed"),
        (("status", "reason"), "Evicted"),
        (("status", "conditions", 0, "status"), "False"),
        (("status", "conditions", 0, "reason"), "ReadinessGatesNotReady"),
        (("status", "conditions"), [{"type": "PodScheduled", "message": "0/4 nodes"}]),
        ((*SERVE, "restartCount"), 1),
        ((*SERVE, "state"), {"waiting": {"reason": "ErrImagePull"}}),
        ((*SERVE, "state"), {"waiting": {"message": "no secret"}}),
        ((*SERVE, "state"), {"terminated": {"exitCode": 1}}),
        ((*SERVE, "lastState"), {"terminated": {"reason": "OOMKilled"}}),
        (("status", "initContainerStatuses"), [{"name": "init", "restartCount": 0}]),
    ],
)
def test_what_the_health_line_depends_on_is_a_change(path, value):
    assert pod_meaning(put(a_pod(), path, value))[0] != pod_meaning(a_pod())[0]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("metadata", "resourceVersion"), "2"),
        (("metadata", "managedFields"), []),
        (("metadata", "annotations", "other"), "2"),
        (("status", "conditions", 0, "lastTransitionTime"), "now"),
        (("status", "conditions", 0, "lastProbeTime"), "now"),
        (("status", "podIP"), "10.0.0.1"),
        ((*SERVE, "containerID"), "x"),
        ((*SERVE, "state"), {"running": {"startedAt": "now"}}),
    ],
)
def test_what_it_does_not_depend_on_is_none(path, value):
    assert pod_meaning(put(a_pod(), path, value)) == pod_meaning(a_pod())


@pytest.mark.parametrize(
    "status",
    [
        {},
        {"ready": False},
        {"phase": "Succeeded"},
        {"phase": "Failed"},
        {"conditions": []},
        {"conditions": [{"type": "Ready", "status": "True"}]},
        {"conditions": [{"type": t, "status": s} for t, s in (("Ready", "True"), ("X", "False"))]},
        {
            "conditions": [
                {"type": "Ready", "status": "True"},
                {"type": "ContainersReady", "status": "False"},
            ]
        },
    ],
)
@pytest.mark.parametrize("going", [None, "now"])
def test_a_pod_is_ready_where_the_charm_says_so(status, going):
    made = a_pod(**status)
    made["metadata"]["deletionTimestamp"] = going
    _, role, ready = pod_meaning(made)
    assert (role, ready) == ("engine", is_ready(made))


def test_a_pod_of_which_nothing_is_known():
    assert pod_meaning({"metadata": {"name": "x"}})[1:] == ("", False)


def test_the_names_are_those_of_the_charm():
    assert watch_meaning.GROUP_LABEL == names.GROUP_LABEL
    assert watch_meaning.ROLE_LABEL == names.ROLE_LABEL
    assert watch_meaning.TEMPLATE_DIGEST == names.TEMPLATE_DIGEST
    assert watcher.API == names.RBG_GROUP


ROLES = [
    {"name": "plain", "replicas": 3},
    {"name": "one"},
    {"name": "none", "replicas": 0},
    {"name": "wide", "replicas": 2, "leaderWorkerPattern": {"size": 4}},
    {"name": "old", "replicas": 2, "leaderWorkerSet": {"size": 3}},
    {
        "name": "parts",
        "replicas": 2,
        "customComponentsPattern": {"components": [{"size": 2}, {"name": "x"}]},
    },
]
NEEDS = {"plain": 3, "one": 1, "none": 0, "wide": 8, "old": 6, "parts": 6}
GROUP = {
    "metadata": {"name": "llama", "uid": "u", "generation": 1, "resourceVersion": "1"},
    "spec": {"roles": ROLES},
    "status": {
        "conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": "a"}],
        "roleStatuses": [{"name": "plain", "readyReplicas": 1}],
    },
}


def test_the_pods_a_role_is_to_have():
    assert group_meaning(GROUP)[1] == NEEDS
    for role in ROLES:
        of_charm = RolePods(role["name"], role, ())
        assert NEEDS[role["name"]] == of_charm.desired * of_charm.size


@pytest.mark.parametrize(
    ("spec", "times"),
    [
        ({"replicas": 3, "groupTemplate": {"spec": {"roles": ROLES}}}, 3),
        ({"replicas": 2, "template": {"roles": ROLES}}, 2),
        ({"template": {"roles": ROLES}}, 1),
        ({"replicas": 0, "template": {"roles": ROLES}}, 0),
    ],
)
def test_a_set_of_groups_has_each_of_them_so_often(spec, times):
    needs = group_meaning({"metadata": {}, "spec": spec})[1]
    assert needs == {name: times * count for name, count in NEEDS.items()}


@pytest.mark.parametrize(
    ("path", "value", "changes"),
    [
        (("metadata", "generation"), 2, True),
        (("metadata", "uid"), "v", True),
        (("metadata", "labels"), {"a": "b"}, True),
        (("status", "conditions", 0, "status"), "True", True),
        (("status", "roleStatuses", 0, "readyReplicas"), 2, True),
        (("status", "conditions", 0, "lastTransitionTime"), "b", False),
        (("metadata", "resourceVersion"), "2", False),
    ],
)
def test_what_a_change_of_the_group_is(path, value, changes):
    assert (group_meaning(put(GROUP, path, value)) != group_meaning(GROUP)) is changes
