# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""The whole way on a real API server: role charms, relations, group, pods, status and back."""

import pytest
from lightkube.resources.core_v1 import Pod
from lightkube.resources.rbac_authorization_v1 import RoleBinding

from rig.controlplane import until
from tests.functional.charm.world import World

SMALL = {"gpus": 0, "shared_memory": ""}


def test_prefill_decode_and_router_become_active_and_show_a_failed_pod(world: World):
    world.deploy(
        engine={"mode": "prefill", "nodes": 2, "replicas": 2, "gpus": 2},
        decoder={"mode": "decode", "replicas": 2, "gpus": 1},
        router={},
    )
    world.until("active: engine 2/2, decoder 2/2, router 1/1")
    assert len(world.pods("engine")) == 4
    told = world.model.databag("llama", "engine")
    assert (told["state"], told["ready"], told["desired"]) == ('"ready"', "2", "2")
    # A pod that crashes is seen, and is well again once it runs.
    crash = {"metadata": {"annotations": {"crash": "true"}}}
    name = sorted(world.pods("decoder"))[0]
    world.client.patch(Pod, name, crash)
    world.until(
        "blocked: decoder 1/2: container serve crashes (exit code 1, 3 restarts); "
        "engine 2/2, router 1/1"
    )
    world.client.patch(Pod, name, {"metadata": {"annotations": {"crash": None}}})
    world.until("active: engine 2/2, decoder 2/2, router 1/1")


def test_an_idle_hook_changes_nothing_on_the_cluster(world: World):
    world.deploy(engine=SMALL)
    world.until("active: engine 1/1")
    before = world.group()["metadata"]
    world.update()
    world.model.emit("llama/0", "config-changed")
    world.model.settle()
    after = world.group()["metadata"]
    assert after["resourceVersion"] == before["resourceVersion"]
    assert after["generation"] == before["generation"] == 1


def test_a_role_whose_relation_is_removed_leaves_with_its_pods(world: World):
    world.deploy(engine=SMALL, decoder={"mode": "decode", **SMALL})
    world.until("active: engine 1/1, decoder 1/1")
    world.model.remove_relation("decoder-app:role", "llama:decoder")
    world.model.settle()
    world.until("active: engine 1/1")
    assert [r["name"] for r in world.group()["spec"]["roles"]] == ["engine"]
    until(lambda: not world.pods("decoder"), "no decoder pod")


def test_a_role_charm_that_redeploys_keeps_its_pods(world: World):
    world.deploy(engine=SMALL)
    world.until("active: engine 1/1")
    uids = {p.metadata.uid for p in world.pods("engine").values()}
    world.model.scale("engine-app", 0)
    world.model.settle()
    assert world.update() == "active: engine 1/1"
    world.model.scale("engine-app", 1)
    world.model.settle()
    assert world.update() == "active: engine 1/1"
    assert {p.metadata.uid for p in world.pods("engine").values()} == uids


def test_scaling_the_charm_to_zero_and_back_touches_nothing(world: World):
    world.deploy(engine=SMALL, decoder={"mode": "decode", **SMALL})
    world.until("active: engine 1/1, decoder 1/1")
    generation = world.group()["metadata"]["generation"]
    uids = {p.metadata.uid for role in ("engine", "decoder") for p in world.pods(role).values()}
    world.model.scale("llama", 0)
    world.model.settle()
    assert world.group()["metadata"]["generation"] == generation
    world.model.scale("llama", 1)
    world.model.settle()
    world.until("active: engine 1/1, decoder 1/1")
    assert world.group()["metadata"]["generation"] == generation
    now = {p.metadata.uid for role in ("engine", "decoder") for p in world.pods(role).values()}
    assert now == uids


def test_a_charm_refresh_touches_nothing(world: World):
    world.deploy(engine=SMALL)
    world.until("active: engine 1/1")
    before = world.group()["metadata"]["resourceVersion"]
    world.model.refresh("llama")
    world.model.settle()
    assert world.update() == "active: engine 1/1"
    assert world.group()["metadata"]["resourceVersion"] == before


def test_removing_the_application_collects_everything(world: World):
    world.deploy(engine=SMALL, router={})
    world.until("active: engine 1/1, router 1/1")
    world.client.get(RoleBinding, "llama-router-discovery")
    world.model.remove_application("llama")
    world.model.settle()
    until(lambda: world.gone("RoleBasedGroup", "llama"), "the group is gone")
    until(lambda: not world.pods("engine") and not world.pods("router"), "all pods are gone")
    for kind in ("ServiceAccount", "Role", "RoleBinding"):
        until(lambda kind=kind: world.gone(kind, "llama-router-discovery"), f"{kind} is gone")


