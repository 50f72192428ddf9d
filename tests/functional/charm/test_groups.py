# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""A set of groups on a real API server: made, scaled, mended, and gone to and back."""

from lightkube.resources.core_v1 import ConfigMap, Pod

from kubeapi import resource
from rig.controlplane import until
from tests.functional.charm.world import ROOT, World

SMALL = {"gpus": 0, "shared_memory": ""}
GROUP_NAME = "rbg.workloads.x-k8s.io/group-name"


def the_set(world: World):
    return world.client.get(resource("RoleBasedGroupSet"), "llama").to_dict()


def groups_of(pods) -> set[str]:
    return {p.metadata.labels[GROUP_NAME] for p in pods.values()}


def args_of(pod) -> list[str]:
    return pod.spec.containers[0].args


def test_three_groups_become_active_each_with_its_own_workers(world: World):
    world.deploy(
        engine={"mode": "prefill", "nodes": 2, "replicas": 2, **SMALL},
        decoder={"mode": "decode", "replicas": 1, **SMALL},
        router={},
    )
    world.model.remove_relation("router-app:role", "llama:router")
    world.model.settle()
    assert not world.gone("RoleBasedGroup", "llama")
    result = world.model.run("llama/leader", "scale", {"groups": 3, "allow-recreate": True})
    assert result.status == "completed", result.message
    world.model.integrate("router-app:role", "llama:router")
    world.model.settle()
    world.until("active: 3 groups (held): engine 6/6, decoder 3/3, router 3/3", 120)
    assert world.gone("RoleBasedGroup", "llama")
    engines = world.pods("engine")
    assert len(engines) == 3 * 2 * 2
    assert groups_of(engines) == {"llama-0", "llama-1", "llama-2"}
    for pod in engines.values():  # what a container sees: RBG's variable in front of ours
        names = [e.name for e in pod.spec.containers[0].env]
        assert names.index("RBG_GROUP_NAME") < names.index("GROUP_NAME")
        env = {e.name: e.value for e in pod.spec.containers[0].env}
        assert env["GROUP_NAME"] == "$(RBG_GROUP_NAME)"
        assert env["RBG_GROUP_NAME"] == pod.metadata.labels[GROUP_NAME]
    for pod in world.pods("router").values():
        assert f"{GROUP_NAME}=$(GROUP_NAME)" in args_of(pod)
    told = world.model.databag("llama", "engine")
    assert (told["ready"], told["desired"]) == ("6", "6")


def test_config_makes_a_set_and_scales_it(world: World):
    grouped(world)  # before any group is there nothing has to be allowed
    assert world.gone("RoleBasedGroup", "llama")
    before = {p.metadata.uid for p in world.pods("engine").values()}
    world.model.config("llama", groups=3)
    world.model.settle()
    world.until("active: 3 groups: engine 3/3")
    now = {p.metadata.uid for p in world.pods("engine").values()}
    assert before < now
    result = world.model.run("llama/leader", "scale", {"groups": 4})
    assert result.status == "completed", result.message
    world.until("active: 4 groups (held): engine 4/4")
    result = world.model.run("llama/leader", "scale", {"release": True})
    world.model.settle()
    world.until("active: 3 groups: engine 3/3")
    assert groups_of(world.pods("engine")) == {"llama-0", "llama-1", "llama-2"}
    # An idle hook writes nothing.
    version = the_set(world)["metadata"]["resourceVersion"]
    world.update()
    assert the_set(world)["metadata"]["resourceVersion"] == version


def test_from_one_group_to_two_and_back_only_when_allowed(world: World):
    world.deploy(engine={**SMALL, "replicas": 2})
    world.until("active: engine 2/2")
    uids = {p.metadata.uid for p in world.pods("engine").values()}
    world.model.config("llama", groups=2)
    world.model.settle()
    command = "juju run llama/leader scale groups=2 allow-recreate=true"
    blocked = f"blocked: llama: config groups: 2 replaces every pod; run `{command}`"
    assert world.update() == blocked
    result = world.model.run("llama/leader", "scale", {"groups": 2})
    assert result.status == "failed"
    assert result.message == (
        "going from 1 group to 2 groups replaces every pod (2); add allow-recreate=true to do it"
    )
    assert {p.metadata.uid for p in world.pods("engine").values()} == uids
    result = world.model.run("llama/leader", "scale", {"groups": 2, "allow-recreate": True})
    assert result.status == "completed", result.message
    world.until("active: 2 groups (held): engine 4/4")
    until(lambda: groups_of(world.pods("engine")) == {"llama-0", "llama-1"}, "old pods are gone")
    # The config says it now, so it need not be held; back takes the permission again.
    world.model.run("llama/leader", "scale", {"release": True})
    world.until("active: 2 groups: engine 4/4")
    world.model.config("llama", groups=1)
    world.model.settle()
    assert world.update().startswith("blocked: llama: config groups: 1 replaces every pod; run ")
    result = world.model.run("llama/leader", "scale", {"groups": 1, "allow-recreate": True})
    assert result.status == "completed", result.message
    world.until("active: 1 group (held): engine 2/2")
    assert world.gone("RoleBasedGroupSet", "llama")
    until(lambda: groups_of(world.pods("engine")) == {"llama"}, "pods of the set are gone")
    world.model.run("llama/leader", "scale", {"release": True})
    world.until("active: engine 2/2")


