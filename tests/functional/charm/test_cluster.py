# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""The charm's cluster room against a real API server: apply, refuse, prune, collect."""

import copy
from typing import Any

import pytest
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.models.rbac_v1 import PolicyRule, RoleRef, Subject
from lightkube.resources.apps_v1 import StatefulSet
from lightkube.resources.rbac_authorization_v1 import ClusterRole, ClusterRoleBinding
from lightkube.types import PatchType

from cluster import Cluster
from inputs import Inputs
from kubeapi import resource
from reconcile import reconcile
from rig.controlplane import until
from status import line
from tests.shapes import (
    engine_and_router,
    group,
    prefill_decode_router,
    related,
    single_engine,
    template,
)


@pytest.fixture
def owner(cluster: Any, namespace: str) -> str:
    """Juju's StatefulSet of the application; returns its uid."""
    body = {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "llama"},
        "spec": {
            "replicas": 0,
            "serviceName": "llama-endpoints",
            "selector": {"matchLabels": {"app": "llama"}},
            "template": {
                "metadata": {"labels": {"app": "llama"}},
                "spec": {"containers": [{"name": "charm", "image": "charm"}]},
            },
        },
    }
    made = cluster.client(namespace).create(StatefulSet.from_dict(body))
    return made.metadata.uid


@pytest.fixture
def ours(cluster: Any, namespace: str, owner: str, room: Any) -> Cluster:
    """The charm's own client, as the administrator."""
    return room(cluster.kubeconfig())


def in_namespace(inputs: Inputs, namespace: str) -> Inputs:
    return Inputs("llama", namespace, inputs.config, inputs.roles, inputs.holds)


def shown(inputs: Inputs, cluster: Cluster) -> str:
    """The status after one reconcile."""
    found = line("llama", reconcile(inputs, cluster))
    return f"{found.kind}: {found.message}"


def live(cluster: Any, namespace: str) -> dict[str, Any]:
    return cluster.client(namespace).get(resource("RoleBasedGroup"), "llama").to_dict()


def names(cluster: Any, namespace: str, kind: str) -> set[str]:
    return {o["metadata"]["name"] for o in cluster.client(namespace).list(resource(kind))}


def test_the_group_is_applied_with_one_manager_and_owned_by_jujus_statefulset(
    cluster, namespace, ours, owner
):
    reconcile(in_namespace(prefill_decode_router(), namespace), ours)
    found = live(cluster, namespace)
    assert found["metadata"]["ownerReferences"][0]["uid"] == owner
    managers = {(m["manager"], m["operation"]) for m in found["metadata"]["managedFields"]}
    assert managers == {("rbg-k8s", "Apply")}
    assert [r["name"] for r in found["spec"]["roles"]] == ["decoder", "engine", "router"]


def test_a_second_reconcile_changes_nothing_even_if_it_renders(cluster, namespace, ours):
    inputs = in_namespace(prefill_decode_router(), namespace)
    reconcile(inputs, ours)
    before = live(cluster, namespace)
    reconcile(inputs, ours)
    assert (
        live(cluster, namespace)["metadata"]["resourceVersion"]
        == (before["metadata"]["resourceVersion"])
    )
    # Forget the fingerprint: everything is rendered and compared, and still nothing is applied
    # but the fingerprint itself.
    from manifests.render import render
    from planning import find, make_plan

    plan = make_plan(inputs, ours, find(ours))
    assert render(plan.group, plan.api, inputs.fingerprint) == plan.manifests
    ours.apply(
        {
            **plan.manifests.group,
            "metadata": {
                **plan.manifests.group["metadata"],
                "ownerReferences": before["metadata"]["ownerReferences"],
            },
        }
    )
    after = live(cluster, namespace)["metadata"]
    assert after["resourceVersion"] == before["metadata"]["resourceVersion"]


def test_a_dropped_role_disappears_from_the_list(cluster, namespace, ours):
    reconcile(in_namespace(prefill_decode_router(), namespace), ours)
    reconcile(in_namespace(single_engine(), namespace), ours)
    assert [r["name"] for r in live(cluster, namespace)["spec"]["roles"]] == ["engine"]


