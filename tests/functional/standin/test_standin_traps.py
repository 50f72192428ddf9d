"""The traps of the genuine controller, and the same situations with each trap switched off."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from lightkube.resources.apps_v1 import StatefulSet
from lightkube.resources.core_v1 import Pod
from standin_world import NEW, RI, RIS, STS, State, World, recorded, role

from rig.standin import ALL_TRAPS, StandIn

Start = Callable[..., World]


def _broken(world: World, replicas: int = 2, **fix: Any) -> None:
    """A role that never came up, and then a template that would."""
    world.apply("g", role("engine", replicas, hold=True, kind=fix.get("kind", "")))
    world.until(lambda: world.state("g").roles == {"engine": (replicas, 0, replicas)})
    world.apply("g", role("engine", replicas, image="e:2", **fix))
    world.until(lambda: world.state("g").observed == 2)


def _stuck(world: World) -> bool:
    status = world.status(RIS, "g-engine")
    return (
        world.state("g") == State(2, 2, "False", {"engine": (2, 0, 2)})
        and status["updatedReplicas"] == 0
        and status["updateRevision"] != status["currentRevision"]
        and world.images() == {"g-engine-0": "1", "g-engine-1": "1"}
    )


def test_a1_a_broken_role_ignores_its_fixed_template(world: Start) -> None:
    here = world()
    _broken(here)
    here.until(lambda: here.status(RIS, "g-engine")["observedGeneration"] == 2)
    here.holds(lambda: _stuck(here))
    # Even a pod deleted comes back with the old template.
    before = here.get(Pod, "g-engine-0")["metadata"]["uid"]
    here.client.delete(Pod, "g-engine-0", namespace=here.namespace)
    here.until(lambda: (p := here.find(Pod, "g-engine-0")) and p["metadata"]["uid"] != before)
    assert here.images()["g-engine-0"] == "1"


def test_a1_as_recorded(world: Start) -> None:
    """Three replicas, one broken by a second template, and a third that nobody gets."""
    here = world()
    here.apply("part", role("engine", 3), role("router", 1))
    here.ready("part")
    rolling = {"type": "RecreatePod"}
    here.apply("part", role("engine", 3, image="e:6", hold=True, rolling=rolling),
               role("router", 1))  # fmt: skip
    here.until(lambda: here.images("part-engine-2") == {"part-engine-2": "6"})
    here.apply("part", role("engine", 3, image="e:7"), role("router", 1))
    here.until(lambda: here.state("part").observed == 3)
    here.until(lambda: here.status(RIS, "part-engine")["updatedReplicas"] == 0)
    states = recorded("traps/rollout-stuck-after-fix/roleinstancesets.yaml")
    wanted = states[0]["status"] if states else {
        "replicas": 3, "readyReplicas": 2, "availableReplicas": 2, "updatedReplicas": 0,
        "updatedReadyReplicas": 0, "currentReplicas": 2, "expectedUpdatedReplicas": 3,
    }  # fmt: skip

    def same() -> bool:
        status = here.status(RIS, "part-engine")
        keys = [key for key in wanted if key.endswith("eplicas")]
        return {k: status[k] for k in keys} == {k: wanted[k] for k in keys}

    here.holds(same)
    group = here.state("part")
    assert group.ready == "False"
    assert group.roles == {"engine": (3, 2, 1), "router": (1, 1, 1)}


def _delete_instances(world: World) -> None:
    for name in ("g-engine-0", "g-engine-1"):
        world.client.delete(RI, name, namespace=world.namespace)


def _to_zero_and_back(world: World) -> None:
    world.apply("g", role("engine", 0, image="e:2"))
    world.until(lambda: not world.all(Pod))
    world.apply("g", role("engine", 2, image="e:2"))


def _more_unavailable(world: World) -> None:
    world.apply("g", role("engine", 2, image="e:2", rolling={"maxUnavailable": 3}))


@pytest.mark.parametrize("remedy", [_delete_instances, _to_zero_and_back, _more_unavailable])
def test_a1_remedies(world: Start, remedy: Callable[[World], None]) -> None:
    here = world()
    _broken(here)
    here.until(lambda: _stuck(here))
    remedy(here)
    here.ready("g")
    assert here.images() == {"g-engine-0": "2", "g-engine-1": "2"}


@pytest.mark.parametrize("unavailable", [2, "100%"])
def test_a1_not_enough(world: Start, unavailable: int | str) -> None:
    here = world()
    _broken(here, rolling={"maxUnavailable": unavailable})
    here.until(lambda: here.status(RIS, "g-engine")["observedGeneration"] == 2)
    here.holds(lambda: _stuck(here))


def test_a1_off(world: Start) -> None:
    here = world(ALL_TRAPS - {"A1"})
    _broken(here)
    here.ready("g")
    assert here.images() == {"g-engine-0": "2", "g-engine-1": "2"}


def test_a1_spares_stateful_sets(world: Start) -> None:
    here = world()
    _broken(here, kind=STS)
    here.until(lambda: here.state("g").ready == "True")


def test_instance_set_to_stateful_set_replaces_the_pods(world: Start) -> None:
    here = world()
    _broken(here)
    here.apply("g", role("engine", image="e:2", kind=STS))
    here.until(lambda: here.state("g").ready == "True")
    assert here.find(RIS, "g-engine") is None
    assert here.images() == {"g-engine-0": "2", "g-engine-1": "2"}


def test_a2_pods_are_lost_while_all_says_ready(world: Start) -> None:
    here = world()
    here.apply("g", role("engine", kind=STS), role("router", 1))
    here.until(lambda: here.state("g").ready == "True")
    here.apply("g", role("engine"), role("router", 1))
    here.until(lambda: here.find(StatefulSet, "g-engine") is None, "the StatefulSet gone")
    here.until(lambda: list(here.images()) == ["g-router-0"], "its pods gone")

    def lost() -> bool:
        instance = here.status(RI, "g-engine-0")
        size = [c["size"] for c in instance["componentStatuses"]]
        return (
            here.state("g").ready == "True"
            and here.state("g").roles["engine"] == (2, 2, 2)
            and here.status(RIS, "g-engine")["readyReplicas"] == 2
            and size == [0]
            and list(here.images()) == ["g-router-0"]
        )

    here.holds(lost)
    here.apply("g", role("engine", image="e:2"), role("router", 1))
    here.until(lambda: here.status(RIS, "g-engine")["updatedReplicas"] == 2)
    here.holds(lost)
    for name in ("g-engine-0", "g-engine-1"):
        here.client.delete(RI, name, namespace=here.namespace)
    here.until(lambda: len(here.images("g-engine")) == 2)
    here.ready("g")


def test_a2_instance_status_as_recorded(world: Start) -> None:
    here = world()
    here.apply("g", role("engine", kind=STS))
    here.until(lambda: here.state("g").ready == "True")
    here.apply("g", role("engine"))
    here.until(lambda: not here.images())
    status = here.status(RI, "g-engine-0")
    found = recorded("traps/sts-to-ris-lost-pods/roleinstances.yaml")
    lost = next((i["status"] for i in found or [] if i["metadata"]["name"] == "g3-engine-0"), None)
    if lost is not None:
        assert status["componentStatuses"] == lost["componentStatuses"]
        assert _conditions(status) == _conditions(lost)
        assert status.keys() == lost.keys()
    assert _conditions(status) == [
        ("RoleInstanceReady", "True", "Ready", None),
        ("RoleInstanceAllPodsReady", "True", "PodsReady", "Ready"),
    ]


def _conditions(status: dict[str, Any]) -> list[tuple[Any, ...]]:
    keys = ("type", "status", "reason", "message")
    return [tuple(c.get(key) for key in keys) for c in status["conditions"]]


def test_a2_scaled_to_zero_first_is_safe(world: Start) -> None:
    here = world()
    here.apply("g", role("engine", kind=STS))
    here.until(lambda: here.state("g").ready == "True")
    here.apply("g", role("engine", 0, kind=STS))
    here.until(lambda: not here.images())
    here.apply("g", role("engine", 2))
    here.until(lambda: len(here.images()) == 2)
    here.ready("g")


def test_a2_off(world: Start) -> None:
    here = world(ALL_TRAPS - {"A2"})
    here.apply("g", role("engine", kind=STS))
    here.until(lambda: here.state("g").ready == "True")
    old = {pod["metadata"]["uid"] for pod in here.all(Pod).values()}
    here.apply("g", role("engine", image="e:2"))
    here.until(lambda: here.images() == {"g-engine-0": "2", "g-engine-1": "2"})
    here.ready("g")
    assert not old & {pod["metadata"]["uid"] for pod in here.all(Pod).values()}


def test_unknown_traps_and_releases_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown traps: A9"):
        StandIn("kubeconfig", traps={"A9"})
    with pytest.raises(ValueError, match="unknown release"):
        StandIn("kubeconfig", release="v0.9")


def test_index_label_is_the_last_ordinal_of_all(world: Start) -> None:
    """Recorded oddity: every pod of a new role carries the number of the last one."""
    here = world()
    here.apply("g", role("engine"))
    here.ready("g")
    labels = [pod["metadata"]["labels"] for pod in here.all(Pod).values()]
    assert [label[NEW + "role-instance-index"] for label in labels] == ["1", "1"]
    assert [label[NEW + "role-instance-name"] for label in labels] == ["g-engine-0", "g-engine-1"]
