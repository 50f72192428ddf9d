"""The children of a group: names, owners, labels, environment, against the recording."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from lightkube.generic_resource import create_namespaced_resource
from lightkube.resources.apps_v1 import ControllerRevision, Deployment, StatefulSet
from lightkube.resources.core_v1 import ConfigMap, Service
from standin_world import (
    NEW,
    OBSERVED,
    RI,
    RIS,
    STS,
    Obj,
    Pod,
    World,
    recorded,
    role,
    sha1,
    template,
)

Start = Callable[..., World]

# What was applied for the recordings of v0.7.0 and v0.8.0-alpha.5.
ROLES = [
    {"name": "engine", "replicas": 2, "standalonePattern": {"template": template("engine")}},
    {"name": "multi", "replicas": 2, "leaderWorkerPattern": {
        "size": 2, "template": template("multi"),
        "leaderTemplatePatch": {"metadata": {"labels": {"role": "leader"}}},
        "workerTemplatePatch": {"metadata": {"labels": {"role": "worker"}}}}},
    {"name": "router", "replicas": 1, "dependencies": ["engine", "multi"],
     "standalonePattern": {"template": template("router", "example.test/router:1")}},
]  # fmt: skip
for _role, _name, _port in ((ROLES[1], "engine", 8000), (ROLES[2], "router", 8080)):
    _pattern: Any = _role.get("leaderWorkerPattern") or _role["standalonePattern"]
    _pattern["template"]["spec"]["containers"][0] |= {"name": _name}
    _pattern["template"]["spec"]["containers"][0]["ports"][0]["containerPort"] = _port


@pytest.fixture
def ready(world: Start) -> World:
    """The recorded group, ready."""
    here = world()
    here.apply("alpha2", *copy.deepcopy(ROLES))
    here.ready("alpha2")
    return here


def _owner(obj: Obj) -> tuple[str, str]:
    reference = obj["metadata"]["ownerReferences"][0]
    return reference["kind"], reference["name"]


def test_names_and_owners(ready: World) -> None:
    assert {n: _owner(o) for n, o in ready.all(RIS).items()} == {
        f"alpha2-{r}": ("RoleBasedGroup", "alpha2") for r in ("engine", "multi", "router")
    }
    assert {n: _owner(o) for n, o in ready.all(RI).items()} == {
        f"alpha2-{r}-{i}": ("RoleInstanceSet", f"alpha2-{r}")
        for r, i in (("engine", 0), ("engine", 1), ("multi", 0), ("multi", 1), ("router", 0))
    }
    assert {n: _owner(o)[1] for n, o in ready.all(Pod).items()} == {
        "alpha2-engine-0": "alpha2-engine-0", "alpha2-engine-1": "alpha2-engine-1",
        "alpha2-multi-0-0": "alpha2-multi-0", "alpha2-multi-0-1": "alpha2-multi-0",
        "alpha2-multi-1-0": "alpha2-multi-1", "alpha2-multi-1-1": "alpha2-multi-1",
        "alpha2-router-0": "alpha2-router-0",
    }  # fmt: skip
    services = ready.all(Service)
    assert {n: _owner(o) for n, o in services.items()} == {
        f"s-alpha2-{r}": ("RoleInstanceSet", f"alpha2-{r}") for r in ("engine", "multi", "router")
    }
    assert _owner(ready.get(ConfigMap, "alpha2")) == ("RoleBasedGroup", "alpha2")


def test_labels_and_environment_of_a_worker(ready: World) -> None:
    pod = ready.get(Pod, "alpha2-multi-0-1")
    labels = pod["metadata"]["labels"]
    assert (
        labels.pop("controller-revision-hash")
        == (ready.status(RI, "alpha2-multi-0")["currentRevision"].rpartition("-")[2])
    )
    assert labels == {
        "app": "multi", "role": "worker",
        NEW + "group-name": "alpha2", NEW + "group-uid": sha1(f"{ready.namespace}/alpha2"),
        NEW + "role-name": "multi", NEW + "role-instance-name": "alpha2-multi-0",
        NEW + "role-instance-index": "1", NEW + "component-name": "worker",
        NEW + "component-id": "0", NEW + "component-index": "1", NEW + "component-size": "2",
        "statefulset.kubernetes.io/pod-name": "alpha2-multi-1",
    }  # fmt: skip
    env = pod["spec"]["containers"][0]["env"]
    assert [entry["name"] for entry in env] == [
        "RBG_COMPONENT_INDEX", "RBG_COMPONENT_NAME", "RBG_GROUP_NAME", "RBG_ROLE_INDEX",
        "RBG_ROLE_INSTANCE_NAME", "RBG_ROLE_NAME", "RBG_LWP_LEADER_ADDRESS",
        "RBG_LWP_WORKER_INDEX", "RBG_LWP_GROUP_SIZE",
    ]  # fmt: skip
    assert env[6]["value"] == f"$(RBG_ROLE_INSTANCE_NAME)-0.s-alpha2-multi.{ready.namespace}"
    selector = ready.get(Service, "s-alpha2-multi")["spec"]["selector"]
    assert selector == {NEW + "component-name": "leader", NEW + "group-name": "alpha2",
                        NEW + "role-name": "multi"}  # fmt: skip


def test_the_users_variables_come_last(world: Start) -> None:
    here = world()
    spec = role("engine", 1)
    container = spec["standalonePattern"]["template"]["spec"]["containers"][0]
    container["env"] = [{"name": "A", "value": "$(RBG_ROLE_NAME)"}]
    here.apply("g", spec)
    here.ready("g")
    env = here.get(Pod, "g-engine-0")["spec"]["containers"][0]["env"]
    assert [entry["name"] for entry in env][-2:] == ["RBG_ROLE_NAME", "A"]


def test_discovery_file(ready: World) -> None:
    config = yaml.safe_load(ready.get(ConfigMap, "alpha2")["data"]["config.yaml"])
    assert config["group"] == {"name": "alpha2", "roles": ["engine", "multi", "router"], "size": 3}
    assert config["roles"]["engine"] == {"size": 2, "instances": [
        {"address": "alpha2-engine-0.s-alpha2-engine"},
        {"address": "alpha2-engine-1.s-alpha2-engine"}]}  # fmt: skip


def test_custom_components(world: Start) -> None:
    here = world()
    parts = [{"name": "cache", "size": 2, "template": template("cache")},
             {"name": "head", "size": 1, "template": template("head")}]  # fmt: skip
    here.apply("g", {"name": "kv", "replicas": 1,
                     "customComponentsPattern": {"components": parts}})  # fmt: skip
    here.ready("g")
    assert list(here.images()) == ["g-kv-0-cache-0", "g-kv-0-cache-1", "g-kv-0-head-0"]
    labels = here.get(Pod, "g-kv-0-cache-1")["metadata"]["labels"]
    assert labels[NEW + "component-name"] == "cache"
    assert labels[NEW + "component-id"] == "1"


def test_role_templates(world: Start) -> None:
    here = world()
    patch = {"spec": {"containers": [{"name": "engine", "image": "e:9"}]}}
    reference = {"templateRef": {"name": "base", "patch": patch}}
    body = {
        "apiVersion": "workloads.x-k8s.io/v1alpha2", "kind": "RoleBasedGroup",
        "metadata": {"name": "g", "namespace": here.namespace},
        "spec": {"roleTemplates": [{"name": "base", "template": template("engine")}],
                 "roles": [{"name": "engine", "replicas": 1, "standalonePattern": reference}]},
    }  # fmt: skip
    from standin_world import RBG

    here.client.apply(RBG.from_dict(body), field_manager="test", force=True)
    here.ready("g")
    assert here.images() == {"g-engine-0": "9"}


def test_workload_types(world: Start) -> None:
    here = world()
    here.apply("g", role("sts", kind=STS), role("dep", 1, kind="apps/v1/Deployment"))
    here.until(lambda: here.state("g").ready == "True")
    sts = here.get(StatefulSet, "g-sts")
    assert sts["spec"]["serviceName"] == "s-g-sts"
    assert sts["spec"]["podManagementPolicy"] == "Parallel"
    assert sts["metadata"]["annotations"][NEW + "role-workload-type"] == STS
    env = sts["spec"]["template"]["spec"]["containers"][0]["env"]
    assert env[1]["valueFrom"]["fieldRef"]["fieldPath"] == (
        "metadata.labels['apps.kubernetes.io/pod-index']"
    )
    deployment = here.get(Deployment, "g-dep")
    env = deployment["spec"]["template"]["spec"]["containers"][0]["env"]
    assert [entry["name"] for entry in env] == ["RBG_GROUP_NAME", "RBG_ROLE_NAME"]
    assert list(here.all(Service)) == ["s-g-sts"]
    pods = [p for p in here.all(Pod).values()
            if p["metadata"]["labels"][NEW + "role-name"] == "sts"]  # fmt: skip
    assert {p["metadata"]["name"] for p in pods} == {"g-sts-0", "g-sts-1"}


LWS = create_namespaced_resource(
    "leaderworkerset.x-k8s.io", "v1", "LeaderWorkerSet", "leaderworkersets"
)


@pytest.mark.control_plane_only
def test_leader_worker_set(world: Start) -> None:
    """Its controller is not emulated by the embedded cluster."""
    here = world()
    kind = "leaderworkerset.x-k8s.io/v1/LeaderWorkerSet"
    here.apply(
        "g", {**role("multi", 2, size=2), "annotations": {NEW + "role-workload-type": kind}}
    )
    here.until(lambda: here.state("g").ready == "True", within=40)
    assert here.state("g").roles == {"multi": (2, 2, 2)}
    assert sorted(here.images()) == ["g-multi-0", "g-multi-0-1", "g-multi-1", "g-multi-1-1"]
    found = here.get(LWS, "g-multi")["spec"]
    assert found["leaderWorkerTemplate"]["size"] == 2
    assert found["leaderWorkerTemplate"]["restartPolicy"] == "RecreateGroupOnPodRestart"
    env = found["leaderWorkerTemplate"]["workerTemplate"]["spec"]["containers"][0]["env"]
    assert [e["name"] for e in env] == ["RBG_GROUP_NAME", "RBG_ROLE_INDEX", "RBG_ROLE_NAME"]
    assert "g-multi" in here.all(Service)  # made by LWS, not by the controller


def test_group_revisions(world: Start) -> None:
    here = world()

    def revisions() -> list[int]:
        return sorted(
            rev["revision"] for rev in here.all(ControllerRevision).values()
            if _owner(rev)[0] == "RoleBasedGroup"
        )  # fmt: skip

    here.apply("g", role("engine"))
    here.ready("g")
    here.apply("g", role("engine", 3))
    here.ready("g")
    assert revisions() == [1]
    for tag in range(2, 8):
        generation = here.apply("g", role("engine", 3, image=f"e:{tag}"))["metadata"]["generation"]
        here.until(lambda wanted=generation: here.state("g").observed == wanted)
    here.until(lambda: revisions() == [3, 4, 5, 6, 7])


# --- against the recording ---------------------------------------------------------------

_VOLATILE = ("uid", "resourceVersion", "creationTimestamp", "managedFields", "lastTransitionTime",
             "generateName", "selfLink", "currentRevision", "updateRevision", "time", "namespace",
             "controller-revision-hash")  # fmt: skip


def _plain(value: Any, namespace: str) -> Any:
    """Without what differs from run to run."""
    if isinstance(value, dict):
        return {
            key: _plain(child, namespace) for key, child in sorted(value.items())
            if key not in _VOLATILE and not key.startswith(NEW + "role-revision-")
        }  # fmt: skip
    if isinstance(value, list):
        return [_plain(child, namespace) for child in value]
    if isinstance(value, str):
        uid = sha1(f"{namespace}/alpha2")
        return value.replace(uid, "UID").replace(f"-multi.{namespace}", "-multi.NS")
    return value


def _recorded_objects(release: str) -> dict[tuple[str, str], Obj]:
    found = recorded(f"{release}-v1alpha2/ready.objects.yaml")
    return {
        (plural, obj["metadata"]["name"]): obj for plural, objs in found.items() for obj in objs
    }


@pytest.mark.skipif(not OBSERVED.exists(), reason="no recordings here")
def test_as_recorded(ready: World) -> None:
    """Whole objects: RoleInstanceSets, RoleInstances, Services, the file, labels of pods."""
    there = _recorded_objects("v0.8.0-alpha.5")
    for kind, plural in ((RIS, "roleinstancesets"), (RI, "roleinstances")):
        for name, obj in ready.all(kind).items():
            mine = _plain(obj, ready.namespace)
            theirs = _plain(there[plural, name], "default")
            for value in (mine, theirs):
                # The genuine CRDs keep `resources: {}` that the controller sends.
                _drop_empty_resources(value)
            assert mine == theirs, name
    for name, obj in ready.all(Pod).items():
        theirs = there["pods", name]
        for field in ("labels", "ownerReferences"):
            mine = _plain({field: obj["metadata"][field]}, ready.namespace)
            assert mine == _plain({field: theirs["metadata"][field]}, "default"), name
        for field in ("hostname", "subdomain"):
            assert obj["spec"].get(field) == theirs["spec"].get(field), name
    config = there["configmaps", "alpha2"]["data"]
    assert ready.get(ConfigMap, "alpha2")["data"] == config
    for name, obj in ready.all(Service).items():
        theirs = there["services", name]
        assert obj["spec"]["selector"] == theirs["spec"]["selector"]
        mine = _plain(obj["metadata"], ready.namespace)
        assert mine == _plain(theirs["metadata"], "default"), name


def _drop_empty_resources(value: Any) -> None:
    if isinstance(value, dict):
        if value.get("resources") == {}:
            del value["resources"]
        for child in value.values():
            _drop_empty_resources(child)
    elif isinstance(value, list):
        for child in value:
            _drop_empty_resources(child)


@pytest.mark.skipif(not OBSERVED.exists(), reason="no recordings here")
def test_group_as_recorded(ready: World) -> None:
    theirs = recorded("v0.8.0-alpha.5-v1alpha2/ready.rbg.yaml")
    mine = ready.group("alpha2")
    assert _plain(mine, ready.namespace) == _plain(theirs, "default")
    managers = {(m["manager"], m["operation"]) for m in theirs["metadata"]["managedFields"]}
    assert ("rbg", "Apply") in managers
    assert "rbg" in json.dumps(mine["metadata"]["managedFields"])