def test_a_pattern_is_changed_in_place(cluster, namespace, ours):
    reconcile(in_namespace(single_engine(), namespace), ours)
    reconcile(in_namespace(engine_and_router(), namespace), ours)
    engine = live(cluster, namespace)["spec"]["roles"][0]
    assert "leaderWorkerPattern" in engine and "standalonePattern" not in engine


def test_a_group_of_someone_else_is_left_alone(cluster, namespace, ours):
    foreign = {
        "metadata": {"name": "llama"},
        "spec": {"roles": [{"name": "x", "standalonePattern": {"template": template()}}]},
    }
    cluster.client(namespace).create(resource("RoleBasedGroup").from_dict(foreign))
    before = live(cluster, namespace)["metadata"]["resourceVersion"]
    assert shown(in_namespace(single_engine(), namespace), ours) == (
        "blocked: RoleBasedGroup llama is someone else's; remove it or deploy under another name"
    )
    assert live(cluster, namespace)["metadata"]["resourceVersion"] == before


def test_a_group_that_somebody_edited_is_put_right(cluster, namespace, ours):
    inputs = in_namespace(single_engine(), namespace)
    reconcile(inputs, ours)
    cluster.client(namespace).patch(
        resource("RoleBasedGroup"),
        "llama",
        [{"op": "replace", "path": "/spec/roles/0/replicas", "value": 7}],
        patch_type=PatchType.JSON,
        field_manager="kubectl-edit",
    )
    assert live(cluster, namespace)["spec"]["roles"][0]["replicas"] == 7
    reconcile(inputs, ours)
    assert live(cluster, namespace)["spec"]["roles"][0]["replicas"] == 2


def test_deleting_the_statefulset_collects_everything(cluster, namespace, ours):
    reconcile(in_namespace(engine_and_router(), namespace), ours)
    cluster.client(namespace).delete(StatefulSet, "llama")
    objects = [("RoleBasedGroup", "llama")]
    objects += [
        (kind, "llama-router-discovery") for kind in ("ServiceAccount", "Role", "RoleBinding")
    ]
    for kind, name in objects:
        until(
            lambda kind=kind, name=name: name not in names(cluster, namespace, kind),
            f"{kind} {name} is collected",
        )


def test_the_account_of_a_role_that_no_longer_discovers_is_pruned(cluster, namespace, ours):
    reconcile(in_namespace(engine_and_router(), namespace), ours)
    client = cluster.client(namespace)
    other = {"metadata": {"name": "bystander"}}
    client.create(resource("ServiceAccount").from_dict(other))
    reconcile(in_namespace(single_engine(), namespace), ours)
    assert names(cluster, namespace, "ServiceAccount") == {"default", "bystander"}
    assert names(cluster, namespace, "RoleBinding") == set()


# --- misspelt and invalid fields ---------------------------------------------------------------

LEADER = {"spec": {"containers": [{"name": "serve", "image": "x", "enviroment": []}]}}
MISSPELT = [
    (
        {"template": {"spec": {**template()["spec"], "nodeSelektor": {}}}},
        "template.spec.nodeSelektor",
    ),
    (
        {"template": template(imagePulPolicy="Always")},
        "template.spec.containers[0].imagePulPolicy",
    ),
    (
        {"template": template(ports=[{"containerPort": 1, "hostport": 2}])},
        "template.spec.containers[0].ports[0].hostport",
    ),
    ({"template": {**template(), "metadta": {}}}, "template.metadta"),
    (
        {"template": template(), "multi_node": {"size": 2, "leader_patch": LEADER}},
        "multi_node.leader_patch.spec.containers[0].enviroment",
    ),
    (
        {"template": template(), "multi_node": {"size": 2, "worker_patch": {"spec": {"x": 1}}}},
        "multi_node.worker_patch.spec.x",
    ),
    (
        {"components": [{"name": "a", "template": template(argz=[])}]},
        "components.a.template.spec.containers[0].argz",
    ),
]


@pytest.mark.parametrize(("fields", "path"), MISSPELT)
def test_a_misspelt_field_is_named_with_its_path_and_the_other_role_goes_on(
    cluster, namespace, ours, fields, path
):
    inputs = group(related("engine", **fields), related("decoder", template=template()))
    assert shown(in_namespace(inputs, namespace), ours) == (
        f"blocked: prefill (role engine): {path}: unknown field; correct its spelling"
    )
    assert [r["name"] for r in live(cluster, namespace)["spec"]["roles"]] == ["decoder"]


