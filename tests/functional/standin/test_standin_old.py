"""RBG up to 0.6: v1alpha1 only, StatefulSets by default, the old labels."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from lightkube.resources.apps_v1 import ControllerRevision, StatefulSet
from lightkube.resources.core_v1 import ConfigMap, Service
from lightkube.types import PatchType
from standin_world import (
    ADAPTER_OLD,
    OBSERVED,
    RBG_OLD,
    SET_OLD,
    Obj,
    Pod,
    World,
    recorded,
    sha1,
    template,
)

Start = Callable[..., World]
OLD = "rolebasedgroup.workloads.x-k8s.io/"
pytestmark = pytest.mark.embedded_only


def _role(name: str, replicas: int, image: str = "example.test/engine:1", **more: object) -> Obj:
    return {"name": name, "replicas": replicas, "template": template(name, image), **more}


def _up(here: World) -> None:
    here.apply("alpha1", _role("engine", 2), _role("router", 1, dependencies=["engine"]))
    here.until(lambda: here.state("alpha1").ready == "True")


def test_0_3(old_world: Start) -> None:
    here = old_world("v0.3")
    since = here.apply("alpha1", _role("engine", 2), _role("router", 1, dependencies=["engine"]))
    here.until(lambda: here.state("alpha1").ready == "True")
    status = here.group("alpha1")["status"]
    assert status["roleStatuses"] == [
        {"name": "engine", "replicas": 2, "readyReplicas": 2},
        {"name": "router", "replicas": 1, "readyReplicas": 1},
    ]
    assert "observedGeneration" not in status
    assert "observedGeneration" not in status["conditions"][0]
    # No status before the dependencies are met.
    states = [s for s in here.history("alpha1", since) if s.roles]
    assert all(s.roles["engine"] == (2, 2, -1) for s in states)
    sts = here.get(StatefulSet, "alpha1-engine")
    labels = {OLD + "name": "alpha1", OLD + "role": "engine"}
    assert sts["spec"]["selector"]["matchLabels"] == labels
    assert sts["spec"]["serviceName"] == "alpha1-engine"
    env = sts["spec"]["template"]["spec"]["containers"][0]["env"]
    assert [entry["name"] for entry in env] == ["GROUP_NAME", "ROLE_INDEX", "ROLE_NAME"]
    assert sorted(here.all(ConfigMap)) == ["alpha1-engine", "alpha1-router"]
    assert sorted(here.all(Service)) == ["alpha1-engine", "alpha1-router"]
    assert list(here.images()) == ["alpha1-engine-0", "alpha1-engine-1", "alpha1-router-0"]


@pytest.mark.skipif(not OBSERVED.exists(), reason="no recordings here")
def test_0_3_as_recorded(old_world: Start) -> None:
    here = old_world("v0.3")
    _up(here)
    theirs = recorded("v0.3.0-v1alpha1/ready.objects.yaml")
    sts = next(s for s in theirs["statefulsets"] if s["metadata"]["name"] == "alpha1-engine")
    mine = here.get(StatefulSet, "alpha1-engine")
    for field in ("labels", "annotations"):
        assert mine["metadata"][field] == sts["metadata"][field]
    for field in ("selector", "serviceName", "podManagementPolicy", "replicas", "updateStrategy"):
        assert mine["spec"][field] == sts["spec"][field]
    config = next(c for c in theirs["configmaps"] if c["metadata"]["name"] == "alpha1-engine")
    assert "engine-0.alpha1-engine" in config["data"]["config.yaml"]
    assert "engine-0.alpha1-engine" in here.get(ConfigMap, "alpha1-engine")["data"]["config.yaml"]
    status = recorded("v0.3.0-v1alpha1/ready.rbg.yaml")["status"]
    assert here.group("alpha1")["status"].keys() == status.keys()
    assert here.group("alpha1")["status"]["conditions"][0].keys() == status["conditions"][0].keys()


def test_0_6(old_world: Start) -> None:
    here = old_world("v0.6")
    _up(here)
    labels = here.get(Pod, "alpha1-engine-0")["metadata"]["labels"]
    assert labels[OLD + "name"] == "alpha1"
    assert labels[OLD + "role"] == "engine"
    assert labels[OLD + "group-unique-key"] == sha1(f"{here.namespace}/alpha1")
    assert sorted(here.all(Service)) == ["s-alpha1-engine", "s-alpha1-router"]
    assert here.state("alpha1").roles == {"engine": (2, 2, 2), "router": (1, 1, 1)}
    assert here.state("alpha1").observed == 1


def test_an_update_of_a_stateful_role(old_world: Start) -> None:
    here = old_world("v0.6")
    _up(here)
    here.apply("alpha1", _role("engine", 2, "e:2"), _role("router", 1, dependencies=["engine"]))
    here.until(lambda: set(here.images("alpha1-engine").values()) == {"2"})
    here.until(lambda: here.state("alpha1").ready == "True")


def test_an_adapter_of_0_6(old_world: Start) -> None:
    here = old_world("v0.6")
    here.apply("g", _role("engine", 1, scalingAdapter={"enable": True}))
    here.until(lambda: here.status(ADAPTER_OLD, "g-engine")["phase"] == "Bound")
    adapter = here.get(ADAPTER_OLD, "g-engine")
    assert adapter["metadata"]["labels"] == {OLD + "name": "g", OLD + "role": "engine"}
    assert adapter["spec"] == {"replicas": 1, "scaleTargetRef": {"name": "g", "role": "engine"}}
    assert adapter["status"] == {"phase": "Bound", "replicas": 1, "selector": ""}
    here.scale(ADAPTER_OLD, "g-engine", 3)
    here.until(lambda: here.state("g").roles == {"engine": (3, 3, 3)})
    owners = {
        entry["manager"]
        for entry in here.group("g")["metadata"]["managedFields"]
        if entry["operation"] == "Update" and "f:spec" in entry["fieldsV1"]
    }
    assert owners == {"manager"}
    here.apply("g", _role("engine", 3))
    here.until(lambda: here.all(ADAPTER_OLD) == {})


def test_a_set_of_0_6(old_world: Start) -> None:
    here = old_world("v0.6")
    prefix = "rolebasedgroupset.workloads.x-k8s.io/"
    topology = {OLD + "exclusive-topology": "rack"}

    def apply(image: str, annotations: dict[str, str]) -> None:
        here.client.apply(SET_OLD.from_dict({
            "apiVersion": "workloads.x-k8s.io/v1alpha1", "kind": "RoleBasedGroupSet",
            "metadata": {"name": "many", "namespace": here.namespace,
                         "annotations": annotations},
            "spec": {"replicas": 2, "template": {"roles": [_role("engine", 1, image)]}},
        }), field_manager="test", force=True)  # fmt: skip

    apply("e:1", topology)
    here.until(lambda: here.status(SET_OLD, "many")["readyReplicas"] == 2)
    child = here.get(RBG_OLD, "many-1")["metadata"]
    assert child["labels"] == {prefix + "name": "many", prefix + "rbg-index": "1"}
    assert child["annotations"] == topology
    apply("e:2", {})
    here.until(lambda: set(here.images().values()) == {"2"})
    # The set's note goes as it came; what others noted stays.
    assert not here.get(RBG_OLD, "many-1")["metadata"].get("annotations")
    meta = {"metadata": {"labels": {"mine": "1"}}}
    here.client.patch(RBG_OLD, "many-1", meta, namespace=here.namespace,
                      patch_type=PatchType.MERGE)  # fmt: skip
    here.scale(SET_OLD, "many", 3)
    here.until(lambda: here.status(SET_OLD, "many")["readyReplicas"] == 3)
    assert here.get(RBG_OLD, "many-1")["metadata"]["labels"]["mine"] == "1"


def test_history_of_0_6(old_world: Start) -> None:
    here = old_world("v0.6")
    _up(here)
    uid = here.group("alpha1")["metadata"]["uid"]
    (only,) = [
        rev for rev in here.all(ControllerRevision).values()
        if rev["metadata"]["ownerReferences"][0]["uid"] == uid
    ]  # fmt: skip
    text = only["metadata"]["labels"][OLD + "controller-revision-hash"]
    assert only["metadata"]["labels"] == {
        OLD + "name": "alpha1", OLD + "controller-revision-hash": text,
    }  # fmt: skip
    assert only["metadata"]["name"] == f"alpha1-{text}-1"
    assert only["data"]["spec"]["roleTemplates"] == [{"$patch": "replace"}]
    assert [entry.get("replicas") for entry in only["data"]["spec"]["roles"][1:]] == [None, None]
