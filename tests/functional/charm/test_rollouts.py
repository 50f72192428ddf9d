# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""Rollout actions on a real API server: what really restarts, pauses, goes back and holds."""

import json
from typing import Any

import pytest

from rig.controlplane import until
from rig.juju import ActionResult
from tests.functional.charm.world import World

SMALL = {"gpus": 0, "shared_memory": ""}
TWO = {**SMALL, "replicas": 2}


def run(world: World, action: str, **params: Any) -> ActionResult:
    """An action that succeeds."""
    result = act(world, action, **params)
    assert result.status == "completed", result.message
    return result


def act(world: World, action: str, **params: Any) -> ActionResult:
    result = world.model.run("llama/leader", action, params)
    world.model.settle()
    return result


def refused(world: World, action: str, **params: Any) -> str:
    """The sentence of an action that fails, the group as it was."""
    before = world.group()["metadata"]["generation"]
    result = act(world, action, **params)
    assert result.status == "failed"
    assert world.group()["metadata"]["generation"] == before
    return result.message


def uids(world: World, role: str) -> set[str]:
    return {p.metadata.uid for p in world.pods(role).values()}


def image(world: World, role: str) -> set[str]:
    return {p.spec.containers[0].image for p in world.pods(role).values()}


def templates(world: World) -> str:
    """Everything of the spec but counts."""
    roles = [
        {k: v for k, v in r.items() if k != "replicas"} for r in world.group()["spec"]["roles"]
    ]
    return json.dumps(roles, sort_keys=True)


def test_a_restart_replaces_every_pod_of_the_role_and_no_other(world: World):
    world.deploy(engine=TWO, decoder={"mode": "decode", **SMALL})
    world.until("active: engine 2/2, decoder 1/1")
    engines, decoders = uids(world, "engine"), uids(world, "decoder")
    result = run(world, "rollout-restart", role="engine")
    assert result.results["restarting"] == "engine"
    world.until("active: engine 2/2, decoder 1/1")
    assert not uids(world, "engine") & engines
    assert uids(world, "decoder") == decoders
    again = uids(world, "engine")
    world.model.config("engine-app", replicas=3)
    world.model.settle()
    world.until("active: engine 3/3, decoder 1/1")
    assert again < uids(world, "engine"), "a later change must not restart the role again"


def test_the_naive_restart_restarts_nothing(world: World):
    """Trap 3: RBG patches an annotation into the running pods."""
    world.deploy(engine=TWO)
    world.until("active: engine 2/2")
    before = uids(world, "engine")
    patch = world.group()
    role = patch["spec"]["roles"][0]
    role["standalonePattern"]["template"]["metadata"]["annotations"]["restartedAt"] = "now"
    world.edit(patch)
    until(
        lambda: all(
            (p.metadata.annotations or {}).get("restartedAt") == "now"
            for p in world.pods("engine").values()
        ),
        "the annotation is on the pods",
    )
    assert uids(world, "engine") == before


def test_a_restart_goes_in_the_order_of_the_start(world: World):
    world.deploy(engine=TWO, decoder={"mode": "decode", "start_after": "engine", **SMALL})
    world.until("active: engine 2/2, decoder 1/1", 90)
    engines, decoders = uids(world, "engine"), uids(world, "decoder")
    result = run(world, "rollout-restart")
    assert result.results["queued"] == {"decoder": "after engine"}
    early: list[set[str]] = []

    def engine_done() -> bool:
        world.update()
        if uids(world, "engine") & engines or len(uids(world, "engine")) < 2:
            early.append(uids(world, "decoder"))
            return False
        return True

    until(engine_done, "the engine's pods are new", 60)
    assert all(seen == decoders for seen in early)
    until(lambda: world.update() and not uids(world, "decoder") & decoders, "new decoder", 60)
    world.until("active: engine 2/2, decoder 1/1")


def test_paused_templates_wait(world: World):
    world.deploy(engine=TWO)
    world.until("active: engine 2/2")
    before = uids(world, "engine")
    run(world, "rollout-pause", role="engine")
    world.model.config("engine-app", image="lmsysorg/sglang:v2")
    world.model.settle()
    # Trap 7: RBG itself says 2 updated and Ready now.
    world.until("active: engine 2/2 (paused, 0/2 updated)")
    assert image(world, "engine") == {"lmsysorg/sglang:v0.5.9"}
    assert uids(world, "engine") == before
    assert run(world, "rollout-status").results["complete"] == "false"
    run(world, "rollout-resume", role="engine")
    world.until("active: engine 2/2")
    assert image(world, "engine") == {"lmsysorg/sglang:v2"}
    assert refused(world, "rollout-resume").startswith("nothing is paused or held")