def grouped(world: World, groups: int = 2, **config) -> None:
    options = {"model": "qwen", "groups": groups}
    world.model.deploy(ROOT, "llama", trust=True, config=options)
    world.relate("engine", **{**SMALL, **config})
    world.model.settle()
    count = groups * config.get("replicas", 1)
    world.until(f"active: {groups} groups: engine {count}/{count}")


def test_a_pod_that_crashes_is_told_with_its_group(world: World):
    grouped(world)
    name = next(n for n in world.pods("engine") if n.startswith("llama-1-"))
    world.client.patch(Pod, name, {"metadata": {"annotations": {"crash": "true"}}})
    world.until(
        "blocked: 2 groups: engine 1/2: llama-1: container serve crashes (exit code 1, 3 restarts)"
    )
    detail = world.model.run("llama/leader", "status-detail", {}).results
    assert detail["groups"]["llama-1"]["engine"]["ready"] == "0/1"
    assert detail["groups"]["llama-0"]["engine"]["ready"] == "1/1"
    world.client.patch(Pod, name, {"metadata": {"annotations": {"crash": None}}})
    world.until("active: 2 groups: engine 2/2")


def test_a_broken_image_is_mended_in_every_group(world: World):
    """Trap A1, in each of them."""
    grouped(world)
    world.model.config("engine-app", image="example.test/sglang:missing")
    world.model.settle()
    world.until("blocked: 2 groups: engine 0/2: cannot pull image example.test/sglang:missing")
    world.model.config("engine-app", image="example.test/sglang:good")
    world.model.settle()
    world.until("active: 2 groups: engine 2/2")
    images = {p.spec.containers[0].image for p in world.pods("engine").values()}
    assert images == {"example.test/sglang:good"}


def test_history_and_undo_are_those_of_the_first_group(world: World):
    grouped(world)
    first = {p.spec.containers[0].image for p in world.pods("engine").values()}
    world.model.config("engine-app", image="example.test/sglang:good")
    world.model.settle()
    world.until("active: 2 groups: engine 2/2")
    history = world.model.run("llama/leader", "rollout-history", {})
    assert history.status == "completed", history.message
    shown = history.results["revisions"]
    assert [shown[n]["cause"] for n in sorted(shown)][-1] == "relation engine (engine-app)"
    result = world.model.run("llama/leader", "rollout-undo", {})
    assert result.status == "completed", result.message
    held = "active: 2 groups: engine 2/2; held at revision 1, 1 change waiting; run rollout-resume"
    world.until(held)
    assert {p.spec.containers[0].image for p in world.pods("engine").values()} == first
    result = world.model.run("llama/leader", "scale", {"groups": 1, "allow-recreate": True})
    assert result.message == "the group is held at revision 1; run rollout-resume first"
    world.model.run("llama/leader", "rollout-resume", {})
    world.model.settle()
    world.until("active: 2 groups: engine 2/2")
    images = {p.spec.containers[0].image for p in world.pods("engine").values()}
    assert images == {"example.test/sglang:good"}


def test_the_discovery_file_of_a_group_follows_its_counts(world: World):
    """Without `refine` on the template RBG stops writing it after the first pass (answer f)."""
    grouped(world)

    def size(count: int) -> bool:
        text = world.client.get(ConfigMap, "llama-0").data["config.yaml"]
        return f"size: {count}" in text.partition("roles:\n")[2].partition("roles:")[2]

    until(lambda: size(1), "one engine is told")
    world.model.config("engine-app", replicas=2)
    world.model.settle()
    world.until("active: 2 groups: engine 4/4")
    until(lambda: size(2), "two engines are told")


def test_a_set_scaled_by_hand_is_put_right(world: World):
    grouped(world)
    sets = f"/apis/workloads.x-k8s.io/v1alpha2/namespaces/{world.namespace}/rolebasedgroupsets"
    scale = world.cluster.api.get(f"{sets}/llama/scale")
    world.cluster.api.put(f"{sets}/llama/scale", {**scale, "spec": {"replicas": 3}})
    assert the_set(world)["spec"]["replicas"] == 3
    world.update()
    assert the_set(world)["spec"]["replicas"] == 2
    world.until("active: 2 groups: engine 2/2")


def test_removing_the_application_collects_every_group(world: World):
    grouped(world)
    world.model.remove_application("llama")
    world.model.settle()
    until(lambda: world.gone("RoleBasedGroupSet", "llama"), "the set is gone")
    until(lambda: not world.pods("engine"), "all pods are gone")
