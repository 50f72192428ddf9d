# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""The group checked as a whole: exact problems, and who is held back by them."""

import pytest

from capabilities import Api
from group import build
from holds import Holds
from tests.shapes import APIS, group, related, template

NEW = Api.parse(APIS["v0.8.0-alpha.5"][0])
OLD = Api.parse(APIS["v0.3.0"][0])
V06 = Api.parse(APIS["v0.6.0"][0])


def engine(**fields):
    return related("engine", **{"template": template(), **fields})


def decoder(**fields):
    return related("decoder", **{"template": template(), **fields})


def role(application, **fields):
    return related("role", application, **{"template": template(), **fields})


def problems(*roles, api=NEW, live=(), **more):
    return [str(p) for p in build(group(*roles, **more), api, live).problems]


PATCHED = {"spec": {"containers": [{"name": "other", "args": ["x"]}]}}
NAMELESS = {"spec": {"containers": [{"args": ["x"]}]}}
ACCOUNT = {"spec": {"serviceAccountName": "admin", "containers": [{"name": "a", "image": "b"}]}}
ONE_ROLE = [
    (
        {"replicas": 2, "rollout": {"partition": 2}},
        "rollout.partition: 2 must be less than the replicas (2)",
    ),
    ({"replicas": 0, "rollout": {"partition": 2}}, None),
    (
        {"rollout": {"partition": "100%"}},
        "rollout.partition: 100% must be less than the replicas (1)",
    ),
    ({"replicas": 3, "rollout": {"partition": "50%"}}, None),
    (
        {"replicas": 3, "rollout": {"partition": "99%"}},
        "rollout.partition: 99% must be less than the replicas (3)",
    ),
    (
        {"rollout": {"max_unavailable": 0}},
        "rollout.max_unavailable: must not be 0 while max_surge is 0; allow one of them",
    ),
    (
        {"rollout": {"max_unavailable": "0%", "max_surge": "0%"}},
        "rollout.max_unavailable: must not be 0 while max_surge is 0; allow one of them",
    ),
    ({"rollout": {"max_unavailable": 0, "max_surge": 1}}, None),
    (
        {"workload": "StatefulSet", "multi_node": {"size": 2}},
        "workload: StatefulSet cannot run multi_node; use LeaderWorkerSet or auto",
    ),
    (
        {"workload": "LeaderWorkerSet"},
        "workload: LeaderWorkerSet needs multi_node; say it or use auto",
    ),
    (
        {"multi_node": {"size": 2, "leader_patch": PATCHED}},
        "multi_node.leader_patch: the template has no container 'other' to patch",
    ),
    (
        {"multi_node": {"size": 2, "worker_patch": NAMELESS}},
        "multi_node.worker_patch: every container needs a name to be merged by",
    ),
    (
        {"multi_node": {"size": 2, "worker_patch": {"spec": []}}},
        "multi_node.worker_patch: must be a patch of a pod template",
    ),
    (
        {"template": ACCOUNT},
        "template.spec.serviceAccountName: must not be set; say what the role discovers",
    ),
    (
        {"multi_node": {"size": 2, "worker_patch": {"spec": {"serviceAccount": "x"}}}},
        "multi_node.worker_patch.spec.serviceAccount: must not be set; "
        "say what the role discovers",
    ),
    (
        {"template": None, "components": [{"name": "main", "template": ACCOUNT}]},
        "components.main.template.spec.serviceAccountName: must not be set; "
        "say what the role discovers",
    ),
    (
        {
            "template": None,
            "workload": "StatefulSet",
            "components": [{"name": "main", "template": template()}],
        },
        "workload: StatefulSet cannot run components; use RoleInstanceSet or auto",
    ),
    ({"start_after": ["engine"]}, "start_after: 'engine' is the role itself; leave it out"),
    (
        {"start_after": ["store"]},
        "start_after: the group has no role 'store'; relate one or leave it out",
    ),
    (
        {"discovers": ["store"]},
        "discovers: the group has no role 'store'; relate one or leave it out",
    ),
    (
        {"multi_node": {"size": 2, "restart_policy": {"type": "RecreateRBGOnPodRestart"}}},
        "multi_node.restart_policy.type: RecreateRBGOnPodRestart was removed in RBG 0.7",
    ),
    (
        {"restart_policy": {"type": "RecreateRBGOnPodRestart"}},
        "restart_policy.type: RecreateRBGOnPodRestart was removed in RBG 0.7",
    ),
]


