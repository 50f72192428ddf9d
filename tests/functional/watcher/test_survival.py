# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""What the watcher outlives without the charm's help: the hooks here are those it brings."""

import os
import signal
import time
from pathlib import Path

import pytest
from lightkube.resources.core_v1 import Pod

from rig.controlplane import ControlPlane, until
from tests.functional.watcher.live import CONTAINER, SMALL, UNIT, Live, living

POD = "llama-engine-0"
READY = "active: engine 1/1"
CRASHES = "blocked: engine 0/1: container serve crashes (exit code 1, {} restarts)"


def crash(world: Live, restarts: int) -> str:
    world.say(POD, ready=False, restarts=restarts)
    return CRASHES.format(restarts)


def test_a_whole_deployment_becomes_active_and_heals_by_itself(live: Live):
    live.deploy(engine={**SMALL, "replicas": 2}, router={})
    live.shows("active: engine 2/2, router 1/1")
    name = sorted(live.pods("engine"))[0]
    live.client.patch(Pod, name, {"metadata": {"annotations": {"crash": "true"}}})
    live.shows(
        "blocked: engine 1/2: container serve crashes (exit code 1, 3 restarts); router 1/1"
    )
    live.client.patch(Pod, name, {"metadata": {"annotations": {"crash": None}}})
    live.shows("active: engine 2/2, router 1/1")


def test_a_broken_image_is_mended_without_anybody_asking(live: Live):
    """Trap A1: the charm frees what RBG left behind, in a hook that the watcher brings."""
    live.deploy(engine={**SMALL, "image": "example.test/sglang:missing"})
    live.shows("blocked: engine 0/1: cannot pull image example.test/sglang:missing")
    live.model.config("engine-app", image="example.test/sglang:good")
    live.model.settle()
    live.shows(READY)


def test_killed_ten_times_during_a_rollout(live: Live):
    live.deploy(engine={**SMALL, "replicas": 3})
    live.shows("active: engine 3/3")
    old = {p.metadata.uid for p in live.pods("engine").values()}
    live.model.config("engine-app", env="STEP=2")
    live.model.settle()
    killed: list[int] = []
    while len(killed) < 10:
        pid = until(lambda: live.watcher, "a watcher", 30, tolerate=(LookupError, OSError))
        if pid not in killed:
            os.kill(pid, signal.SIGKILL)
            killed.append(pid)
            if len(killed) == 8:  # so that the end of a rollout is among the kills
                live.model.config("engine-app", env="STEP=3")
                live.model.settle()
        live.pebbles.pump(live.model, 0.1)
    live.shows("active: engine 3/3")
    live.quiet(4)
    assert live.status == "active: engine 3/3"
    new = live.pods("engine").values()
    steps = {e.value for p in new for e in p.spec.containers[0].env if e.name == "STEP"}
    assert steps == {"3"}
    assert not old & {p.metadata.uid for p in new}


def test_a_change_while_no_watcher_lives_is_shown_once_one_does(still: Live):
    os.kill(still.watcher, signal.SIGKILL)
    still.shows(crash(still, 7))


def test_the_network_goes_and_comes_back(still: Live):
    still.proxy.cut()
    status = crash(still, 2)
    time.sleep(3)
    still.pebbles.pump(still.model, 0.1)
    assert still.status == READY  # nobody knows yet
    still.proxy.mend()
    still.shows(status, 30)
    # Cut and mended at once, with nothing new: no reason to wake anybody.
    still.quiet()
    before = len(still.pebbles.notices)
    still.proxy.drop()
    until(lambda: still.proxy.open == 2, "two connections")
    still.quiet()
    assert len(still.pebbles.notices) == before
    still.shows(crash(still, 3))


def test_a_loss_that_a_hook_may_have_seen_ends_in_a_wake_up(still: Live):
    """Else a status of "not reached", which update-status showed meanwhile, would stay."""
    before = len(still.pebbles.notices)
    still.proxy.cut()
    until(lambda: "ConnectionError" in still.said or "SSL" in still.said, "the loss is noticed")
    still.proxy.mend()
    until(lambda: len(still.pebbles.notices) > before, "a wake-up", 30)


def test_the_api_server_restarts_and_has_forgotten_what_was(still: Live):
    if not isinstance(still.cluster, ControlPlane):
        pytest.skip("not a cluster of our own")
    # With the wire cut the watcher cannot follow; a restarted API server knows no old version.
    still.proxy.cut()
    status = crash(still, 4)
    still.say("llama-engine-0", ready=False, restarts=5)
    still.cluster.restart_apiserver()
    status = CRASHES.format(5)
    still.proxy.mend()
    still.shows(status, 60)
    assert "too late to go on" in still.said
    # And with the wire whole.
    still.quiet()
    still.cluster.restart_apiserver()
    until(lambda: still.proxy.open == 2, "two connections", 30)
    still.shows(crash(still, 6))


@pytest.fixture
def hasty(cluster, namespace: str, tmp_path: Path):
    """As `still`, with watches of 2 s, so that a new request comes soon."""
    with living(cluster, namespace, tmp_path, controller=False, WATCH_SECONDS="2") as world:
        world.deploy(engine=SMALL)
        world.add_pod(POD)
        world.say(POD, ready=True)
        world.shows(READY)
        world.quiet()
        yield world


def test_the_token_is_read_anew_and_a_bad_one_is_outlived(hasty: Live):
    hasty.rotate("not-a-token")
    until(lambda: "401" in hasty.said, "the old token is not used any more", 20)
    hasty.pebbles.pump(hasty.model, 1)
    hasty.rotate()
    hasty.shows(crash(hasty, 8), 40)


def test_watches_that_end_are_taken_up_without_a_wake_up(hasty: Live):
    notices, connections = len(hasty.pebbles.notices), hasty.proxy.accepted
    time.sleep(7)
    assert len(hasty.pebbles.notices) == notices
    assert (hasty.proxy.open, hasty.proxy.accepted) == (2, connections)
    hasty.shows(crash(hasty, 9))


def test_the_container_restarts_empty(still: Live, tmp_path: Path):
    for file in tmp_path.glob("rbg-k8s-*/*.py"):
        file.unlink()
    still.pebbles.restart(still.model, UNIT, CONTAINER)
    still.model.settle()
    still.shows(crash(still, 10))


def test_a_juju_that_drops_notices_still_hears_of_both_edges(
    cluster, namespace: str, tmp_path: Path
):
    with living(cluster, namespace, tmp_path, controller=False, all_users=False) as world:
        world.deploy(engine=SMALL)
        world.add_pod(POD)
        world.say(POD, ready=False, restarts=11)
        world.until_probe(lambda: (UNIT, "group-ready", True) in world.pebbles.edges)
        world.say(POD, ready=True)
        world.shows(READY)
        world.shows(crash(world, 12))
        assert not world.pebbles.notices


def test_without_trust_it_waits_and_with_it_it_starts(cluster, namespace: str, tmp_path: Path):
    with living(cluster, namespace, tmp_path, controller=False) as world:
        world.deploy(engine=SMALL, trust=False)
        assert world.status.startswith("blocked: not trusted")
        until(lambda: "403" in world.said, "the refusal is seen")
        world.model.trust("llama")
        world.model.settle()
        world.add_pod(POD)
        world.shows(crash(world, 13))