def test_a_broken_image_is_named_and_comes_up_once_its_charm_sends_a_good_one(world: World):
    """Trap A1: RBG itself never takes a broken role to the template that would mend it."""
    world.deploy(engine={**SMALL, "image": "example.test/sglang:missing"})
    world.until("blocked: engine 0/1: cannot pull image example.test/sglang:missing")
    world.model.config("engine-app", image="example.test/sglang:good")
    world.model.settle()
    world.until("active: engine 1/1")
    [pod] = world.pods("engine").values()
    assert pod.spec.containers[0].image == "example.test/sglang:good"


def test_pods_that_no_node_can_take(world: World):
    world.deploy(engine={"gpus": 99})
    world.until("blocked: engine 0/1: unschedulable, insufficient nvidia.com/gpu")


def test_start_order(world: World):
    world.deploy(
        engine={**SMALL, "image": "example.test/sglang:missing"},
        decoder={"mode": "decode", "start_after": "engine", **SMALL},
    )
    world.until(
        "blocked: engine 0/1: cannot pull image example.test/sglang:missing; "
        "decoder 0/1: waiting for engine"
    )


def test_a_new_template_rolls_out_and_says_so(world: World):
    world.deploy(engine={**SMALL, "replicas": 2})
    world.until("active: engine 2/2")
    world.model.config("engine-app", env="STEP=2")
    world.model.settle()
    seen = {world.status}
    world.until("active: engine 2/2")
    assert any(s.startswith("maintenance: engine ") for s in seen), seen


def test_scale_is_held_and_released(world: World):
    world.deploy(engine=SMALL)
    world.until("active: engine 1/1")
    result = world.model.run("llama/leader", "scale", {"role": "engine", "replicas": 3})
    assert result.status == "completed"
    world.model.settle()
    world.until("active: engine 3/3 (held)")
    world.model.config("engine-app", replicas=2)
    world.model.settle()
    world.until("active: engine 3/3 (held)")
    world.model.run("llama/leader", "scale", {"role": "engine", "release": True})
    world.model.settle()
    world.until("active: engine 2/2")


def test_every_unit_tells_and_only_the_leader_writes(world: World):
    world.deploy(engine=SMALL)
    world.model.scale("llama", 2)
    world.model.settle()
    world.until("active: engine 1/1")
    units = world.model.status()["applications"]["llama"]["units"]
    assert {u["message"] for u in units.values()} == {"engine 1/1"}
    before = world.group()["metadata"]["resourceVersion"]
    world.model.depose("llama")
    world.model.settle()
    assert world.update() == "active: engine 1/1"
    assert world.group()["metadata"]["resourceVersion"] == before


TRUST = "blocked: not trusted; run `juju trust llama --scope=cluster`"


def test_trust_is_asked_for_with_the_exact_command(world: World):
    world.deploy(trust=False, engine=SMALL)
    assert world.status == TRUST
    world.model.trust("llama")
    world.model.settle()
    world.until("active: engine 1/1")
    world.model.distrust("llama")
    world.model.settle()
    world.until(TRUST)
    assert not world.gone("RoleBasedGroup", "llama")


def test_a_role_that_turns_bad_keeps_running(world: World):
    world.deploy(engine=SMALL, decoder={"mode": "decode", **SMALL})
    world.until("active: engine 1/1, decoder 1/1")
    world.model.config("decoder-app", start_after="store")
    world.model.settle()
    assert world.status == (
        "blocked: decoder-app (role decoder): start_after: the group has no role 'store'; "
        "relate one or leave it out"
    )
    assert len(world.pods("decoder")) == 1


@pytest.mark.parametrize("nodes", [1, 2])
def test_single_and_multi_node_engines(world: World, nodes: int):
    world.deploy(engine={**SMALL, "nodes": nodes, "replicas": 2})
    world.until("active: engine 2/2")
    assert len(world.pods("engine")) == 2 * nodes
    environment = {
        e.name: e.value for e in next(iter(world.pods("engine").values())).spec.containers[0].env
    }
    assert environment["GROUP_NAME"] == "llama"
    assert environment["GROUP_SIZE"] == ("1" if nodes == 1 else "$(RBG_LWP_GROUP_SIZE)")
