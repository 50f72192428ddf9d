# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""Every state of a role, and the line it makes."""

import pytest

from faults import Fault
from health import Details, RoleHealth, State, is_stuck, judge
from problems import Problem
from report import Report
from status import line
from tests.unit.stub import pod

NEW = {"metadata": {"annotations": {"rbg-k8s.charm/template-digest": "new"}}}
OLD = {"metadata": {"annotations": {"rbg-k8s.charm/template-digest": "old"}}}
PULL = {"state": {"waiting": {"reason": "ErrImagePull"}}, "name": "serve"}


def role(name="engine", replicas=2, after=(), pattern=None, **rolling):
    return {
        "name": name,
        "replicas": replicas,
        "dependencies": list(after),
        "rolloutStrategy": {"rollingUpdate": rolling},
        **(pattern or {"standalonePattern": {"template": NEW}}),
    }


def group(*roles, status=None):
    return {
        "apiVersion": "workloads.x-k8s.io/v1alpha2",
        "metadata": {"name": "llama"},
        "spec": {"roles": list(roles)},
        "status": {"observedGeneration": 1} if status is None else status,
    }


def pods(count, template=NEW, role="engine", ready=True, first=0, **more):
    return [
        pod(f"llama-{role}-{i}", role, template, ready=ready, **more)
        for i in range(first, first + count)
    ]


def judged(roles, found, details=None, **more):
    roles = roles if isinstance(roles, list) else [roles]
    return [h.text for h in judge(group(*roles, **more), found, details)]


BROKEN = pods(2, ready=False, phase="Pending", containerStatuses=[PULL])
LWP = {"leaderWorkerPattern": {"size": 2, "template": NEW}}


def instance(i, size=2, ready=True):
    labels = {"rbg.workloads.x-k8s.io/role-instance-name": f"llama-engine-{i}"}
    return [
        pod(f"llama-engine-{i}-{j}", "engine", NEW, ready=ready, labels=labels)
        for j in range(size)
    ]


@pytest.mark.parametrize(
    ("roles", "found", "text"),
    [
        (role(), pods(2), "engine 2/2"),
        (role(replicas=0), [], "engine 0 (scaled to zero)"),
        (role(replicas=0), pods(1), "engine 0/0: scaling to zero"),
        (role(), pods(1), "engine 1/2: starting"),
        (role(), pods(1) + pods(1, ready=False, first=1), "engine 1/2: starting"),
        (role(), pods(3), "engine 2/2: scaling down from 3"),
        (role(), pods(2, OLD), "engine 2/2: updating, 0/2 updated"),
        (role(), pods(2, OLD) + pods(1, first=2), "engine 2/2: updating, 1/2 updated"),
        (role(), pods(3) + pods(1, OLD, first=3), "engine 2/2: scaling down from 4"),
        (role(), pods(1) + pods(1, OLD, first=1), "engine 2/2: updating, 1/2 updated"),
        (
            role(replicas=3, partition=1),
            pods(2) + pods(1, OLD, first=2),
            "engine 3/3 (2/3 updated)",
        ),
        (role(replicas=3, partition=1), pods(3), "engine 3/3"),
        (
            role(replicas=3, partition="50%"),
            pods(2) + pods(1, OLD, first=2),
            "engine 3/3 (2/3 updated)",
        ),
        (role(paused=True), pods(2, OLD), "engine 2/2 (paused, 0/2 updated)"),
        (role(paused=True), pods(2), "engine 2/2 (paused)"),
        (role(), BROKEN, "engine 0/2: cannot pull image example.test/e:1"),
        (role(), [], "engine 0/2: no pods yet"),
        (role(pattern=LWP), instance(0) + instance(1), "engine 2/2"),
        (role(pattern=LWP), instance(0) + instance(1, size=1), "engine 1/2: starting"),
        (role(pattern=LWP), instance(0) + instance(1, ready=False), "engine 1/2: starting"),
    ],
)
def test_one_role(roles, found, text):
    assert judged(roles, found) == [text]


def test_the_controller_has_not_seen_the_group():
    assert judged(role(), [], status={}) == ["engine 0/2: waiting for the RBG controller"]


def test_components_make_one_replica():
    components = [{"name": "a", "template": NEW}, {"name": "b", "size": 2, "template": NEW}]
    pattern = {"customComponentsPattern": {"components": components}}
    assert judged(role(pattern=pattern), instance(0, 3) + instance(1, 3)) == ["engine 2/2"]
    assert judged(role(pattern=pattern), instance(0, 3) + instance(1, 2)) == [
        "engine 1/2: starting"
    ]


