"""The embedded API: the rules of Kubernetes that the charm can see."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import Any

import pytest
from lightkube.core.exceptions import ApiError
from lightkube.resources.apiextensions_v1 import CustomResourceDefinition
from lightkube.resources.authorization_v1 import SelfSubjectAccessReview
from lightkube.resources.core_v1 import ConfigMap, ServiceAccount
from lightkube.resources.rbac_authorization_v1 import Role
from lightkube.types import CascadeType, PatchType
from standin_world import RBG, ROOT, Here, raw, role, until

pytestmark = pytest.mark.embedded_only


def _refusal(call: Any) -> Any:
    with pytest.raises(ApiError) as caught:
        call()
    return caught.value.status


def test_starts_at_once() -> None:
    pytest.importorskip("kmock", reason="the embedded cluster needs kmock (Python 3.11)")
    from rig.embedded import EMULATED, NOT_EMULATED, EmbeddedCluster

    before = time.monotonic()
    with EmbeddedCluster.start() as cluster:
        assert time.monotonic() - before < 2
        assert cluster.url.startswith("http://127.0.0.1:")
    assert EMULATED
    assert NOT_EMULATED


# --- objects -----------------------------------------------------------------------------


def test_apply_creates_and_repeats_without_effect(here: Here) -> None:
    made = here.apply(role("engine"))
    meta = made["metadata"]
    assert meta["generation"] == 1
    assert meta["uid"]
    assert meta["managedFields"][0]["manager"] == "rbg-k8s"
    # The CRD's defaults.
    assert made["spec"]["roles"][0]["podManagementPolicy"] == "Parallel"
    again = here.apply(role("engine"))
    assert again["metadata"]["resourceVersion"] == meta["resourceVersion"]
    assert again["metadata"]["generation"] == 1
    assert again["metadata"]["uid"] == meta["uid"]


def test_generation_counts_the_spec_only(here: Here) -> None:
    here.apply(role("engine"))
    touched = here.apply(role("engine"), labels={"a": "b"})
    assert touched["metadata"]["generation"] == 1
    assert here.apply(role("engine", 3), labels={"a": "b"})["metadata"]["generation"] == 2
    status = here.group(role("engine", 3))
    status["status"] = {"observedGeneration": 2, "roleStatuses": []}
    Status = RBG.Status  # noqa: N806
    answer = here.client.patch(
        Status, "g", {"status": {"observedGeneration": 2, "roleStatuses": []}},
        patch_type=PatchType.MERGE,
    )  # fmt: skip
    assert answer.status["observedGeneration"] == 2
    assert answer.metadata.generation == 2
    # A status sent with the object is not taken.
    assert here.apply(role("engine", 3))["status"]["observedGeneration"] == 2


def test_what_a_manager_omits_disappears(here: Here) -> None:
    spec = role("engine")
    container = spec["standalonePattern"]["template"]["spec"]["containers"][0]
    container["env"] = [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]
    container["resources"] = {"limits": {"nvidia.com/gpu": "1"}}
    here.apply(spec, role("decode"), labels={"x": "1", "y": "2"}, annotations={"n": "1"})
    container["env"] = [{"name": "B", "value": "2"}]
    del container["resources"]
    after = here.apply(spec, labels={"y": "2"})
    assert [r["name"] for r in after["spec"]["roles"]] == ["engine"]
    kept = after["spec"]["roles"][0]["standalonePattern"]["template"]["spec"]["containers"][0]
    assert kept["env"] == [{"name": "B", "value": "2"}]
    assert "resources" not in kept
    assert after["metadata"]["labels"] == {"y": "2"}
    assert "annotations" not in after["metadata"]
    assert after["metadata"]["generation"] == 2


def test_patterns_swap(here: Here) -> None:
    here.apply(role("engine"))
    after = here.apply(role("engine", size=2))["spec"]["roles"][0]
    assert "standalonePattern" not in after
    assert after["leaderWorkerPattern"]["size"] == 2


def test_what_others_own_stays_and_conflicts(here: Here) -> None:
    here.apply(role("engine", 2), labels={"ours": "1"})
    mine = {"name": "engine", "replicas": 4}
    refused = _refusal(lambda: here.apply(mine, manager="hpa", force=False))
    assert (refused.code, refused.reason) == (409, "Conflict")
    assert refused.message == (
        'Apply failed with 1 conflict: conflict with "rbg-k8s": '
        '.spec.roles[name="engine"].replicas'
    )
    taken = here.apply(mine, manager="hpa", labels={"theirs": "1"})
    assert taken["spec"]["roles"][0]["replicas"] == 4
    without = role("engine")
    del without["replicas"]
    after = here.apply(without, labels={})
    assert after["spec"]["roles"][0]["replicas"] == 4
    assert after["metadata"]["labels"] == {"theirs": "1"}


def test_dry_run_stores_nothing(here: Here) -> None:
    group = here.group(role("engine"))
    path = f"/apis/workloads.x-k8s.io/v1alpha2/namespaces/{here.namespace}/rolebasedgroups"
    http = here.client._client._client  # lightkube's own connection: any parameters
    params = {"dryRun": "All", "fieldValidation": "Strict"}
    assert http.post(path, params=params, json=group.to_dict()).status_code == 201
    assert _refusal(lambda: here.client.get(RBG, "g")).code == 404
    params |= {"force": "true", "fieldManager": "rbg-k8s"}
    headers = {"Content-Type": "application/apply-patch+yaml"}
    answer = http.patch(f"{path}/g", params=params, json=group.to_dict(), headers=headers)
    assert answer.status_code == 201
    assert _refusal(lambda: here.client.get(RBG, "g")).code == 404


@pytest.mark.parametrize("place", [
    "spec.roles[0].standalonePattern.template.spec.bogus",
    "spec.roles[0].standalonePattern.template.spec.containers[0].imagee",
    "spec.roles[0].standalonePattern.template.metadata.label",
    "spec.roles[0].standalonePattern.templat",
    "spec.rolls",
])  # fmt: skip
def test_a_misspelt_field(here: Here, place: str) -> None:
    """Refused with Strict by POST, lost in silence by apply (trap A3)."""
    body = here.group(role("engine")).to_dict()
    target: Any = body
    parts = place.replace("[0]", ".0").split(".")
    for part in parts[:-1]:
        target = target[int(part) if part.isdigit() else part]
    target[parts[-1]] = "x"
    path = f"/apis/workloads.x-k8s.io/v1alpha2/namespaces/{here.namespace}/rolebasedgroups"
    http = here.client._client._client
    answer = http.post(path, params={"fieldValidation": "Strict", "dryRun": "All"}, json=body)
    assert answer.status_code == 400
    assert f'strict decoding error: unknown field "{place}"' in answer.json()["message"]
    headers = {"Content-Type": "application/apply-patch+yaml"}
    params = {"fieldManager": "m", "force": "true", "fieldValidation": "Strict"}
    applied = http.patch(f"{path}/g", params=params, json=body, headers=headers)
    if place == "spec.rolls":
        assert applied.status_code == 500
        assert ".spec.rolls: field not declared in schema" in applied.json()["message"]
    else:
        assert applied.status_code == 201
        assert f'"{parts[-1]}":' not in applied.text


def test_unknown_in_a_role_is_kept(here: Here) -> None:
    spec = {**role("engine"), "extra": 1}
    assert here.apply(spec)["spec"]["roles"][0]["extra"] == 1


def test_refusals(here: Here) -> None:
    absent = _refusal(lambda: here.client.get(RBG, "g"))
    assert (absent.code, absent.reason) == (404, "NotFound")
    assert absent.message == 'rolebasedgroups.workloads.x-k8s.io "g" not found'
    here.apply(role("engine"))
    twice = _refusal(lambda: here.client.create(here.group(role("engine"))))
    assert (twice.code, twice.reason) == (409, "AlreadyExists")
    assert twice.message == 'rolebasedgroups.workloads.x-k8s.io "g" already exists'
    old = here.client.get(RBG, "g")
    here.apply(role("engine", 3))
    stale = _refusal(lambda: here.client.replace(old))
    assert (stale.code, stale.reason) == (409, "Conflict")
    assert "the object has been modified" in stale.message
    other = ConfigMap.from_dict({"metadata": {"name": "x", "namespace": "nowhere"}})
    assert _refusal(lambda: here.client.create(other)).message == 'namespaces "nowhere" not found'


def test_selectors(here: Here) -> None:
    for name, labels in (("a", {"app": "x", "n": "1"}), ("b", {"app": "y"}), ("c", {})):
        here.client.create(here.config(name, labels=labels))

    def chosen(**query: Any) -> list[str]:
        found = here.client.list(ConfigMap, **query)
        return [c.metadata.name for c in found]  # type: ignore[union-attr]

    assert chosen(labels={"app": "x"}) == ["a"]
    assert chosen(labels={"app": ["x", "y"]}) == ["a", "b"]
    assert chosen(labels={"n": None}) == ["a"]
    assert chosen(fields={"metadata.name": "b"}) == ["b"]


def test_json_and_merge_patches(here: Here) -> None:
    here.apply(role("engine"))
    change = [{"op": "replace", "path": "/spec/roles/0/replicas", "value": 5}]
    done = here.client.patch(RBG, "g", change, patch_type=PatchType.JSON)
    assert raw(done)["spec"]["roles"][0]["replicas"] == 5
    done = here.client.patch(
        RBG, "g", {"metadata": {"labels": {"l": "1"}}}, patch_type=PatchType.MERGE
    )
    assert done.metadata.labels == {"l": "1"}
    wrong = _refusal(lambda: here.client.patch(RBG, "g", {}, patch_type=PatchType.STRATEGIC))
    assert wrong.code == 415


# --- deletion ----------------------------------------------------------------------------


def _owned(here: Here, name: str, uid: str) -> Any:
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid}
    return here.config(name, ownerReferences=[owner])


def test_garbage_collection(here: Here) -> None:
    owner = here.client.create(here.config("owner"))
    child = here.client.create(_owned(here, "child", owner.metadata.uid))  # type: ignore[union-attr, arg-type]
    here.client.create(_owned(here, "grandchild", child.metadata.uid))
    here.client.delete(ConfigMap, "owner")
    until(lambda: not [c.metadata.name for c in here.client.list(ConfigMap)])  # type: ignore[union-attr]


def test_a_dead_owner_takes_the_object_with_it(here: Here) -> None:
    """Trap 13."""
    here.client.create(_owned(here, "late", "00000000-dead"))
    until(lambda: not list(here.client.list(ConfigMap)))


def test_orphans_stay(here: Here) -> None:
    owner = here.client.create(here.config("owner"))
    here.client.create(_owned(here, "child", owner.metadata.uid))  # type: ignore[union-attr, arg-type]
    here.client.delete(ConfigMap, "owner", cascade=CascadeType.ORPHAN)
    left = here.client.get(ConfigMap, "child")
    assert not left.metadata.ownerReferences  # type: ignore[union-attr]


def test_finalizers_and_collections(here: Here) -> None:
    here.client.create(here.config("kept", finalizers=["x/y"], labels={"a": "b"}))
    here.client.create(here.config("plain", labels={"a": "b"}))
    here.client.deletecollection(ConfigMap)
    left = list(here.client.list(ConfigMap))
    assert [c.metadata.name for c in left] == ["kept"]  # type: ignore[union-attr]
    assert left[0].metadata.deletionTimestamp  # type: ignore[union-attr]
    empty = {"metadata": {"finalizers": None}}
    here.client.patch(ConfigMap, "kept", empty, patch_type=PatchType.MERGE)
    assert not list(here.client.list(ConfigMap))


# --- watching, access, discovery ---------------------------------------------------------


def test_watch_from_a_version(here: Here) -> None:
    first = here.client.create(here.config("one"))
    here.client.create(here.config("two"))
    here.client.delete(ConfigMap, "one")
    seen = []
    version = first.metadata.resourceVersion  # type: ignore[union-attr]
    for word, obj in here.client.watch(ConfigMap, resource_version=version):
        seen.append((word, obj.metadata.name))  # type: ignore[union-attr]
        if word == "DELETED":
            break
    assert seen == [("ADDED", "two"), ("DELETED", "one")]


def test_access(here: Here) -> None:
    review = SelfSubjectAccessReview.from_dict({"spec": {"resourceAttributes": {
        "verb": "patch", "group": "workloads.x-k8s.io", "resource": "rolebasedgroups",
        "namespace": here.namespace}}})  # fmt: skip
    account = here.cluster.service_account_kubeconfig(here.namespace, "app")
    client = here.cluster.client_for(account, here.namespace)
    assert here.client.get(ServiceAccount, "app")
    assert client.create(review).status.allowed is True  # type: ignore[union-attr]
    who = f"system:serviceaccount:{here.namespace}:app"
    here.cluster.allow(lambda user, _: user != who)
    try:
        assert client.create(review).status.allowed is False  # type: ignore[union-attr]
        refused = _refusal(lambda: client.get(RBG, "g"))
        assert (refused.code, refused.reason) == (403, "Forbidden")
        assert refused.message == (
            f'rolebasedgroups.workloads.x-k8s.io "g" is forbidden: User "{who}" cannot get '
            'resource "rolebasedgroups" in API group "workloads.x-k8s.io" in the namespace '
            f'"{here.namespace}"'
        )
        here.apply(role("engine"))
    finally:
        here.cluster.allow(None)


def test_definitions_and_rbac_objects(here: Here) -> None:
    crd = here.client.get(CustomResourceDefinition, "rolebasedgroups.workloads.x-k8s.io")
    assert [v.name for v in crd.spec.versions if v.served] == ["v1alpha2", "v1alpha1"]
    rules = [{"apiGroups": ["apps"], "resources": ["statefulsets"], "verbs": ["get"]}]
    meta = {"name": "r", "namespace": here.namespace}
    for wanted in (rules, []):
        grant: Any = Role.from_dict({"metadata": meta, "rules": wanted})
        after = here.client.apply(grant, field_manager="rbg-k8s", force=True)
        assert len(after.rules or []) == len(wanted)
    here.client.delete(Role, "r")


def test_another_process_sees_it(here: Here) -> None:
    """A charm's hook is a process of its own."""
    here.apply(role("engine"))
    code = (
        "import lightkube, sys\n"
        "from lightkube.resources.apiextensions_v1 import CustomResourceDefinition as C\n"
        "k = lightkube.Client(lightkube.KubeConfig.from_file(sys.argv[1]), trust_env=False)\n"
        "print(k.get(C, 'rolebasedgroups.workloads.x-k8s.io').spec.group)\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code, str(here.cluster.kubeconfig())],
        capture_output=True, text=True, check=True, cwd=ROOT, env=dict(os.environ),
    )  # fmt: skip
    assert answer.stdout.strip() == "workloads.x-k8s.io"


def test_faults_by_kmock(here: Here) -> None:
    """Whatever kmock's language can say comes before the emulated rules."""
    path = f"/apis/workloads.x-k8s.io/v1alpha2/namespaces/{here.namespace}/rolebasedgroups/g"
    fault = {"kind": "Status", "code": 503, "message": "etcd is away", "status": "Failure"}
    payload = here.cluster.call(lambda: here.cluster.api[f"get {path}"] << 503 << fault)
    assert _refusal(lambda: here.client.get(RBG, "g")).message == "etcd is away"
    assert payload is not None
