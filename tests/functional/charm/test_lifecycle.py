# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""What must leave the inference group alone, and what ends it."""

from typing import Any

from rig.controlplane import until
from tests.functional.charm.world import ROLE_CHARM, World

SMALL = {"gpus": 0, "shared_memory": ""}


def test_a_role_charm_replaced_by_another_makes_one_rollout(world: World):
    """Relation removed and another made at once: the role never leaves the group."""
    world.deploy(engine={**SMALL, "replicas": 2})
    world.until("active: engine 2/2")
    world.model.deploy(
        ROLE_CHARM,
        "other",
        config={"gpus": 0, "shared-memory": "", "replicas": 2, "image": "lmsysorg/sglang:v2"},
    )
    world.model.settle()
    world.model.remove_relation("engine-app:role", "llama:engine")
    while world.model.step():
        pass
    generation = world.group()["metadata"]["generation"]
    world.model.integrate("other:role", "llama:engine")
    world.model.settle()
    world.until("active: engine 2/2", 90)
    assert world.group()["metadata"]["generation"] <= generation + 2
    images = {p.spec.containers[0].image for p in world.pods("engine").values()}
    assert images == {"lmsysorg/sglang:v2"}


def test_everything_that_is_held_outlives_refresh_pod_loss_and_a_new_leader(world: World):
    world.deploy(engine=SMALL)
    world.until("active: engine 1/1")
    world.model.run("llama/leader", "scale", {"role": "engine", "replicas": 2})
    world.model.run("llama/leader", "rollout-pause", {})
    world.model.settle()
    world.until("active: engine 2/2 (paused, held)")
    before = world.group()
    world.model.scale("llama", 2)
    world.model.settle()
    world.model.depose("llama")
    world.model.settle()
    for unit in ("llama/0", "llama/1"):
        world.model.churn(unit)
        world.model.settle()
    world.model.refresh("llama")
    world.model.settle()
    world.model.scale("llama", 0)
    world.model.settle()
    world.model.scale("llama", 1)
    world.model.settle()
    world.until("active: engine 2/2 (paused, held)")
    assert world.group()["spec"] == before["spec"]
    assert world.group()["metadata"]["generation"] == before["metadata"]["generation"]


def test_nothing_is_left_when_the_application_goes(world: World):
    world.deploy(engine={**SMALL, "max_replicas": 3}, router={})
    world.until("active: engine 1/1, router 1/1")
    world.model.remove_application("llama")
    world.model.settle()
    for kind, name in (
        ("RoleBasedGroup", "llama"),
        ("HorizontalPodAutoscaler", "llama-engine"),
        ("ServiceAccount", "llama-router-discovery"),
    ):
        until(lambda kind=kind, name=name: world.gone(kind, name), f"{kind} is collected")
    until(lambda: not world.pods("engine") and not world.pods("router"), "no pod is left")


def test_removal_does_not_fail_without_trust(world: World):
    world.deploy(engine=SMALL)
    world.until("active: engine 1/1")
    world.model.distrust("llama")
    world.model.remove_application("llama")
    world.model.settle()
    failed: list[Any] = [r for r in world.model.hooks if r.failure]
    assert not failed
    until(lambda: world.gone("RoleBasedGroup", "llama"), "the group is collected")


def test_a_forced_removal_is_finished_by_one_command(world: World):
    """Seen on a real Juju 4: the StatefulSet stays, and with it all that it owns."""
    world.deploy(engine=SMALL)
    world.until("active: engine 1/1")
    world.model.remove_application("llama", no_wait=True)
    world.model.settle()
    assert not world.gone("RoleBasedGroup", "llama")
    assert not world.gone("StatefulSet", "llama")
    world.delete("StatefulSet", "llama")  # kubectl -n <model> delete statefulset llama
    until(lambda: world.gone("RoleBasedGroup", "llama"), "the group is collected")
    until(lambda: not world.pods("engine"), "no pod is left")
