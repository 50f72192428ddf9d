"""RoleBasedGroupSets: several groups of one template."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lightkube.resources.core_v1 import ConfigMap, Pod
from lightkube.types import PatchType
from standin_world import ADAPTER, NEW, RBG, RIS, SET, Obj, World, raw, role

from rig.standin import ALL_TRAPS

Start = Callable[..., World]
MODE = NEW + "discovery-config-mode"


def apply(here: World, replicas: int, *roles: Obj, **meta: Any) -> Obj:
    """Applies the set ``many``; ``meta`` is for the groups."""
    return raw(here.client.apply(SET.from_dict({
        "apiVersion": "workloads.x-k8s.io/v1alpha2", "kind": "RoleBasedGroupSet",
        "metadata": {"name": "many", "namespace": here.namespace},
        "spec": {"replicas": replicas, "groupTemplate": {**meta, "spec": {"roles": list(roles)}}},
    }), field_manager="test", force=True))  # fmt: skip


def ready(here: World, replicas: int) -> None:
    """Waits until the set says that so many groups are ready."""

    def check() -> bool:
        status = here.status(SET, "many")
        return (status["replicas"], status["readyReplicas"]) == (replicas, replicas)

    here.until(check, f"{replicas} groups ready")


def change(here: World, child: str, patch: Any, kind: PatchType = PatchType.MERGE) -> None:
    """Somebody else writes into a group of the set."""
    here.client.patch(RBG, child, patch, namespace=here.namespace, patch_type=kind)


def counts(here: World) -> dict[str, int]:
    """The count of the first role of every group."""
    return {n: rbg["spec"]["roles"][0]["replicas"] for n, rbg in here.all(RBG).items()}


def test_a_set_makes_groups(world: Start) -> None:
    here = world()
    labels = {"team": "a", NEW + "groupset-index": "9"}
    made = apply(here, 2, role("engine", 1), labels=labels)
    ready(here, 2)
    assert list(here.all(RBG)) == ["many-0", "many-1"]
    child = here.get(RBG, "many-1")
    assert child["metadata"]["labels"] == {
        NEW + "groupset-name": "many", NEW + "groupset-index": "1", "team": "a",
    }  # fmt: skip
    assert child["metadata"]["ownerReferences"] == [{
        "apiVersion": "workloads.x-k8s.io/v1alpha2", "kind": "RoleBasedGroupSet",
        "name": "many", "uid": made["metadata"]["uid"], "controller": True,
        "blockOwnerDeletion": True,
    }]  # fmt: skip
    assert list(here.images()) == ["many-0-engine-0", "many-1-engine-0"]
    here.until(lambda: len(here.status(SET, "many")["conditions"] or []) == 1)
    status = here.status(SET, "many")
    condition = status["conditions"][0]
    assert (condition["type"], condition["status"]) == ("Ready", "True")
    assert condition["reason"] == "AllReplicasReady"
    assert condition["message"] == "All RoleBasedGroup replicas are ready."
    assert "observedGeneration" not in status
    # A group that is not ready counts against the set.
    change(here, "many-0", {"metadata": {"labels": {"x": "y"}}})
    apply(here, 3, role("engine", 1, hold=True), labels=labels)
    here.until(lambda: "many-2-engine-0" in here.images())
    here.until(lambda: here.status(SET, "many")["replicas"] == 3)
    condition = here.until(
        lambda: next(
            (c for c in here.status(SET, "many")["conditions"] if c["status"] == "False"), None
        )
    )
    assert condition["reason"] == "ReplicasNotReady"
    assert condition["message"].startswith("Waiting for replicas to be ready (")


def test_scaling_a_set_takes_the_highest(world: Start) -> None:
    here = world()
    apply(here, 1, role("engine", 1))
    ready(here, 1)
    here.scale(SET, "many", 3)
    ready(here, 3)
    uid = here.get(RBG, "many-0")["metadata"]["uid"]
    here.scale(SET, "many", 1)
    here.until(lambda: list(here.all(RBG)) == ["many-0"])
    here.until(lambda: list(here.images()) == ["many-0-engine-0"])
    ready(here, 1)
    assert here.get(RBG, "many-0")["metadata"]["uid"] == uid
    here.client.delete(SET, "many", namespace=here.namespace)
    here.until(lambda: not here.all(RBG) and not here.all(Pod))


def test_a_new_template_reaches_every_group_at_once(world: Start) -> None:
    """Nobody waits for a group before the next is told."""
    here = world()
    apply(here, 2, role("engine", 1), labels={"old": "1"})
    ready(here, 2)
    apply(here, 2, role("engine", 1, image="e:2", hold=True), labels={"new": "1"})
    here.until(lambda: [r["metadata"]["generation"] for r in here.all(RBG).values()] == [2, 2])
    here.until(lambda: all("new" in r["metadata"]["labels"] for r in here.all(RBG).values()))
    for child in here.all(RBG).values():
        assert "old" not in child["metadata"]["labels"]
        owners = [
            (entry["manager"], entry["operation"])
            for entry in child["metadata"]["managedFields"]
            if "f:spec" in entry["fieldsV1"]
        ]
        assert owners == [("rolebasedgroupset", "Update")]
    here.until(lambda: set(here.images().values()) == {"2"})


def test_what_others_write_into_a_group_is_put_back(world: Start) -> None:
    here = world()
    apply(here, 2, role("engine", 1))
    ready(here, 2)
    there = "/spec/roles/0/replicas"
    change(here, "many-1", [{"op": "replace", "path": there, "value": 3}], PatchType.JSON)
    here.until(lambda: here.get(RBG, "many-1")["metadata"]["generation"] >= 3)
    here.until(lambda: counts(here) == {"many-0": 1, "many-1": 1})
    meta: Obj = {"labels": {"mine": "1"}, "annotations": {"mine": "1"}}
    change(here, "many-1", {"metadata": meta})

    def gone() -> bool:
        found = here.get(RBG, "many-1")["metadata"]
        return "mine" not in found["labels"] and "mine" not in found.get("annotations", {})

    here.until(gone)


def test_a_deleted_group_comes_back(world: Start) -> None:
    here = world()
    apply(here, 2, role("engine", 1))
    ready(here, 2)
    uid = here.get(RBG, "many-0")["metadata"]["uid"]
    here.client.delete(RBG, "many-0", namespace=here.namespace)
    here.until(lambda: (g := here.find(RBG, "many-0")) and g["metadata"]["uid"] != uid)
    ready(here, 2)


def test_role_templates_are_not_handed_on(world: Start) -> None:
    here = world()
    engine = role("engine", 1)["standalonePattern"]["template"]
    spec = {"name": "engine", "replicas": 1,
            "standalonePattern": {"templateRef": {"name": "base", "patch": {}}}}  # fmt: skip
    here.client.apply(SET.from_dict({
        "apiVersion": "workloads.x-k8s.io/v1alpha2", "kind": "RoleBasedGroupSet",
        "metadata": {"name": "many", "namespace": here.namespace},
        "spec": {"replicas": 1, "groupTemplate": {"spec": {
            "roles": [spec], "roleTemplates": [{"name": "base", "template": engine}]}}},
    }), field_manager="test", force=True)  # fmt: skip
    child = here.until(lambda: here.find(RBG, "many-0"))
    assert "roleTemplates" not in child["spec"]
    here.holds(lambda: not here.images(), during=0.5)


def _size(here: World) -> int:
    text = here.get(ConfigMap, "many-0")["data"]["config.yaml"]
    return text.count("address:")


def test_a_set_loses_the_discovery_mode(world: Start) -> None:
    """The group then counts as an old one, and its file is not written again."""
    here = world()
    apply(here, 1, role("engine", 1))
    ready(here, 1)
    assert MODE not in here.get(RBG, "many-0")["metadata"].get("annotations", {})
    apply(here, 1, role("engine", 3))
    here.until(lambda: here.get(RIS, "many-0-engine")["spec"]["replicas"] == 3)
    here.until(lambda: len(here.images()) == 3)
    assert _size(here) == 1


def test_the_mode_in_the_template_keeps_it(world: Start) -> None:
    here = world()
    kept = {MODE: "refine"}
    apply(here, 1, role("engine", 1), annotations=kept)
    ready(here, 1)
    assert here.get(RBG, "many-0")["metadata"]["annotations"] == kept
    apply(here, 1, role("engine", 3), annotations=kept)
    here.until(lambda: _size(here) == 3)


def test_set_discovery_off(world: Start) -> None:
    here = world(ALL_TRAPS - {"set-discovery"})
    apply(here, 1, role("engine", 1))
    ready(here, 1)
    apply(here, 1, role("engine", 3))
    here.until(lambda: _size(here) == 3)
    assert here.get(RBG, "many-0")["metadata"]["annotations"] == {MODE: "refine"}


def scaled_inside(here: World, **meta: Any) -> None:
    """A role of a set's group, scaled from 1 to 3; the set writes 1 again."""
    apply(here, 1, {**role("engine", 1), "scalingAdapter": {"enable": True}}, **meta)
    ready(here, 1)
    here.until(lambda: here.status(ADAPTER, "many-0-engine")["phase"] == "Bound")
    here.until(lambda: here.state("many-0").observed == 1)
    here.scale(ADAPTER, "many-0-engine", 3)
    here.until(lambda: here.get(RBG, "many-0")["metadata"]["generation"] >= 3)
    here.until(lambda: counts(here) == {"many-0": 1})
    here.until(lambda: here.status(ADAPTER, "many-0-engine")["replicas"] == 3)


def test_an_adapter_inside_a_set(world: Start) -> None:
    """Since 0.8 the pods follow the adapter, whatever the group says."""
    here = world()
    scaled_inside(here, annotations={MODE: "refine"})
    here.until(lambda: len(here.images()) == 3)
    here.holds(lambda: len(here.images()) == 3, during=0.5)


def test_an_adapter_inside_a_set_that_loses_the_mode(world: Start) -> None:
    """Here it depends on who is first; the stand-in always lets the set win."""
    here = world(ALL_TRAPS)
    scaled_inside(here)
    here.until(lambda: len(here.images()) == 1)
    here.holds(lambda: len(here.images()) == 1, during=0.5)
