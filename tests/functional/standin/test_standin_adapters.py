"""Scaling adapters: made, bound, obeyed, taken away."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from lightkube.resources.core_v1 import Pod
from lightkube.types import PatchType
from standin_world import (
    ADAPTER,
    NEW,
    RIS,
    STS,
    Obj,
    World,
    recorded,
    role,
    sha1,
)

Start = Callable[..., World]


def scalable(name: str, replicas: int = 2, **more: Any) -> Obj:
    """A role with an adapter."""
    return {**role(name, replicas, **more), "scalingAdapter": {"enable": True}}


def selector(world: World, group: str, name: str) -> str:
    """What the pods of a role are found by."""
    return (
        f"{NEW}group-name={group},{NEW}group-uid={sha1(f'{world.namespace}/{group}')},"
        f"{NEW}role-name={name}"
    )


def bound(world: World, name: str) -> Obj:
    """Waits for an adapter that is bound and returns it."""
    world.until(lambda: world.status(ADAPTER, name)["phase"] == "Bound", f"{name} bound")
    return world.get(ADAPTER, name)


def renewed(world: World, name: str, uid: str) -> Obj:
    """Deletes an adapter and waits for the next one to be bound."""
    world.client.delete(ADAPTER, name, namespace=world.namespace)
    world.until(lambda: (a := world.find(ADAPTER, name)) and a["metadata"]["uid"] != uid)
    return bound(world, name)


def healed(world: World, name: str) -> Obj:
    """A bound adapter with a selector, whether trap 4 struck or not."""
    adapter = bound(world, name)
    if not missing(adapter):
        return adapter
    world.until(lambda: world.status(RIS, name)["labelSelector"], f"{name} selects")
    return renewed(world, name, adapter["metadata"]["uid"])


def missing(adapter: Obj) -> bool:
    """Whether the selector was read too early: empty but for what leaders get in any case."""
    found = adapter["status"].get("selector") or ""
    return not found or found.startswith(",")


def counts(world: World, group: str) -> dict[str, int]:
    """The counts that a group asks for."""
    return {spec["name"]: spec["replicas"] for spec in world.group(group)["spec"]["roles"]}


def test_an_adapter_is_made_and_bound(world: Start) -> None:
    here = world()
    multi = scalable("multi", 1, size=2)
    multi["scalingAdapter"]["labels"] = {"team": "a", NEW + "role-name": "never"}
    here.apply("g", scalable("engine"), multi, role("router", 1))
    group = here.ready("g") and here.group("g")
    healed(here, "g-multi")
    healed(here, "g-engine")
    here.until(lambda: here.status(ADAPTER, "g-engine")["readyReplicas"] == 2)
    adapter = here.get(ADAPTER, "g-engine")
    assert sorted(here.all(ADAPTER)) == ["g-engine", "g-multi"]
    labels = {NEW + "group-name": "g", NEW + "role-name": "engine"}
    assert adapter["metadata"]["labels"] == labels
    assert adapter["metadata"]["ownerReferences"] == [{
        "apiVersion": "workloads.x-k8s.io/v1alpha2", "kind": "RoleBasedGroup", "name": "g",
        "uid": group["metadata"]["uid"], "blockOwnerDeletion": True,
    }]  # fmt: skip
    assert adapter["spec"] == {"replicas": 2, "scaleTargetRef": {"name": "g", "role": "engine"}}
    assert adapter["status"] == {
        "phase": "Bound", "replicas": 2, "readyReplicas": 2,
        "selector": selector(here, "g", "engine"),
    }  # fmt: skip
    multi = here.get(ADAPTER, "g-multi")
    leaders = selector(here, "g", "multi") + f",{NEW}component-index=0"
    assert multi["status"]["selector"] == leaders
    # Our own labels are not to be overridden.
    labels = {NEW + "group-name": "g", NEW + "role-name": "multi", "team": "a"}
    assert multi["metadata"]["labels"] == labels
    text = "Succeed to find scale target role [engine] of rbg [g]"
    here.until(lambda: here.events("g-engine").get("SuccessfulBound") == text)


def test_an_adapter_as_recorded(world: Start) -> None:
    here = world()
    here.apply("sa", scalable("ris"), scalable("lwp", size=2), scalable("sts", kind=STS))
    theirs = {one["metadata"]["name"]: one for one in recorded(
        "traps/scaled-by-adapter/rolebasedgroupscalingadapters.yaml") or []}  # fmt: skip
    bound(here, "sa-sts")
    for name in ("sa-ris", "sa-lwp", "sa-sts"):
        if name != "sa-sts":
            healed(here, name)
        here.until(lambda name=name: here.status(ADAPTER, name)["readyReplicas"] == 2)
    here.scale(ADAPTER, "sa-ris", 4)
    here.until(lambda: here.status(ADAPTER, "sa-ris")["readyReplicas"] == 4)
    for name, adapter in here.all(ADAPTER).items() if theirs else ():
        group = theirs[name]
        assert adapter["metadata"]["labels"] == group["metadata"]["labels"]
        assert adapter["spec"] == group["spec"]
        mine, known = adapter["status"], group["status"]
        for key in ("selector", "lastScaleTime"):
            assert bool(mine.pop(key, None)) == bool(known.pop(key, None))
        assert mine == known


def test_scaling_writes_the_group(world: Start) -> None:
    here = world()
    here.apply("g", scalable("engine"), role("router", 1))
    here.ready("g")
    bound(here, "g-engine")
    here.scale(ADAPTER, "g-engine", 4)
    here.until(lambda: counts(here, "g") == {"engine": 4, "router": 1})
    here.until(lambda: list(here.images("g-engine")) == [f"g-engine-{i}" for i in range(4)])
    here.until(lambda: here.status(ADAPTER, "g-engine")["readyReplicas"] == 4)
    status = here.status(ADAPTER, "g-engine")
    assert (status["replicas"], bool(status["lastScaleTime"])) == (4, True)
    text = "Succeed to scale target role [engine] of rbg [g] from 2 to 4 replicas"
    here.until(lambda: here.events("g-engine").get("SuccessfulScale") == text)
    # Trap 4: the count is the adapter's now, and no more the charm's.
    owners = {
        entry["manager"]: entry
        for entry in here.group("g")["metadata"]["managedFields"]
        if not entry.get("subresource")
    }
    ours = json.dumps(owners["test"]["fieldsV1"]["f:spec"]["f:roles"]['k:{"name":"engine"}'])
    adapters = owners["rolebasedgroupscalingadapter"]
    assert adapters["operation"] == "Update"
    assert "f:replicas" not in ours
    assert "f:replicas" in json.dumps(
        adapters["fieldsV1"]["f:spec"]["f:roles"]['k:{"name":"engine"}']
    )
    # An apply without a count leaves it.
    spec = scalable("engine", image="e:2")
    del spec["replicas"]
    here.apply("g", spec, role("router", 1))
    here.until(lambda: set(here.images("g-engine").values()) == {"2"})
    assert counts(here, "g") == {"engine": 4, "router": 1}


def test_scaling_to_zero_and_back(world: Start) -> None:
    here = world()
    here.apply("g", scalable("engine"))
    here.ready("g")
    bound(here, "g-engine")
    here.scale(ADAPTER, "g-engine", 0)
    here.until(lambda: not here.images())
    assert counts(here, "g") == {"engine": 0}
    here.scale(ADAPTER, "g-engine", 1)
    here.until(lambda: list(here.images()) == ["g-engine-0"])


def test_an_adapter_goes_with_its_switch_or_role(world: Start) -> None:
    here = world()
    here.apply("g", scalable("engine"), scalable("old", 1), role("router", 1))
    here.ready("g")
    bound(here, "g-old")
    bound(here, "g-engine")
    here.scale(ADAPTER, "g-engine", 3)
    here.until(lambda: counts(here, "g")["engine"] == 3)
    here.apply("g", role("engine", 3), role("router", 1))
    here.until(lambda: here.all(ADAPTER) == {})
    assert counts(here, "g") == {"engine": 3, "router": 1}


def test_an_adapter_deleted_comes_back(world: Start) -> None:
    """With the count the role has then."""
    here = world()
    here.apply("g", scalable("engine"))
    here.ready("g")
    uid = bound(here, "g-engine")["metadata"]["uid"]
    here.scale(ADAPTER, "g-engine", 3)
    here.until(lambda: counts(here, "g") == {"engine": 3})
    adapter = renewed(here, "g-engine", uid)
    assert adapter["spec"]["replicas"] == 3
    assert adapter["status"]["selector"] == selector(here, "g", "engine")
    assert counts(here, "g") == {"engine": 3}


def test_labels_of_others_are_removed(world: Start) -> None:
    here = world()
    here.apply("g", scalable("engine", 1))
    here.ready("g")
    bound(here, "g-engine")
    patch = {"metadata": {"labels": {"mine": "1"}}}
    here.client.patch(
        ADAPTER, "g-engine", patch, namespace=here.namespace, patch_type=PatchType.MERGE
    )
    assert here.get(ADAPTER, "g-engine")["metadata"]["labels"]["mine"] == "1"
    spec = scalable("engine", 1)
    spec["annotations"] = {"poke": "1"}
    here.apply("g", spec)
    here.until(lambda: "mine" not in here.get(ADAPTER, "g-engine")["metadata"]["labels"])


def test_an_adapter_of_nobody_is_left_alone(world: Start) -> None:
    here = world()
    here.apply("g", role("engine", 1))
    here.ready("g")
    here.client.create(ADAPTER.from_dict({
        "metadata": {"name": "own", "namespace": here.namespace},
        "spec": {"replicas": 3, "scaleTargetRef": {"name": "g", "role": "engine"}},
    }))  # fmt: skip
    here.holds(lambda: counts(here, "g") == {"engine": 1}, during=0.5)
    assert "status" not in here.get(ADAPTER, "own")


def test_the_adapter_wins_over_the_group(world: Start) -> None:
    """Since 0.8 not a pod is lost (the genuine one also refuses it, when it has webhooks)."""
    here = world()
    here.apply("g", scalable("engine"))
    here.ready("g")
    bound(here, "g-engine")
    here.scale(ADAPTER, "g-engine", 3)
    here.until(lambda: here.state("g").roles == {"engine": (3, 3, 3)})
    uids = {name: pod["metadata"]["uid"] for name, pod in here.all(Pod).items()}
    here.apply("g", scalable("engine"))
    text = (
        'Role "engine" replicas reset to RBGSA "g-engine" (desired=3, observed=2); external '
        "mutator (e.g. helm upgrade) likely dropped spec.roles[].replicas"
    )
    here.until(lambda: here.events("g").get("ReplicasOverriddenByAdapter") == text)
    here.until(lambda: here.state("g").observed == here.state("g").generation)
    assert {name: pod["metadata"]["uid"] for name, pod in here.all(Pod).items()} == uids
