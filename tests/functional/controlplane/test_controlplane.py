"""The control plane is the real thing, and its pods do what a test asks of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from lightkube import ApiError, Client
from lightkube.generic_resource import create_namespaced_resource
from lightkube.models.core_v1 import ContainerStatus, PodStatus
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.apps_v1 import Deployment, StatefulSet
from lightkube.resources.core_v1 import ConfigMap, Node, Pod
from lightkube.types import PatchType

from rig.controlplane import Cluster, ControlPlane, ExternalCluster, build, until

ROOT = Path(__file__).parents[3]
LeaderWorkerSet = create_namespaced_resource(
    "leaderworkerset.x-k8s.io", "v1", "LeaderWorkerSet", "leaderworkersets"
)


@pytest.fixture(scope="module")
def own(control_plane: Cluster) -> ControlPlane:
    """Our own control plane; these tests say nothing about a cluster of the user's."""
    if not isinstance(control_plane, ControlPlane):
        pytest.skip("about our own control plane only")
    return control_plane


@pytest.fixture
def client(own: ControlPlane) -> Iterator[Client]:
    with own.namespace() as namespace:
        yield own.client(namespace)


def template(image: str = "engine:1", gpus: int = 0, **annotations: str) -> dict[str, Any]:
    container: dict[str, Any] = {"name": "engine", "image": image}
    if gpus:
        container["resources"] = {"limits": {"nvidia.com/gpu": gpus}}
    return {
        "metadata": {"labels": {"app": "x"}, "annotations": annotations},
        "spec": {"containers": [container, {"name": "sidecar", "image": "sidecar:1"}]},
    }


def workload(replicas: int, **pod: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "x"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "x"}},
            "template": template(**pod),
        },
    }


def a_pod(client: Client, **kind: Any) -> str:
    pod = template(**kind)
    pod["metadata"]["name"] = "x"
    client.create(Pod.from_dict(pod))
    return "x"


def status_when(client: Client, true: Callable[[PodStatus], Any], name: str = "x") -> PodStatus:
    """Wait until a pod's status is as asked, and return it."""

    def probe() -> PodStatus | None:
        status = client.get(Pod, name).status
        return status if status is not None and true(status) else None

    status = until(probe, f"pod {name}", tolerate=(ApiError,))
    assert status is not None
    return status


def condition(status: PodStatus, kind: str) -> str | None:
    return next((c.status for c in status.conditions or [] if c.type == kind), None)


def ready(status: PodStatus) -> bool:
    return condition(status, "Ready") == "True"


def waiting(status: PodStatus, reason: str) -> ContainerStatus | None:
    for one in [*(status.initContainerStatuses or []), *(status.containerStatuses or [])]:
        if one.state and one.state.waiting and one.state.waiting.reason == reason:
            return one
    return None


def test_it_starts_with_four_nodes(own: ControlPlane) -> None:
    assert own.api.get("/version")["gitVersion"] == "v1.36.3"
    nodes = {node.metadata.name: node for node in own.client().list(Node) if node.metadata}
    assert sorted(nodes) == ["kwok-0", "kwok-1", "kwok-2", "kwok-3"]
    racks = [(node.metadata.labels or {}).get("rack") for _, node in sorted(nodes.items())]
    assert racks == ["r0", "r0", "r1", "r1"]
    for node in nodes.values():
        assert node.status is not None
        assert (node.status.allocatable or {})["nvidia.com/gpu"] == "8"


def test_a_deployment_becomes_available(client: Client) -> None:
    client.create(Deployment.from_dict(workload(3)))
    until(
        lambda: (s := client.get(Deployment, "x").status) and s.availableReplicas == 3,
        "three replicas available",
    )


def test_an_image_with_the_tag_missing_is_never_pulled(client: Client) -> None:
    client.create(StatefulSet.from_dict({**workload(1, image="registry.test/engine:missing")}))
    status = status_when(client, lambda s: waiting(s, "ImagePullBackOff"), "x-0")
    assert status.phase == "Pending"
    assert condition(status, "PodScheduled") == "True"
    assert not ready(status)
    container = waiting(status, "ImagePullBackOff")
    assert container is not None and container.name == "engine"
    assert container.state is not None and container.state.waiting is not None
    said = container.state.waiting.message
    assert said == 'Back-off pulling image "registry.test/engine:missing"'


