"""Pause, partition, type and what else a rollout is told, for every kind of workload."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from lightkube.resources.core_v1 import Pod
from standin_world import DEPLOYMENT, LWS, RI, RIS, STS, Obj, World, role

from rig.standin import ALL_TRAPS

Start = Callable[..., World]


def uids(here: World, kind: Any = Pod) -> dict[str, str]:
    """Which objects there are."""
    return {name: obj["metadata"]["uid"] for name, obj in here.all(kind).items()}


def with_env(spec: Obj, value: str) -> Obj:
    """The role with a variable, which no pod takes in place."""
    container = spec["standalonePattern"]["template"]["spec"]["containers"][0]
    container["env"] = [{"name": "A", "value": value}]
    return spec


def running(here: World, group: str, pods: int) -> None:
    """Waits for a group's pods."""
    here.until(lambda: len(here.images()) == pods, f"{pods} pods")
    here.until(lambda: here.state(group).ready == "True", f"{group} ready")


@pytest.mark.parametrize("kind", [STS, DEPLOYMENT])
def test_paused_means_nothing_to_other_workloads(world: Start, kind: str) -> None:
    here = world()
    here.apply("g", role("web", 2, kind=kind, rolling={"paused": True}))
    running(here, "g", 2)
    here.apply("g", role("web", 2, image="e:2", kind=kind, rolling={"paused": True}))
    here.until(lambda: list(here.images().values()) == ["2", "2"])


def test_a_percentage_is_rounded_up_for_a_stateful_set(world: Start) -> None:
    """50 % of 3 keeps two, where a RoleInstanceSet keeps one (trap 7)."""
    here = world()
    rolling = {"partition": "50%"}
    here.apply("g", role("web", 3, kind=STS, rolling=rolling))
    running(here, "g", 3)
    here.apply("g", role("web", 3, image="e:2", kind=STS, rolling=rolling))
    left = {"g-web-0": "1", "g-web-1": "1", "g-web-2": "2"}
    here.until(lambda: here.images() == left)
    here.until(lambda: here.state("g").ready == "True")
    here.holds(lambda: here.images() == left, during=0.5)
    here.apply("g", role("web", 3, image="e:2", kind=STS, rolling={"partition": 0}))
    here.until(lambda: set(here.images().values()) == {"2"})


def test_a_deployment_has_no_partition(world: Start) -> None:
    here = world()
    here.apply("g", role("web", 3, kind=DEPLOYMENT, rolling={"partition": 1}))
    running(here, "g", 3)
    here.apply("g", role("web", 3, image="e:2", kind=DEPLOYMENT, rolling={"partition": 1}))
    here.until(lambda: list(here.images().values()) == ["2"] * 3)


@pytest.mark.control_plane_only
def test_a_leader_worker_set_knows_the_partition_only(world: Start) -> None:
    here = world()
    rolling = {"partition": "50%", "paused": True}
    here.apply("g", role("web", 3, size=2) | _lws(rolling))
    here.until(lambda: len(here.images()) == 6)
    here.until(lambda: here.state("g").ready == "True")
    here.apply("g", role("web", 3, image="e:2", size=2) | _lws(rolling))
    wanted = {"g-web-0": "1", "g-web-0-1": "1", "g-web-1": "1", "g-web-1-1": "1",
              "g-web-2": "2", "g-web-2-1": "2"}  # fmt: skip
    here.until(lambda: here.images() == wanted, within=40)


def _lws(rolling: Obj) -> Obj:
    kind = role("web", kind=LWS)["annotations"]
    return {"annotations": kind, "rolloutStrategy": {"rollingUpdate": rolling}}


@pytest.mark.parametrize("kind", ["InPlaceIfPossible", "InPlaceOnly"])
def test_what_cannot_be_done_in_place_makes_another_pod(world: Start, kind: str) -> None:
    """In the same instance; InPlaceOnly does not refuse it."""
    here = world()
    rolling = {"type": kind}
    here.apply("g", role("engine", 2, rolling=rolling))
    here.ready("g")
    pods, instances = uids(here), uids(here, RI)
    here.apply("g", with_env(role("engine", 2, rolling=rolling), "1"))
    here.until(lambda: uids(here).keys() == pods.keys() and not set(uids(here).values()) & {
        *pods.values()})  # fmt: skip
    here.ready("g")
    assert uids(here, RI) == instances
    assert here.get(RIS, "g-engine")["spec"]["updateStrategy"]["type"] == kind


def test_recreate_pod_replaces_the_instances(world: Start) -> None:
    here = world()
    rolling = {"type": "RecreatePod"}
    here.apply("g", role("engine", 1, rolling=rolling))
    here.ready("g")
    pods, instances = uids(here), uids(here, RI)
    here.apply("g", role("engine", 1, image="e:2", rolling=rolling))
    here.until(lambda: here.images() == {"g-engine-0": "2"})
    here.ready("g")
    assert uids(here) != pods
    assert uids(here, RI) != instances


def test_recreate_pod_is_not_known_to_0_7(world: Start) -> None:
    here = world(release="v0.7")
    rolling = {"type": "RecreatePod"}
    here.apply("g", role("engine", 1, rolling=rolling))
    here.ready("g")
    pods = uids(here)
    here.apply("g", role("engine", 1, image="e:2", rolling=rolling))
    here.until(lambda: here.images() == {"g-engine-0": "2"})
    assert uids(here) == pods


def test_recreate_off(world: Start) -> None:
    here = world(ALL_TRAPS - {"recreate"}, "v0.7")
    rolling = {"type": "RecreatePod"}
    here.apply("g", role("engine", 1, rolling=rolling))
    here.ready("g")
    pods = uids(here)
    here.apply("g", role("engine", 1, image="e:2", rolling=rolling))
    here.until(lambda: here.images() == {"g-engine-0": "2"})
    assert uids(here) != pods


@pytest.mark.parametrize("kind", ["", STS, DEPLOYMENT])
def test_annotations_of_a_role_restart_nothing(world: Start, kind: str) -> None:
    here = world()
    spec = role("web", 2, kind=kind)
    here.apply("g", spec)
    running(here, "g", 2)
    before = uids(here)
    spec["annotations"] = {**spec.get("annotations", {}), "poke": "1"}
    here.apply("g", spec)
    here.until(lambda: here.state("g").observed == 2)
    here.holds(lambda: uids(here) == before, during=0.8)


@pytest.mark.parametrize("kind", ["", STS, DEPLOYMENT])
def test_a_variable_restarts_all(world: Start, kind: str) -> None:
    here = world()
    here.apply("g", role("web", 2, kind=kind))
    running(here, "g", 2)
    before = set(uids(here).values())
    here.apply("g", with_env(role("web", 2, kind=kind), "1"))
    here.until(lambda: len(uids(here)) == 2 and not before & set(uids(here).values()))


def test_the_annotation_of_a_template_restarts_no_pod_of_an_instance(world: Start) -> None:
    """Trap 3: kubectl's restartedAt is patched in; a StatefulSet would restart."""
    here = world()
    here.apply("g", role("engine", 1))
    here.ready("g")
    before = uids(here)
    spec = role("engine", 1)
    spec["standalonePattern"]["template"]["metadata"]["annotations"] = {"restartedAt": "now"}
    here.apply("g", spec)
    here.until(
        lambda: (
            (p := here.find(Pod, "g-engine-0"))
            and p["metadata"].get("annotations", {}).get("restartedAt") == "now"
        )
    )
    here.ready("g")
    assert uids(here) == before