def test_a_misspelt_field_in_a_running_role_changes_nothing_of_it(cluster, namespace, ours):
    reconcile(in_namespace(single_engine(), namespace), ours)
    before = live(cluster, namespace)
    inputs = group(related("engine", template=template(argz=[])))
    assert "unknown field" in shown(in_namespace(inputs, namespace), ours)
    after = live(cluster, namespace)
    assert after["metadata"]["generation"] == before["metadata"]["generation"] == 1


def test_a_value_of_the_wrong_type_is_told_in_the_servers_words(cluster, namespace, ours):
    inputs = group(related("engine", template=template(args="--port 1")))
    said = shown(in_namespace(inputs, namespace), ours)
    assert said.startswith("blocked: prefill (role engine): template.spec.containers[0].args: ")
    assert "must be of type array" in said


def test_patches_that_are_fine_are_not_refused(cluster, namespace, ours):
    """A patch may lack what a whole template needs, and may hold directives and nulls."""
    patch = {
        "spec": {
            "$retainKeys": ["containers", "nodeSelector"],
            "nodeSelector": None,
            "containers": [
                {
                    "name": "serve",
                    "livenessProbe": None,
                    "volumeMounts": [{"mountPath": "/x", "readOnly": True}],
                    "ports": [{"containerPort": 8000, "$patch": "delete"}],
                }
            ],
        }
    }
    multi = {"size": 2, "worker_patch": patch}
    inputs = group(related("engine", template=template(), multi_node=multi))
    assert shown(in_namespace(inputs, namespace), ours).startswith("waiting: engine 0/1")
    [engine] = live(cluster, namespace)["spec"]["roles"]
    assert engine["leaderWorkerPattern"]["workerTemplatePatch"] == patch


# --- identities --------------------------------------------------------------------------------

TRUST = "blocked: not trusted; run `juju trust llama --scope=cluster`"


def bind(cluster: Any, namespace: str, *rules: PolicyRule) -> None:
    client = cluster.client(namespace)
    name = f"{namespace}-charm"
    client.create(ClusterRole(metadata=ObjectMeta(name=name), rules=list(rules)))
    client.create(
        ClusterRoleBinding(
            metadata=ObjectMeta(name=name),
            roleRef=RoleRef(apiGroup="rbac.authorization.k8s.io", kind="ClusterRole", name=name),
            subjects=[Subject(kind="ServiceAccount", name="charm", namespace=namespace)],
        )
    )


@pytest.fixture
def account(cluster: Any, namespace: str, owner: str, room: Any) -> Cluster:
    """The charm's own client, as a service account without any right."""
    return room(cluster.service_account_kubeconfig(namespace, "charm"))


def test_an_unbound_account_is_told_to_trust(namespace, account):
    assert shown(in_namespace(single_engine(), namespace), account) == TRUST


def test_a_read_only_account_is_told_to_trust(cluster, namespace, account):
    rule = PolicyRule(apiGroups=["*"], resources=["*"], verbs=["get", "list", "watch"])
    bind(cluster, namespace, rule)

    def said() -> str:
        return shown(in_namespace(single_engine(), namespace), account)

    until(lambda: said() == TRUST, "the binding works")
    # It may read the CRD now, so what it may not do is to try the group.
    assert account.crd is not None


def test_a_bound_account_may(cluster, namespace, account):
    bind(cluster, namespace, PolicyRule(apiGroups=["*"], resources=["*"], verbs=["*"]))
    inputs = in_namespace(single_engine(), namespace)
    until(lambda: shown(inputs, account) != TRUST, "the binding works")
    assert live(cluster, namespace)["spec"]["roles"][0]["name"] == "engine"


def test_an_api_server_that_is_not_there(namespace, room, tmp_path, cluster):
    import yaml

    config = yaml.safe_load(cluster.kubeconfig().read_text())
    gone = copy.deepcopy(config)
    gone["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    file = tmp_path / "kubeconfig"
    file.write_text(yaml.safe_dump(gone))
    said = shown(in_namespace(single_engine(), namespace), room(file))
    assert said == "waiting: waiting for the Kubernetes API server: ConnectError"
