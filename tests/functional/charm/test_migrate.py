# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""Roles that still run as StatefulSets on a newer RBG, and the one safe way on (trap A2)."""

from rig.controlplane import until
from tests.functional.charm.world import World

SMALL = {"gpus": 0, "shared_memory": ""}
KEPT = "rbg.workloads.x-k8s.io/role-workload-type"


def kinds(world: World) -> list[str]:
    roles = world.group()["spec"]["roles"]
    said = [(r.get("annotations") or {}).get(KEPT, "RoleInstanceSet") for r in roles]
    return [kind.rpartition("/")[2] for kind in said]


def made_on_an_older_rbg(world: World) -> None:
    """Two roles as RBG's conversion leaves them: StatefulSets, although their charms say auto."""
    world.deploy(
        engine={**SMALL, "replicas": 2, "workload": "StatefulSet"},
        decoder={"mode": "decode", **SMALL, "workload": "StatefulSet"},
    )
    world.until("active: engine 2/2, decoder 1/1")
    for app in ("engine-app", "decoder-app"):
        world.model.config(app, workload="auto")
    world.model.settle()
    assert world.update() == "active: engine 2/2, decoder 1/1"
    assert kinds(world) == ["StatefulSet", "StatefulSet"]


def test_role_by_role_and_no_pod_is_lost(world: World):
    made_on_an_older_rbg(world)
    cost = world.model.run("llama/leader", "migrate-api", {}).results["cost"]
    assert cost["engine"] == (
        "StatefulSet to RoleInstanceSet: all 2 pods are stopped at once, then started anew"
    )
    assert kinds(world) == ["StatefulSet", "StatefulSet"]
    result = world.model.run("llama/leader", "migrate-api", {"confirm": True})
    assert result.status == "completed", result.message
    both: list[list[str]] = []

    def done() -> bool:
        world.update()
        both.append(kinds(world))
        return kinds(world) == ["RoleInstanceSet", "RoleInstanceSet"]

    until(done, "both roles are RoleInstanceSets", 90)
    assert ["StatefulSet", "RoleInstanceSet"] in both, "the decoder waits for the engine"
    world.until("active: engine 2/2, decoder 1/1", 90)
    assert (len(world.pods("engine")), len(world.pods("decoder"))) == (2, 1)
    assert world.gone("StatefulSet", "llama-engine")


def test_asked_for_directly_it_is_refused(world: World):
    made_on_an_older_rbg(world)
    world.model.config("engine-app", workload="RoleInstanceSet")
    world.model.settle()
    reason = "a role cannot leave StatefulSet; leave workload at auto and run migrate-api"
    world.until(f"blocked: engine-app (role engine): workload: {reason}")
    assert len(world.pods("engine")) == 2
