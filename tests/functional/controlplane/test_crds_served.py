"""Definitions are taken by a real API server, and are as strict there as they must be."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rig import crds
from rig.controlplane import ControlPlane
from rig.controlplane.api import Api, ApiStatus
from rig.crds.openapi import structural

SETS = [crds.V0_6, crds.V0_8, *crds.genuine()]
STRICT = {"dryRun": "All", "fieldValidation": "Strict"}
GROUPS = "/apis/workloads.x-k8s.io/{version}/namespaces/default/rolebasedgroups"
POD: dict[str, Any] = {
    "metadata": {"labels": {"a": "b"}},
    "spec": {
        "containers": [
            {
                "name": "engine",
                "image": "engine:1",
                "ports": [{"containerPort": 8000}],
                "resources": {"limits": {"cpu": 1, "memory": "1.5Gi", "nvidia.com/gpu": "8"}},
                "readinessProbe": {"httpGet": {"port": "http", "path": "/health"}},
                "volumeMounts": [{"name": "shm", "mountPath": "/dev/shm"}],
            }
        ],
        "imagePullSecrets": [{"name": "registry"}],
        "volumes": [{"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "8Gi"}}],
        "topologySpreadConstraints": [
            {"maxSkew": 1, "topologyKey": "rack", "whenUnsatisfiable": "ScheduleAnyway"}
        ],
    },
}


@pytest.fixture(scope="module")
def alone() -> Iterator[ControlPlane]:
    """A control plane of this file's own: it removes definitions that other tests may live on."""
    with ControlPlane.start(lws=False) as cluster:
        yield cluster


@pytest.fixture
def own(alone: ControlPlane) -> Iterator[ControlPlane]:
    yield alone
    alone.remove_crds()


def group(version: str, **role: Any) -> dict[str, Any]:
    pattern = {
        "v1alpha1": {"template": copy.deepcopy(POD)},
        "v1alpha2": {"standalonePattern": {"template": copy.deepcopy(POD)}},
    }[version]
    return {
        "apiVersion": f"workloads.x-k8s.io/{version}",
        "kind": "RoleBasedGroup",
        "metadata": {"name": "llama"},
        "spec": {"roles": [{"name": "engine", "replicas": 1, **pattern, **role}]},
    }


def refused(api: Api, body: dict[str, Any]) -> ApiStatus:
    version = body["apiVersion"].partition("/")[2]
    with pytest.raises(ApiStatus) as error:
        api.post(GROUPS.format(version=version), body, **STRICT)
    return error.value


@pytest.mark.parametrize("directory", SETS, ids=lambda path: path.name)
def test_a_set_of_definitions_is_served(own: ControlPlane, directory: Path) -> None:
    definitions = crds.load(directory, own.api)
    own.install_crds(definitions)
    versions = next(
        one["spec"]["versions"]
        for one in definitions
        if one["spec"]["names"]["kind"] == "RoleBasedGroup"
    )
    for version in [one["name"] for one in versions]:
        path = GROUPS.format(version=version)
        answer = own.api.post(path, group(version), **STRICT)
        # The rule's defaults are filled in, inside of the pod template too.
        role = answer["spec"]["roles"][0]
        pod = role.get("template") or role["standalonePattern"]["template"]
        assert pod["spec"]["containers"][0]["ports"][0]["protocol"] == "TCP"
        wrong = group(version)
        role = wrong["spec"]["roles"][0]
        pod = role.get("template") or role["standalonePattern"]["template"]
        pod["spec"]["containers"][0]["imagePullPolicyy"] = "Always"
        error = refused(own.api, wrong)
        assert error.code == 400
        inside = "template" if version == "v1alpha1" else "standalonePattern.template"
        assert (
            f'unknown field "spec.roles[0].{inside}.spec.containers[0].imagePullPolicyy"'
            in error.message
        )
    # A second time the definitions are replaced.
    own.install_crds(definitions)


def test_the_rules_of_a_role_hold(own: ControlPlane) -> None:
    own.install_release(crds.V0_8)
    twice = group("v1alpha2")
    twice["spec"]["roles"] *= 2
    no_roles = group("v1alpha2")
    no_roles["spec"]["roles"] = []
    no_name = group("v1alpha2")
    del no_name["spec"]["roles"][0]["standalonePattern"]["template"]["spec"]["containers"][0][
        "name"
    ]
    cases = [
        (twice, 'spec.roles[1]: Duplicate value: {"name":"engine"}'),
        (no_roles, "spec.roles in body should have at least 1 items"),
        (no_name, "template.spec.containers[0].name: Required value"),
        (group("v1alpha2", replicas=-1), "should be greater than or equal to 0"),
        (group("v1alpha2", name=""), "should be at least 1 chars long"),
        (
            group("v1alpha2", leaderWorkerPattern={"size": 2}),
            "standalonePattern and leaderWorkerPattern are mutually exclusive",
        ),
        (
            group("v1alpha1", template=None),
            "template or templateRef must be set for non-InstanceSet workloads",
        ),
    ]
    for body, message in cases:
        error = refused(own.api, body)
        assert error.code == 422
        assert message in error.message


def test_an_unknown_field_of_a_role_itself_is_kept(own: ControlPlane) -> None:
    own.install_release(crds.V0_8)
    path = GROUPS.format(version="v1alpha2")
    answer = own.api.post(path, group("v1alpha2", replicaz=3), **STRICT)
    assert answer["spec"]["roles"][0]["replicaz"] == 3


def test_without_its_schema_a_pod_template_is_not_looked_at(own: ControlPlane) -> None:
    own.install_crds(crds.load(crds.V0_8))
    body = group("v1alpha2")
    body["spec"]["roles"][0]["standalonePattern"]["template"]["spec"]["nonsense"] = 1
    own.api.post(GROUPS.format(version="v1alpha2"), body, **STRICT)


def outline(node: dict[str, Any], path: str = "") -> dict[str, tuple[str, list[str]]]:
    """Say of each field of a schema what type it has, and which fields it demands."""
    kind = "int or string" if "x-kubernetes-int-or-string" in node else node.get("type", "")
    found = {path: (kind, sorted(node.get("required", [])))}
    for name, field in node.get("properties", {}).items():
        found |= outline(field, f"{path}.{name}")
    for inner in ("items", "additionalProperties"):
        if inner in node:
            found |= outline(node[inner], f"{path}[]")
    return found


def test_our_pod_template_has_every_field_of_the_genuine_one(own: ControlPlane) -> None:
    if not crds.genuine():
        pytest.skip(f"no {crds.GENUINE}")
    (theirs,) = crds.documents(crds.genuine()[-1] / "rolebasedgroups.yaml")
    node = next(v for v in theirs["spec"]["versions"] if v["name"] == "v1alpha2")["schema"]
    for name in ("openAPIV3Schema", "spec", "roles", "standalonePattern", "template"):
        node = node.get("items", node).get("properties", node)[name]
    ours = outline(structural(own.api, crds.SCHEMAS["PodTemplateSpec"]))
    for path, rule in outline(node).items():
        assert ours.get(path) == rule, path


def test_definitions_can_come_from_files(own: ControlPlane) -> None:
    own.install_crds([crds.V0_8 / "coordinatedpolicies.yaml"])
    names = [r["name"] for r in own.api.get("/apis/workloads.x-k8s.io/v1alpha2")["resources"]]
    assert "coordinatedpolicies" in names
