# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""The same way on RBG 0.3 and 0.6: v1alpha1, StatefulSet and LeaderWorkerSet roles."""

import os
from collections.abc import Iterator

import pytest
from lightkube import ApiError

from rig import crds, rbg
from rig.controlplane import ControlPlane, until
from rig.juju import Model
from rig.juju.kubernetes import LightkubeKubernetes
from tests.functional.charm.world import ROOT, World

pytestmark = pytest.mark.skipif(
    bool(rbg.genuine() or os.environ.get("KUBECONFIG")),
    reason="the controller given is of one release only",
)
SMALL = {"gpus": 0, "shared_memory": ""}


@pytest.fixture(scope="module", params=["v0.3", "v0.6"])
def old(request: pytest.FixtureRequest) -> Iterator[tuple[ControlPlane, str]]:
    """A control plane of this file's own, with the definitions of an old release."""
    genuine = [path for path in crds.genuine() if path.name.startswith(request.param)]
    if not genuine and request.param == "v0.3":
        pytest.skip("our own definitions are those of 0.6 and 0.8")
    with ControlPlane.start(lws=True) as cluster:
        cluster.install_release(genuine[0] if genuine else crds.V0_6)
        yield cluster, request.param


@pytest.fixture
def world(old: tuple[ControlPlane, str]) -> Iterator[World]:
    """A model on it."""
    cluster, release = old
    with cluster.namespace() as namespace:
        kubernetes = LightkubeKubernetes(
            cluster.client(namespace), cluster.service_account_kubeconfig
        )
        running = rbg.controller(cluster, namespace, release)
        with running, Model(namespace, kubernetes) as model:
            yield World(model, cluster, namespace)


def test_single_and_multi_node_roles_become_active_and_leave(world: World):
    world.deploy(
        engine={"mode": "prefill", "nodes": 2, "replicas": 2, **SMALL},
        decoder={"mode": "decode", "replicas": 2, **SMALL},
        router={},
    )
    world.until("active: engine 2/2, decoder 2/2, router 1/1")
    assert world.model.status()["applications"]["llama"]["version"] == "RBG v1alpha1"
    roles = {r["name"]: r for r in world.group("v1alpha1")["spec"]["roles"]}
    kinds = {name: role["workload"]["kind"] for name, role in roles.items()}
    assert kinds == {
        "engine": "LeaderWorkerSet",
        "decoder": "StatefulSet",
        "router": "StatefulSet",
    }
    assert len(world.pods("engine")) == 4
    leader = world.pods("engine")["llama-engine-0"]
    assert leader.metadata.labels["rbg-k8s.charm/leader"] == "true"
    environment = {e.name: e.value for e in leader.spec.containers[0].env}
    assert environment["LEADER_ADDRESS"] == "$(LWS_LEADER_ADDRESS)"
    order = [e.name for e in leader.spec.containers[0].env]
    assert order.index("LWS_LEADER_ADDRESS") < order.index("LEADER_ADDRESS")
    before = world.group("v1alpha1")["metadata"]["resourceVersion"]
    world.update()
    assert world.group("v1alpha1")["metadata"]["resourceVersion"] == before
    world.model.remove_relation("router-app:role", "llama:router")
    world.model.settle()
    world.until("active: engine 2/2, decoder 2/2")
    until(lambda: not world.pods("router"), "no router pod")


def test_a_new_template_rolls_out(world: World):
    world.deploy(engine={**SMALL, "image": "example.test/sglang:missing"})
    world.until("blocked: engine 0/1: cannot pull image example.test/sglang:missing")
    world.model.config("engine-app", image="example.test/sglang:good")
    world.model.settle()
    world.until("active: engine 1/1")


def test_several_groups_know_themselves_and_go_back_to_one(world: World):
    """RBG up to 0.6 says GROUP_NAME itself; its set is v1alpha1's."""
    options = {"model": "qwen", "groups": 2}
    world.model.deploy(ROOT, "llama", trust=True, config=options)
    world.relate("engine", nodes=2, **SMALL)
    world.relate("router")
    world.model.settle()
    world.until("active: 2 groups: engine 2/2, router 2/2")
    with pytest.raises(ApiError, match="not found"):
        world.group("v1alpha1")
    label = "rolebasedgroup.workloads.x-k8s.io/name"
    for pod in (*world.pods("engine").values(), *world.pods("router").values()):
        own = [e.value for e in pod.spec.containers[0].env if e.name == "GROUP_NAME"]
        assert own == [pod.metadata.labels[label]]
        assert own[0] in ("llama-0", "llama-1")
    for pod in world.pods("router").values():
        assert f"{label}=$(GROUP_NAME)" in pod.spec.containers[0].args
    result = world.model.run("llama/leader", "scale", {"groups": 1, "allow-recreate": True})
    assert result.status == "completed", result.message
    world.model.settle()
    world.until("active: 1 group (held): engine 1/1, router 1/1")
    names = {p.metadata.labels[label] for p in world.pods("router").values()}
    assert names == {"llama"}