def test_a_pod_gets_ready_when_its_image_is_put_right(client: Client) -> None:
    a_pod(client, image="engine:missing")
    status_when(client, lambda s: waiting(s, "ImagePullBackOff"))
    set_image(client, "engine:2")
    status = status_when(client, ready)
    assert [c.image for c in status.containerStatuses or []] == ["engine:2", "sidecar:1"]


def test_a_running_pod_fails_when_its_image_is_broken_in_place(client: Client) -> None:
    a_pod(client)
    status_when(client, ready)
    set_image(client, "engine:missing")
    status = status_when(client, lambda s: waiting(s, "ImagePullBackOff"))
    assert status.phase == "Running"
    assert not ready(status)
    set_image(client, "engine:2")
    status_when(client, ready)


def test_an_init_container_can_be_the_one_that_fails(client: Client) -> None:
    pod = template()
    pod["metadata"]["name"] = "x"
    pod["spec"]["initContainers"] = [{"name": "fetch", "image": "fetch:missing"}]
    client.create(Pod.from_dict(pod))
    status = status_when(client, lambda s: waiting(s, "ImagePullBackOff"))
    container = waiting(status, "ImagePullBackOff")
    assert container is not None and container.name == "fetch"
    assert condition(status, "Initialized") == "False"
    assert [c.state.waiting.reason for c in status.containerStatuses or []] == [  # type: ignore
        "PodInitializing",
        "PodInitializing",
    ]
    patch = {"spec": {"initContainers": [{"name": "fetch", "image": "fetch:1"}]}}
    client.patch(Pod, "x", patch, patch_type=PatchType.STRATEGIC)
    status_when(client, ready)


def test_an_image_changed_in_place_shows_as_a_new_image_id(client: Client) -> None:
    a_pod(client)
    before = status_when(client, ready)
    set_image(client, "engine:2")
    after = status_when(
        client, lambda s: [c.image for c in s.containerStatuses or []][:1] == ["engine:2"]
    )
    old, new = (before.containerStatuses or [])[0], (after.containerStatuses or [])[0]
    assert old.imageID != new.imageID
    assert (old.restartCount, new.restartCount) == (0, 1)
    assert (after.containerStatuses or [])[1].restartCount == 0


def test_a_pod_can_be_held_back_and_let_go(client: Client) -> None:
    a_pod(client, hold="true")
    a_pod_named_y = template()
    a_pod_named_y["metadata"]["name"] = "y"
    client.create(Pod.from_dict(a_pod_named_y))
    # When a pod made later is ready, the held one would have been too.
    status_when(client, ready, "y")
    held = status_when(client, lambda s: condition(s, "PodScheduled") == "True")
    assert held.phase == "Pending" and not held.containerStatuses
    annotate(client, hold=None)
    status_when(client, ready)


@pytest.mark.parametrize("after", [None, "false"])
def test_a_pod_can_crash_and_come_back(client: Client, after: str | None) -> None:
    a_pod(client)
    status_when(client, ready)
    annotate(client, crash="true")
    status = status_when(client, lambda s: waiting(s, "CrashLoopBackOff"))
    container = waiting(status, "CrashLoopBackOff")
    assert container is not None and container.name == "engine"
    assert container.restartCount == 3
    assert container.lastState is not None and container.lastState.terminated is not None
    assert container.lastState.terminated.exitCode == 1
    assert container.lastState.terminated.reason == "Error"
    assert status.phase == "Running" and condition(status, "Ready") == "False"
    annotate(client, crash=after)
    status = status_when(client, ready)
    assert (status.containerStatuses or [])[0].restartCount == 4


def test_a_pod_can_crash_from_its_start(client: Client) -> None:
    a_pod(client, crash="true")
    status_when(client, lambda s: waiting(s, "CrashLoopBackOff"))


def test_more_gpus_than_a_node_has_cannot_be_scheduled(client: Client) -> None:
    a_pod(client, gpus=9)
    status = status_when(client, lambda s: condition(s, "PodScheduled") == "False")
    (said,) = [c for c in status.conditions or [] if c.type == "PodScheduled"]
    assert said.reason == "Unschedulable"
    assert "Insufficient nvidia.com/gpu" in (said.message or "")