def test_a_canary_goes_step_by_step(world: World):
    world.deploy(engine={**SMALL, "replicas": 3, "partition": 2})
    world.until("active: engine 3/3")
    world.model.config("engine-app", image="lmsysorg/sglang:v2")
    world.model.settle()
    world.until("active: engine 3/3 (1/3 updated)")
    run(world, "rollout-resume", role="engine", to=1)
    world.until("active: engine 3/3 (2/3 updated)")
    run(world, "rollout-resume", role="engine", to=0)
    world.until("active: engine 3/3")
    world.model.config("engine-app", image="lmsysorg/sglang:v3")
    world.model.settle()
    world.until("active: engine 3/3 (1/3 updated)")


def test_undo_goes_back_and_holds_through_relation_changes(world: World):
    world.deploy(engine=TWO, decoder={"mode": "decode", **SMALL})
    world.until("active: engine 2/2, decoder 1/1")
    world.model.config("engine-app", image="lmsysorg/sglang:missing")
    world.model.settle()
    world.until("blocked: engine 1/2: cannot pull image lmsysorg/sglang:missing; decoder 1/1")
    decoders = uids(world, "decoder")
    history = run(world, "rollout-history").results["revisions"]
    newest = max(map(int, history))
    assert history[str(newest)]["cause"] == "relation engine (engine-app)"
    assert (
        "image lmsysorg/sglang:v0.5.9 -> lmsysorg/sglang:missing"
        in (history[str(newest)]["changed"])
    )
    back = newest - 1
    diff = run(world, "rollout-diff", revision=back).results["diff"]
    assert "lmsysorg/sglang:missing" in diff
    run(world, "rollout-undo", revision=back)
    held = f"held at revision {back}, 1 change waiting; run rollout-resume"
    world.until(f"active: engine 2/2, decoder 1/1; {held}", 90)
    assert image(world, "engine") == {"lmsysorg/sglang:v0.5.9"}
    world.model.config("decoder-app", env="A=1")
    world.model.settle()
    held = f"held at revision {back}, 2 changes waiting; run rollout-resume"
    world.until(f"active: engine 2/2, decoder 1/1; {held}")
    assert uids(world, "decoder") == decoders
    spec = templates(world)
    world.model.scale("llama", 2)
    world.model.settle()
    world.model.depose("llama")
    world.model.settle()
    world.until(f"active: engine 2/2, decoder 1/1; {held}")
    assert templates(world) == spec
    assert refused(world, "rollout-undo", revision=back) == (
        f"revision {back} is what runs already; nothing to undo"
    )
    world.model.config("engine-app", image="lmsysorg/sglang:v3")
    world.model.settle()
    run(world, "rollout-resume")
    world.until("active: engine 2/2, decoder 1/1", 90)
    assert image(world, "engine") == {"lmsysorg/sglang:v3"}


def test_a_revision_that_is_gone(world: World):
    world.deploy(engine=SMALL)
    world.until("active: engine 1/1")
    message = refused(world, "rollout-undo", revision=99)
    assert message.startswith("revision: 99 is not kept; RBG has ")


def test_status_waits_for_the_end_by_a_watch(world: World):
    world.deploy(engine=TWO)
    world.until("active: engine 2/2")
    run(world, "rollout-restart")
    result = act(world, "rollout-status", wait=60)
    assert result.results["complete"] == "true", result.message
    assert result.results["roles"]["engine"]["updated"] == "2/2"
    assert result.log, "progress is said in the action's log"


def test_status_gives_up_at_its_bound(world: World):
    world.deploy(engine={**SMALL, "gpus": 99})
    world.until("blocked: engine 0/1: unschedulable, insufficient nvidia.com/gpu")
    result = act(world, "rollout-status", wait=1)
    assert result.status == "failed"
    assert result.message == (
        "not complete after 1 s: engine 0/1: unschedulable, insufficient nvidia.com/gpu"
    )


def test_manifest_and_diff_after_a_dry_run(world: World):
    world.deploy(engine=SMALL)
    world.until("active: engine 1/1")
    before = world.group()["metadata"]["resourceVersion"]
    assert run(world, "show-manifest", diff=True).results["diff"] == ""
    assert world.group()["metadata"]["resourceVersion"] == before


@pytest.mark.parametrize(
    ("action", "params"),
    [
        ("scale", {"role": "engine", "replicas": 2}),
        ("rollout-restart", {}),
        ("rollout-status", {}),
        ("rollout-pause", {}),
        ("rollout-resume", {}),
        ("rollout-history", {}),
        ("rollout-diff", {"revision": 1}),
        ("rollout-undo", {}),
        ("status-detail", {}),
        ("show-manifest", {"diff": True}),
        ("migrate-api", {}),
    ],
)
def test_with_the_api_server_away(away: World, action: str, params: dict[str, Any]):
    result = away.model.run("llama/leader", action, params)
    assert result.status == "failed"
    assert result.message == "waiting for the Kubernetes API server: ConnectError"


@pytest.fixture(scope="module")
def away(cluster: Any) -> Any:
    """A group whose API server nobody can reach any more."""
    with World.running(cluster) as world:
        world.deploy(engine=SMALL)
        world.until("active: engine 1/1")
        world.unreachable()
        yield world
