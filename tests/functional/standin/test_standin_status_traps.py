"""The traps of the group's status (A4, 7, 8), and the same with each switched off."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from lightkube.resources.core_v1 import Pod
from standin_world import RI, RIS, State, World, recorded, role

from rig.standin import ALL_TRAPS

Start = Callable[..., World]


def test_a4_ready_before_and_during_a_rollout(world: Start) -> None:
    here = world()
    here.apply("g", role("engine", 3))
    here.ready("g")
    since = here.apply("g", role("engine", 3, image="e:2"))
    here.ready("g")
    seen = [s for s in here.history("g", since) if s.observed == 2]
    assert seen == [
        State(2, 2, "True", {"engine": (3, 3, 3)}),  # observed, ready, and nothing has moved
        State(2, 2, "False", {"engine": (3, 2, 1)}),
        State(2, 2, "True", {"engine": (3, 3, 2)}),  # ready in the middle
        State(2, 2, "False", {"engine": (3, 2, 2)}),
        State(2, 2, "True", {"engine": (3, 3, 3)}),
        State(2, 2, "False", {"engine": (3, 2, 3)}),
        State(2, 2, "True", {"engine": (3, 3, 3)}),
    ]
    if found := recorded("traps/rollout-in-progress/inplace.rbg.yaml"):
        assert State.of(found).roles["engine"] == seen[2].roles["engine"]
        assert State.of(found).ready == seen[2].ready


def test_a4_not_on_a_change_of_replicas(world: Start) -> None:
    here = world()
    here.apply("g", role("engine"))
    here.ready("g")
    since = here.apply("g", role("engine", 3))
    here.ready("g")
    first = next(s for s in here.history("g", since) if s.observed == 2)
    assert (first.ready, first.roles) == ("False", {"engine": (2, 2, 2)})


def test_a4_off(world: Start) -> None:
    here = world(frozenset())
    here.apply("g", role("engine"))
    here.ready("g")
    since = here.apply("g", role("engine", image="e:2"))
    here.ready("g")
    early = [s for s in here.history("g", since)[:-1] if s.observed == 2 and s.ready == "True"]
    assert early == []


def test_7_paused_is_ready_with_stale_counts(world: Start) -> None:
    here = world()
    here.apply("g", role("engine", 3))
    here.ready("g")
    here.apply("g", role("engine", 3, image="e:2", rolling={"paused": True}))
    here.until(lambda: here.status(RIS, "g-engine")["observedGeneration"] == 2)
    found = recorded("traps/paused/roleinstancesets.yaml")
    wanted = {"replicas": 3, "readyReplicas": 3, "updatedReplicas": 0, "updatedReadyReplicas": 0,
              "expectedUpdatedReplicas": 3, "currentReplicas": 3}  # fmt: skip
    if found:
        assert {k: found[0]["status"][k] for k in wanted} == wanted

    def stale() -> bool:
        status = here.status(RIS, "g-engine")
        return here.state("g") == State(2, 2, "True", {"engine": (3, 3, 3)}) and wanted == {
            key: status[key] for key in wanted
        }

    here.until(lambda: here.state("g").observed == 2)
    here.holds(stale)
    # Scaling still works, and only the new one has the new image.
    here.apply("g", role("engine", 4, image="e:2", rolling={"paused": True}))
    here.until(lambda: here.images().get("g-engine-3") == "2")
    assert here.images()["g-engine-0"] == "1"
    here.apply("g", role("engine", 4, image="e:2"))
    here.ready("g")
    assert set(here.images().values()) == {"2"}


def test_7_off(world: Start) -> None:
    here = world(ALL_TRAPS - {"7"})
    here.apply("g", role("engine", 3))
    here.ready("g")
    here.apply("g", role("engine", 3, image="e:2", rolling={"paused": True}))
    here.until(lambda: here.state("g").roles["engine"] == (3, 3, 0))


@pytest.mark.parametrize(("partition", "kept"), [(1, 1), ("50%", 1)])
def test_7_partition(world: Start, partition: int | str, kept: int) -> None:
    here = world()
    here.apply("g", role("engine", 3))
    here.ready("g")
    here.apply("g", role("engine", 3, image="e:2", rolling={"partition": partition}))
    images = {f"g-engine-{i}": "1" if i < kept else "2" for i in range(3)}
    here.until(lambda: here.images() == images)
    here.until(lambda: here.state("g").ready == "True")

    def counts() -> tuple[int, ...]:
        status = here.status(RIS, "g-engine")
        keys = ("replicas", "readyReplicas", "updatedReplicas", "updatedReadyReplicas",
                "expectedUpdatedReplicas", "currentReplicas")  # fmt: skip
        return tuple(status[key] for key in keys)

    new = 3 - kept
    here.until(lambda: counts() == (3, 3, new, new, new, kept))
    here.until(lambda: here.state("g").roles == {"engine": (3, 3, new)})
    if kept == 1 and (found := recorded("traps/partition/roleinstancesets.yaml")):
        assert found[0]["status"]["updatedReplicas"] == new
    # A pod below the partition comes back with the old image, and so does its whole instance,
    # whose template is kept in a revision.
    for kind in (Pod, RI):
        uid = here.get(Pod, "g-engine-0")["metadata"]["uid"]
        here.client.delete(kind, "g-engine-0", namespace=here.namespace)
        here.until(
            lambda old=uid: (p := here.find(Pod, "g-engine-0")) and p["metadata"]["uid"] != old
        )
    assert here.images() == images
    here.apply("g", role("engine", 3, image="e:2"))
    here.ready("g")
    assert set(here.images().values()) == {"2"}


def test_8_a_removed_role_stays_in_the_status(world: Start) -> None:
    here = world()
    here.apply("rm", role("engine"), role("decode"), role("router", 1))
    here.ready("rm")
    here.apply("rm", role("engine"), role("router", 1))
    here.until(lambda: here.find(RIS, "rm-decode") is None)
    here.until(lambda: not here.images("rm-decode"))
    state = here.ready("rm")
    assert list(state.roles) == ["engine", "decode", "router"]
    assert state.roles["decode"] == (2, 2, 2)
    here.apply("rm", role("engine", 3), role("router", 1))
    assert here.ready("rm").roles["decode"] == (2, 2, 2)
    if found := recorded("traps/removed-role/rbg.yaml"):
        assert [e["name"] for e in found["status"]["roleStatuses"]][1] == "decode"
        assert "decode" not in [r["name"] for r in found["spec"]["roles"]]


def test_8_off(world: Start) -> None:
    here = world(ALL_TRAPS - {"8"})
    here.apply("rm", role("engine"), role("decode"))
    here.ready("rm")
    here.apply("rm", role("engine"))
    here.until(lambda: list(here.state("rm").roles) == ["engine"])