def test_a_percentage_is_rounded_up_on_a_statefulset():
    legacy = {"annotations": {"rbg.workloads.x-k8s.io/role-workload-type": "apps/v1/StatefulSet"}}
    given = {**role(replicas=3, partition="50%"), **legacy}
    assert judged(given, pods(1) + pods(2, OLD, first=1)) == ["engine 3/3 (1/3 updated)"]


def test_dependants_wait():
    router = role("router", 1, after=["engine"])
    assert judged([router, role()], []) == [
        "engine 0/2: no pods yet",
        "router 0/1: waiting for engine",
    ]
    assert judged([router, role()], pods(1, ready=False, role="router"))[1] == (
        "router 0/1: starting"
    )
    late = pods(1, OLD, role="router")
    assert judged([router, role()], late) == [
        "engine 0/2: no pods yet",
        "router 1/1: update waits for engine",
    ]


def test_the_known_roles_come_first_and_the_others_by_name():
    names = ["store", "router", "cache", "decoder", "engine"]
    found = judge(group(*(role(n, 0) for n in names)), [])
    assert [h.name for h in found] == ["engine", "decoder", "router", "cache", "store"]


def test_an_old_broken_pod_is_no_cause_while_its_template_is_replaced():
    found = pods(2, OLD, ready=False, phase="Pending", containerStatuses=[PULL])
    assert judged(role(), found) == ["engine 0/2: updating, 0/2 updated"]


def test_a_broken_pod_of_the_new_template_is_the_cause():
    found = pods(1, OLD) + pods(1, ready=False, first=1, containerStatuses=[PULL])
    assert judged(role(), found) == ["engine 1/2: cannot pull image example.test/e:1"]


def test_pods_of_other_groups_do_not_count():
    other = pods(2)
    for p in other:
        p["metadata"]["labels"]["rbg.workloads.x-k8s.io/group-name"] = "qwen"
    assert judged(role(), other) == ["engine 0/2: no pods yet"]


def test_pods_known_by_our_label_only():
    found = pods(2)
    for p in found:
        p["metadata"]["labels"] = {"rbg-k8s.charm/role": "engine"}
    assert judged(role(), found) == ["engine 2/2"]


def ris(**status):
    return {
        "kind": "RoleInstanceSet",
        "metadata": {"generation": 2},
        "spec": {"replicas": 2},
        "status": {"observedGeneration": 2, **status},
    }


STUCK = ris(readyReplicas=0, updatedReplicas=0, updateRevision="b", currentRevision="a")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, True),
        ({"observedGeneration": 1}, False),
        ({"updatedReplicas": 1}, False),
        ({"updateRevision": "a"}, False),
        ({"readyReplicas": 2}, False),
    ],
)
def test_stuck(change, expected):
    assert is_stuck({**STUCK, "status": {**STUCK["status"], **change}}) is expected


@pytest.mark.parametrize(
    ("allowed", "expected"),
    [(1, True), (2, True), (3, False), ("100%", True), ("50%", True), (None, True)],
)
def test_stuck_only_once_nothing_more_may_be_unavailable(allowed, expected):
    spec = {"replicas": 2, "updateStrategy": {"maxUnavailable": allowed}}
    assert is_stuck({**STUCK, "spec": spec}) is expected


def test_a_pod_that_goes_may_make_room_for_one_that_waits():
    condition = {"type": "PodScheduled", "reason": "Unschedulable", "message": "4 Insufficient g"}
    pending = pods(1, ready=False, first=1, conditions=[condition])
    del pending[0]["spec"]["nodeName"]
    assert judged(role(), pods(1) + pending) == ["engine 1/2: unschedulable, insufficient g"]
    [health] = judge(group(role()), pods(1) + pending)
    assert health.state is State.BLOCKED
    going = pods(1, OLD, first=9)
    going[0]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    [health] = judge(group(role()), pods(1) + pending + going)
    assert health.state is State.WAITING


def test_a_quota_that_lets_some_pods_through():
    given = event("FailedCreate", "llama-engine", 'create failed error: exceeded quota "gpus"')
    assert judged(role(), pods(1), Details(events=[given])) == [
        'engine 1/2: cannot create pods: exceeded quota "gpus"'
    ]


def test_pods_that_end_still_hold_their_gpus():
    going = pods(1)
    going[0]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert judged(role(replicas=0), going) == ["engine 0/0: scaling to zero"]