@pytest.mark.parametrize(("fields", "problem"), ONE_ROLE)
def test_one_role(fields, problem):
    expected = [f"prefill (role engine): {problem}"] if problem else []
    assert problems(engine(**fields)) == expected


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        (
            {"rollout": {"partition": 1}, "replicas": 2},
            "rollout.partition: needs RBG 0.4 or later",
        ),
        ({"labels": {"a": "b"}}, "labels: needs RBG 0.5 or later"),
        ({"annotations": {"a": "b"}}, "annotations: needs RBG 0.5 or later"),
        ({"min_ready_seconds": 1}, "min_ready_seconds: needs RBG 0.5 or later"),
        ({"pod_management": "Parallel"}, "pod_management: needs RBG 0.7 or later"),
        ({"workload": "RoleInstanceSet"}, "workload: RoleInstanceSet needs RBG 0.7 or later"),
        ({"rollout": {"type": "RecreatePod"}}, "rollout.type: needs RBG 0.7 or later"),
        (
            {"multi_node": {"size": 2, "service_selects": "All"}},
            "multi_node.service_selects: needs RBG 0.7 or later",
        ),
        (
            {"template": None, "components": [{"name": "main", "template": template()}]},
            "components: needs RBG 0.7 or later",
        ),
        ({"restart_policy": {"type": "RecreateRBGOnPodRestart"}}, None),
        (
            {
                "multi_node": {
                    "size": 2,
                    "restart_policy": {"type": "None", "base_delay_seconds": 1},
                }
            },
            None,
        ),
    ],
)
def test_what_an_old_rbg_cannot_do_is_said(fields, problem):
    expected = [f"prefill (role engine): {problem}"] if problem else []
    assert problems(engine(**fields), api=OLD) == expected


def test_a_label_is_fine_from_0_5_on():
    assert problems(engine(labels={"a": "b"}), api=V06) == []


def test_cycles_name_every_role_in_them_and_no_other():
    found = problems(
        engine(start_after=["decoder"]),
        decoder(start_after=["engine"]),
        related("router", template=template()),
    )
    circle = "start_after: the roles wait for each other in a circle; remove one of them"
    assert found == [f"prefill (role engine): {circle}", f"decode (role decoder): {circle}"]


def test_a_role_that_waits_for_a_circle_is_held_back_after_it():
    built = build(
        group(
            engine(start_after=["decoder"]),
            decoder(start_after=["engine"]),
            related("router", template=template(), start_after=["engine"]),
        ),
        NEW,
    )
    assert built.roles == ()
    assert str(built.problems[-1]) == (
        "gateway (role router): start_after: the group has no role 'engine'; "
        "relate one or leave it out"
    )


def test_two_relations_of_one_name():
    built = build(group(engine(), role("engine")), NEW)
    assert [str(p) for p in built.problems] == [
        "engine: role: 'engine' is already a role of this group; deploy it under another name"
    ]
    assert [r.application for r in built.roles] == ["prefill"]


def test_the_first_of_two_goes_on_being_updated_beside_other_problems():
    live = [{"name": "engine", "replicas": 1}]
    built = build(group(engine(replicas=5), decoder(replicas=-1), role("engine")), NEW, live)
    assert [(r.name, r.replicas) for r in built.roles] == [("engine", 5)]
    assert built.kept == ()
    assert [p.application for p in built.problems] == ["decode", "engine"]


def test_names_that_are_too_long():
    name = "a-role-with-quite-a-long-name-of-45-characters"
    reason = f"role: {name!r} is longer than 44 characters; use a shorter name"
    assert problems(role(name)) == [f"{name}: {reason}"]


def test_a_name_that_is_no_dns_label():
    reason = "role: 'Cache' is not a DNS label; use lower-case letters, digits and '-'"
    assert problems(role("Cache")) == [f"Cache: {reason}"]


def test_an_application_whose_service_rbg_would_take_over():
    found = problems(related("engine", "llama-engine", template=template()))
    assert found == [
        "llama-engine (role engine): role: application llama-engine has the name RBG gives to "
        "role engine; deploy it under another name"
    ]


def test_a_held_count_is_checked_too():
    inputs = {"holds": Holds(replicas={"engine": 1})}
    found = problems(engine(replicas=3, rollout={"partition": 1}), **inputs)
    reason = "rollout.partition: 1 must be less than the replicas (1)"
    assert found == [f"prefill (role engine): {reason}"]


RUNNING = {
    "name": "engine",
    "replicas": 2,
    "annotations": {"rbg.workloads.x-k8s.io/role-workload-type": "apps/v1/StatefulSet"},
    "dependencies": ["decoder"],
}


def test_a_running_statefulset_is_never_turned_into_a_roleinstanceset():
    found = problems(engine(workload="RoleInstanceSet"), live=[RUNNING])
    reason = (
        "workload: a role cannot leave StatefulSet; leave workload at auto and run migrate-api"
    )
    assert found == [f"prefill (role engine): {reason}"]


def test_nor_one_at_zero_whose_pods_may_still_be_there():
    found = problems(engine(workload="RoleInstanceSet"), live=[{**RUNNING, "replicas": 0}])
    assert len(found) == 1


def test_an_application_related_twice_keeps_its_first_relation():
    twice = [related("engine", "engine", template=template()), role("engine")]
    built = build(group(*twice), NEW)
    assert [r.name for r in built.roles] == ["engine"]
    assert len(built.problems) == 1


def test_a_role_kept_as_it_runs_counts_for_the_others():
    live = [{"name": "engine", "replicas": 1}]
    built = build(group(engine(replicas=-1), decoder(start_after=["engine"])), NEW, live)
    assert [r.name for r in built.roles] == ["decoder"]
    assert [k["name"] for k in built.kept] == ["engine"]
    assert built.names == ["decoder", "engine"]


def test_a_kept_role_no_longer_waits_for_one_that_left():
    from manifests.render import render

    built = build(group(engine(replicas=-1)), NEW, [RUNNING])
    made = render(built, NEW)
    assert made.group["spec"]["roles"][0]["dependencies"] == []
