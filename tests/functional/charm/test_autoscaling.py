# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""Autoscaled roles on a real API server, whose own HorizontalPodAutoscaler controller runs."""

from typing import Any

from lightkube.generic_resource import create_namespaced_resource
from lightkube.resources.autoscaling_v2 import HorizontalPodAutoscaler
from lightkube.types import PatchType

from rig.controlplane import until
from rig.juju import ActionResult
from tests.functional.charm.world import World

SMALL = {"gpus": 0, "shared_memory": ""}
SCALED = {**SMALL, "replicas": 2, "min_replicas": 1, "max_replicas": 4}
ADAPTER = create_namespaced_resource(
    "workloads.x-k8s.io",
    "v1alpha2",
    "RoleBasedGroupScalingAdapter",
    "rolebasedgroupscalingadapters",
)


def adapter(world: World) -> Any:
    return world.client.get(ADAPTER, "llama-engine")


def by_autoscaler(world: World, replicas: int) -> None:
    """What an autoscaler does: another count for the adapter."""
    body = {"spec": {"replicas": replicas}}
    world.client.patch(ADAPTER, "llama-engine", body, patch_type=PatchType.MERGE)


def act(world: World, action: str, **params: Any) -> ActionResult:
    result = world.model.run("llama/leader", action, params)
    world.model.settle()
    return result


def count(world: World) -> int:
    return world.group()["spec"]["roles"][0]["replicas"]


def test_the_autoscalers_count_is_never_written_by_the_charm(world: World):
    """Trap 4 and §8: 0.8 refuses another count, 0.7 takes pods away until the adapter is back."""
    world.deploy(engine=SCALED)
    world.until("active: engine 2/2")
    until(lambda: world.update() and adapter(world).status["selector"], "the adapter works")
    by_autoscaler(world, 3)
    world.until("active: engine 3/3")
    seen: set[int] = set()
    for step in ("A=1", "A=2"):
        world.model.config("engine-app", env=step)
        while world.model.step():
            seen.add(count(world))
        world.until("active: engine 3/3")
        seen.add(count(world))
    assert seen == {3}
    by_autoscaler(world, 4)
    world.until("active: engine 4/4")
    world.model.config("engine-app", max_replicas=0)
    world.model.settle()
    world.until("active: engine 2/2")


def test_a_count_is_held_through_the_hpa(world: World):
    world.deploy(engine=SCALED)
    world.until("active: engine 2/2")
    refusal = act(world, "scale", role="engine", replicas=5)
    assert refusal.status == "failed"
    assert refusal.message == "replicas: engine is autoscaled from 1 to 4; choose a count within"
    assert act(world, "scale", role="engine", replicas=4).status == "completed"
    world.until("active: engine 4/4 (held)")
    hpa = world.client.get(HorizontalPodAutoscaler, "llama-engine")
    assert (hpa.spec.minReplicas, hpa.spec.maxReplicas) == (4, 4)
    act(world, "scale", role="engine", release=True)
    world.until("active: engine 4/4")  # until a metric says otherwise
    hpa = world.client.get(HorizontalPodAutoscaler, "llama-engine")
    assert (hpa.spec.minReplicas, hpa.spec.maxReplicas) == (1, 4)


def test_an_hpa_that_cannot_read_its_metric_is_named(world: World):
    world.deploy(engine=SCALED)
    world.until("active: engine 2/2")

    def problem() -> str:
        details = act(world, "status-detail").results["roles"]["engine"]["autoscaler"]
        assert details["bounds"] == "1 to 4"
        return details.get("problem", "")

    until(lambda: "sglang:num_queue_reqs" in problem(), "the HPA's own words", 60)
    assert world.update() == "active: engine 2/2"


def test_an_adapter_without_selector_is_made_anew(world: World):
    """The naive way waits: such an adapter never gets a selector by itself (trap 4)."""
    world.deploy(engine=SCALED)
    world.until("active: engine 2/2")
    until(lambda: world.update() and adapter(world).status["selector"], "the adapter works", 60)


def test_a_statefulset_cannot_be_autoscaled(world: World):
    world.deploy(engine={**SCALED, "workload": "StatefulSet"})
    reason = "RBG gives a StatefulSet no selector to count its pods by; leave it out"
    world.until(f"blocked: engine-app (role engine): scaling: {reason}")


def test_the_autoscaler_goes_with_its_role(world: World):
    world.deploy(engine=SCALED, decoder={"mode": "decode", **SMALL})
    world.until("active: engine 2/2, decoder 1/1")
    world.model.remove_relation("engine-app:role", "llama:engine")
    world.model.settle()
    world.until("active: decoder 1/1")
    assert world.gone("HorizontalPodAutoscaler", "llama-engine")
