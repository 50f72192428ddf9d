"""The embedded scheduler, kubelet and workload controllers."""

from __future__ import annotations

from typing import Any

import pytest
from lightkube.resources.apps_v1 import Deployment, StatefulSet
from lightkube.resources.core_v1 import Event, Pod
from lightkube.types import PatchType
from standin_world import Here, Obj, raw, until

pytestmark = pytest.mark.embedded_only


def _workload(kind: Any, name: str, replicas: int = 2, image: str = "e:1", **more: Any) -> Any:
    container: Obj = {"name": "c", "image": image}
    if gpus := more.pop("gpus", 0):
        container["resources"] = {"limits": {"nvidia.com/gpu": str(gpus)}}
    template = {"metadata": {"labels": {"app": name}, "annotations": more},
                "spec": {"containers": [container]}}  # fmt: skip
    return kind.from_dict({
        "metadata": {"name": name}, "spec": {
            "replicas": replicas, "serviceName": name, "template": template,
            "selector": {"matchLabels": {"app": name}}},
    })  # fmt: skip


def _pods(here: Here, name: str) -> list[Obj]:
    return [raw(pod) for pod in here.client.list(Pod, labels={"app": name})]


def _condition(pod: Obj, kind: str) -> Obj:
    found = [c for c in pod.get("status", {}).get("conditions") or [] if c["type"] == kind]
    return found[0] if found else {}


@pytest.mark.parametrize("kind", [StatefulSet, Deployment])
def test_workloads_run(here: Here, kind: Any) -> None:
    def counts() -> tuple[Any, ...]:
        status = raw(here.client.get(kind, "w")).get("status") or {}
        return tuple(status.get(k) for k in ("replicas", "readyReplicas", "updatedReplicas"))

    here.client.apply(_workload(kind, "w"), field_manager="m")
    until(lambda: counts() == (2, 2, 2))
    here.client.apply(_workload(kind, "w", 3, "e:2"), field_manager="m")
    until(lambda: counts() == (3, 3, 3))
    until(lambda: {p["spec"]["containers"][0]["image"] for p in _pods(here, "w")} == {"e:2"})
    here.client.apply(_workload(kind, "w", 0, "e:2"), field_manager="m")
    until(lambda: not _pods(here, "w"))


def test_images_that_are_missing_and_crashes(here: Here) -> None:
    here.client.create(_workload(StatefulSet, "pull", 1, "lmsysorg/sglang:missing"))
    here.client.create(_workload(StatefulSet, "crash", 1, crash="true"))
    here.client.create(_workload(StatefulSet, "held", 1, hold="true"))

    def waiting(name: str) -> Obj:
        pods = _pods(here, name)
        statuses = pods[0].get("status", {}).get("containerStatuses") if pods else None
        return (statuses or [{}])[0].get("state", {}).get("waiting") or {}

    until(lambda: waiting("pull").get("reason") == "ImagePullBackOff")
    assert waiting("pull")["message"] == 'Back-off pulling image "lmsysorg/sglang:missing"'
    assert _pods(here, "pull")[0]["status"]["phase"] == "Pending"
    until(lambda: waiting("crash").get("reason") == "CrashLoopBackOff")
    assert _condition(_pods(here, "crash")[0], "Ready")["status"] == "False"
    held = _pods(here, "held")[0]
    assert held["status"]["phase"] == "Pending"
    assert not held["status"].get("conditions")
    here.client.patch(
        Pod, "held-0", {"metadata": {"annotations": {"hold": None}}}, patch_type=PatchType.MERGE
    )
    until(lambda: _condition(_pods(here, "held")[0], "Ready").get("status") == "True")


def test_gpus_are_counted(here: Here) -> None:
    text = "0/4 nodes are available: 4 Insufficient nvidia.com/gpu."
    here.client.create(_workload(StatefulSet, "big", 1, gpus=9))
    here.client.create(_workload(StatefulSet, "all", 5, gpus=8))

    def pending(name: str) -> list[Obj]:
        return [
            p for p in _pods(here, name) if _condition(p, "PodScheduled").get("message") == text
        ]

    until(lambda: pending("big"))
    assert _condition(pending("big")[0], "PodScheduled")["reason"] == "Unschedulable"
    until(lambda: len(pending("all")) == 1)
    name = pending("all")[0]["metadata"]["name"]
    events = here.client.list(Event, fields={"involvedObject.name": name})
    assert [(e.reason, e.message) for e in events] == [("FailedScheduling", text)]
    # A place that gets free is taken.
    other = next(p for p in _pods(here, "all") if p["metadata"]["name"] != name)
    here.client.apply(_workload(StatefulSet, "big", 0), field_manager="m", force=True)
    here.client.delete(Pod, other["metadata"]["name"])
    until(lambda: name not in [p["metadata"]["name"] for p in pending("all")])