def test_never_stuck_while_paused_or_of_another_kind():
    assert not is_stuck({**STUCK, "kind": "StatefulSet"})
    assert not is_stuck({**STUCK, "spec": {"replicas": 2, "updateStrategy": {"paused": True}}})


def event(reason, name, message, kind="Pod"):
    return {
        "reason": reason,
        "involvedObject": {"kind": kind, "name": name},
        "message": message,
    }


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (
            event(
                "FailedCreate", "llama-engine-0", 'create Pod failed error: pods "x" is forbidden'
            ),
            'engine 0/2: cannot create pods: pods "x" is forbidden',
        ),
        (
            event("FailedCreate", "llama-engine-x-0", "error: of another role"),
            "engine 0/2: no pods yet",
        ),
        (
            event("InvalidRoleDependency", "llama", "cycle detected", "RoleBasedGroup"),
            "engine 0/2: cycle detected",
        ),
        (
            event(
                "FailedReconcileWorkload",
                "llama",
                "role engine: no valid pattern",
                "RoleBasedGroup",
            ),
            "engine 0/2: role engine: no valid pattern",
        ),
        (
            event(
                "FailedReconcileWorkload", "llama", "role engine: x not found", "RoleBasedGroup"
            ),
            "engine 0/2: no pods yet",
        ),
        (
            event(
                "FailedReconcileWorkload",
                "llama",
                "role engine: cannot be fulfilled",
                "RoleBasedGroup",
            ),
            "engine 0/2: no pods yet",
        ),
        ({"message": "about nothing"}, "engine 0/2: no pods yet"),
        (
            event("DependencyNotMet", "llama", "dependencies not met", "RoleBasedGroup"),
            "engine 0/2: no pods yet",
        ),
    ],
)
def test_warnings_about_a_role_without_pods(given, text):
    assert judged(role(), [], Details(events=[given])) == [text]


# --- the status line ---------------------------------------------------------------------------

UP = RoleHealth("engine", 2, 2, 2, State.READY)
DOWN = RoleHealth("decoder", 4, 0, 0, State.WAITING, "waiting for engine")
MOVES = RoleHealth("engine", 2, 2, 1, State.UPDATING, "updating, 1/2 updated")
BAD = RoleHealth("router", 1, 0, 0, State.BLOCKED, "cannot pull image x:1")
ZERO = RoleHealth("decoder", 0, 0, 0, State.READY, "scaled to zero")


@pytest.mark.parametrize(
    ("report", "kind", "message"),
    [
        (Report(health=(UP,)), "active", "engine 2/2"),
        (Report(health=(UP, ZERO)), "active", "engine 2/2, decoder 0 (scaled to zero)"),
        (Report(health=(UP,), held=frozenset({"engine"})), "active", "engine 2/2 (held)"),
        (
            Report(health=(ZERO,), held=frozenset({"decoder"})),
            "active",
            "decoder 0 (scaled to zero, held)",
        ),
        (
            Report(health=(DOWN,), held=frozenset({"decoder"})),
            "waiting",
            "decoder 0/4: waiting for engine (held)",
        ),
        (Report(health=(UP, DOWN)), "waiting", "decoder 0/4: waiting for engine; engine 2/2"),
        (
            Report(health=(MOVES, DOWN)),
            "maintenance",
            "engine 2/2: updating, 1/2 updated; decoder 0/4: waiting for engine",
        ),
        (
            Report(health=(MOVES, DOWN, BAD)),
            "blocked",
            "router 0/1: cannot pull image x:1; engine 2/2: updating, 1/2 updated; "
            "decoder 0/4: waiting for engine",
        ),
        (Report(health=(BAD,), fault=Fault("api away")), "waiting", "api away"),
        (Report(fault=Fault("not trusted", blocked=True)), "blocked", "not trusted"),
        (
            Report(problems=(Problem("a", "r", "f", "bad"),), fault=Fault("api away")),
            "blocked",
            "a (role r): f: bad",
        ),
        (
            Report(problems=(Problem("a", "r", "f", "bad"),), fault=Fault("no", blocked=True)),
            "blocked",
            "no",
        ),
        (
            Report(problems=(Problem("l", "", "config x", "y"),), fault=Fault("no", blocked=True)),
            "blocked",
            "l: config x: y",
        ),
        (Report(), "waiting", "waiting for the group to be applied"),
    ],
)
def test_line(report, kind, message):
    found = line("llama", report)
    assert (found.kind, found.message) == (kind, message)
    assert found.status.name == kind and found.status.message == message