def test_a_leader_worker_set_gets_all_its_pods_ready(client: Client) -> None:
    group = {
        "replicas": 2,
        "leaderWorkerTemplate": {"size": 2, "workerTemplate": template(gpus=1)},
    }
    client.create(LeaderWorkerSet(metadata=ObjectMeta(name="x"), spec=group))
    until(
        lambda: (client.get(LeaderWorkerSet, "x").status or {}).get("readyReplicas") == 2,
        "two groups ready",
    )
    pods = list(client.list(Pod))
    names = sorted(str(pod.metadata.name) for pod in pods if pod.metadata)
    assert names == ["x-0", "x-0-1", "x-1", "x-1-1"]
    for name in names:
        status_when(client, ready, name)
    # The controller's webhook did its part.
    (leader,) = [pod for pod in pods if pod.metadata and pod.metadata.name == "x-0"]
    assert leader.spec is not None
    env = {one.name for one in leader.spec.containers[0].env or []}
    assert {"LWS_LEADER_ADDRESS", "LWS_GROUP_SIZE", "LWS_WORKER_INDEX"} <= env


def test_a_service_account_may_do_nothing_until_it_is_bound(own: ControlPlane) -> None:
    with own.namespace() as namespace:
        kubeconfig = own.service_account_kubeconfig(namespace, "llama")
        account = own.client_for(kubeconfig)
        assert account.namespace == namespace
        with pytest.raises(ApiError) as refused:
            list(account.list(ConfigMap))
        assert refused.value.status.code == 403
        assert f'"system:serviceaccount:{namespace}:llama"' in str(refused.value)
        # A second time the account is there already.
        own.service_account_kubeconfig(namespace, "llama")


def test_a_cluster_of_the_user_is_taken_as_it_is(
    own: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Ours plays the user's: all that is known of it is a kubeconfig.
    monkeypatch.setenv("KUBECONFIG", str(own.kubeconfig()))
    with ExternalCluster() as cluster, cluster.namespace() as namespace:
        assert cluster.url == own.url
        assert cluster.client(namespace).namespace == namespace
        account = cluster.client_for(cluster.service_account_kubeconfig(namespace, "llama"))
        with pytest.raises(ApiError, match="llama"):
            account.get(ConfigMap, "x")
        definition = {"metadata": {"name": "leaderworkersets.leaderworkerset.x-k8s.io"}}
        cluster.install_crds([definition])
        with pytest.raises(RuntimeError, match=r"has no nothing\.x-k8s\.io"):
            cluster.install_crds([{"metadata": {"name": "nothing.x-k8s.io"}}])
        with pytest.raises(RuntimeError, match=r"has no \w+\.workloads\.x-k8s\.io"):
            cluster.install_release()
        cluster.remove_crds()
        # The definition that was asked for is still there.
        cluster.install_crds([definition])
    assert own.kubeconfig().exists()


def test_stop_leaves_nothing_behind() -> None:
    with ControlPlane.start(lws=False) as cluster:
        pids = list(cluster.pids.values())
        assert len(pids) == 5
    assert not any(running(pid) for pid in pids)
    assert not cluster.run_dir.exists()
    cluster.stop()


def test_the_logs_can_be_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RBG_KEEP_RUN", "1")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with ControlPlane.start(lws=False) as cluster:
        logs = cluster.logs
    assert sorted(logs) == sorted(build.KUBERNETES)
    assert all(log.is_relative_to(tmp_path) and log.is_file() for log in logs.values())


@pytest.mark.skipif(sys.platform != "linux", reason="needs prctl")
def test_nothing_outlives_a_killed_test_run(tmp_path: Path) -> None:
    script = (
        "from rig.controlplane import ControlPlane\n"
        "cluster = ControlPlane.start(lws=False)\n"
        "print(*cluster.pids.values(), flush=True)\n"
        "input()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=ROOT,
        # Killed, it cannot remove its run directory: pytest does.
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        pids = process.stdout.readline().split()
        assert len(pids) == 5 and all(running(int(pid)) for pid in pids)
        process.send_signal(signal.SIGKILL)
    until(lambda: not any(running(int(pid)) for pid in pids), "the end of everything")


def running(pid: int) -> bool:
    """Tell whether a process still runs; one that is only not yet reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def set_image(client: Client, image: str) -> None:
    patch = {"spec": {"containers": [{"name": "engine", "image": image}]}}
    client.patch(Pod, "x", patch, patch_type=PatchType.STRATEGIC)


def annotate(client: Client, **annotations: str | None) -> None:
    client.patch(Pod, "x", {"metadata": {"annotations": annotations}})
