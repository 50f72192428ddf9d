"""The ControllerRevisions of a group."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lightkube.resources.apps_v1 import ControllerRevision
from standin_world import NEW, STS, Obj, World, role

Start = Callable[..., World]


def history(here: World, group: str = "g") -> list[Obj]:
    """The revisions that the group itself owns, oldest first."""
    uid = here.group(group)["metadata"]["uid"]
    found = [
        rev for rev in here.all(ControllerRevision).values()
        if rev["metadata"]["ownerReferences"][0]["uid"] == uid
    ]  # fmt: skip
    return sorted(found, key=lambda rev: rev["revision"])


def numbers(here: World) -> list[int]:
    """Their numbers."""
    return [rev["revision"] for rev in history(here)]


def rolled(here: World, image: str, number: int, **more: Any) -> None:
    """Another image, and its revision."""
    here.apply("g", role("engine", 1, image=f"e:{image}", **more))
    here.until(lambda: numbers(here)[-1:] == [number])
    here.until(lambda: here.images() == {"g-engine-0": image})
    here.ready("g")


def test_a_revision_of_every_spec(world: Start) -> None:
    here = world()
    here.apply("g", role("engine", 1), role("web", 1, kind=STS))
    here.until(lambda: here.state("g").ready == "True")
    here.until(lambda: numbers(here) == [1])
    (first,) = history(here)
    meta = first["metadata"]
    text = meta["labels"][NEW + "group-revision"]
    assert meta["name"] == f"g-{text}-1"
    assert meta["labels"] == {NEW + "group-name": "g", NEW + "group-revision": text}
    assert meta["ownerReferences"] == [{
        "apiVersion": "workloads.x-k8s.io/v1alpha2", "kind": "RoleBasedGroup", "name": "g",
        "uid": here.group("g")["metadata"]["uid"], "controller": True,
        "blockOwnerDeletion": True,
    }]  # fmt: skip
    spec = first["data"]["spec"]
    assert spec["roleTemplates"] == [{"$patch": "replace"}]
    marker, engine, web = spec["roles"]
    assert marker == {"$patch": "replace"}
    assert (engine["name"], engine["replicas"]) == ("engine", None)
    assert engine["standalonePattern"]["template"]["spec"]["containers"][0]["image"] == (
        "example.test/engine:1"
    )
    assert "minReadySeconds" not in engine
    assert web["annotations"] == {NEW + "role-workload-type": STS}
    here.until(lambda: "SucceedCreateRevision" in here.events("g"))


def test_counts_make_no_revision_and_annotations_do(world: Start) -> None:
    here = world()
    rolled(here, "1", 1)
    here.apply("g", role("engine", 2, image="e:1"))
    here.ready("g")
    assert numbers(here) == [1]
    spec = role("engine", 2, image="e:1")
    spec["annotations"] = {"poke": "1"}
    here.apply("g", spec)
    here.until(lambda: numbers(here) == [1, 2])


def test_an_old_spec_gets_a_new_number(world: Start) -> None:
    """The older revision of the same content stays as it is."""
    here = world()
    rolled(here, "1", 1)
    rolled(here, "2", 2)
    rolled(here, "1", 3)
    first, second, third = history(here)
    assert first["data"] == third["data"] != second["data"]
    labels = [rev["metadata"]["labels"][NEW + "group-revision"] for rev in (first, third)]
    assert labels[0] == labels[1]
    names = [rev["metadata"]["name"] for rev in (first, third)]
    assert names == [f"g-{labels[0]}-1", f"g-{labels[0]}-3"]


def test_five_are_kept(world: Start) -> None:
    here = world()
    for number in range(1, 8):
        rolled(here, str(number), number)
    here.until(lambda: numbers(here) == [3, 4, 5, 6, 7])


def test_a_group_that_waits_keeps_more(world: Start) -> None:
    here = world()
    here.apply("g", role("engine", 1, hold=True), role("router", 1, after=("engine",)))
    for number in range(2, 9):
        here.apply("g", role("engine", 1, image=f"e:{number}", hold=True),
                   role("router", 1, after=("engine",)))  # fmt: skip
        here.until(lambda number=number: numbers(here)[-1:] == [number])
    assert len(numbers(here)) == 8


def test_revisions_of_children_have_the_same_label(world: Start) -> None:
    """Whoever lists by the label has to look at the owner."""
    here = world()
    here.apply("g", role("engine", 1))
    here.ready("g")
    kinds = {
        rev["metadata"]["ownerReferences"][0]["kind"]
        for rev in here.all(ControllerRevision).values()
        if rev["metadata"]["labels"].get(NEW + "group-name") == "g"
    }
    assert {"RoleBasedGroup", "RoleInstanceSet"} <= kinds
