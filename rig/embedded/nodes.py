"""A scheduler and a kubelet in miniature: what a pod's status would say, without containers.

A pod is scheduled at once, and its containers run after ``delay`` seconds, unless

* it asks for more ``nvidia.com/gpu`` than any node has left: ``PodScheduled=False``, reason
  Unschedulable, a FailedScheduling event; it is tried again whenever a pod goes;
* its ``schedulerName`` is not ``default-scheduler``: it stays Pending without any condition;
* it is annotated ``hold: "true"``: it stays Pending until the annotation goes;
* an image has the tag ``missing``: ImagePullBackOff;
* it is annotated ``crash: "true"``: its first container ends, CrashLoopBackOff.

An image changed in a running pod (RBG's in-place update) is "pulled" the same way.
"""

from __future__ import annotations

import asyncio
import copy
import itertools
from typing import Any

from rig.embedded.objects import Obj, now, quantity
from rig.embedded.store import Event, Key, Store

GPU = "nvidia.com/gpu"
NODES = 4
GPUS_PER_NODE = 8


class Nodes:
    """Plays scheduler and kubelet on the store."""

    def __init__(self, store: Store, *, delay: float) -> None:
        self._store = store
        self._delay = delay
        self._addresses = itertools.count(2)
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._waiting: set[Key] = set()
        for index in range(NODES):
            self._add_node(f"node-{index}")
        store.listeners.append(self._saw)

    def _add_node(self, name: str) -> None:
        resources = {"cpu": "64", "memory": "512Gi", "pods": "110", GPU: str(GPUS_PER_NODE)}
        kind = self._store.kinds["", "nodes"]
        node = self._store.create(kind, "", {
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
        })  # fmt: skip
        status = {
            "capacity": resources, "allocatable": resources,
            "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady",
                            "lastTransitionTime": now()}],
        }  # fmt: skip
        self._store.update(kind, node, {**node, "status": status}, subresource="status")

    def _saw(self, event: Event) -> None:
        _, word, key, obj, old = event
        if key[0] != ("", "pods"):
            return
        loop = asyncio.get_running_loop()
        if word == "DELETED":
            self._waiting.discard(key)
            if timer := self._timers.pop(obj["metadata"]["uid"], None):
                timer.cancel()
            for other in list(self._waiting):
                loop.call_soon(self._look, other)
        elif old is None or _asks(obj) != _asks(old):
            loop.call_soon(self._look, key)

    def _look(self, key: Key) -> None:
        pod = self._store.objects.get(key)
        if pod is None or pod.get("status", {}).get("phase") in ("Succeeded", "Failed"):
            return
        if pod["spec"].get("schedulerName", "default-scheduler") != "default-scheduler":
            return
        if (pod["metadata"].get("annotations") or {}).get("hold") == "true":
            return
        if not pod["spec"].get("nodeName"):
            node = self._fit(pod)
            if node is None:
                self._waiting.add(key)
                self._unschedulable(pod)
                return
            self._waiting.discard(key)
            kind = self._store.kinds["", "pods"]
            pod = self._store.update(kind, pod, {**pod, "spec": {**pod["spec"], "nodeName": node}})
            self._status(pod, conditions=[_condition("PodScheduled", True)])
        elif pod["status"].get("containerStatuses"):
            # Something running changed: its containers stop before the new ones start.
            stopped = ("ContainersNotReady", "containers with unready status")
            self._status(
                pod,
                conditions=[_condition(k, False, *stopped) for k in ("ContainersReady", "Ready")],
            )
        uid = pod["metadata"]["uid"]
        if timer := self._timers.pop(uid, None):
            timer.cancel()
        loop = asyncio.get_running_loop()
        self._timers[uid] = loop.call_later(self._delay, self._run, key, uid)

    # --- scheduling ----------------------------------------------------------------------

    def _fit(self, pod: Obj) -> str | None:
        wanted = _gpus(pod)
        used: dict[str, int] = {f"node-{index}": 0 for index in range(NODES)}
        for other in self._store.all("pods"):
            node = other["spec"].get("nodeName")
            if node in used and other["status"].get("phase") not in ("Succeeded", "Failed"):
                used[node] += _gpus(other)
        free = [node for node in used if used[node] + wanted <= GPUS_PER_NODE]
        return min(free, key=lambda node: (used[node], node)) if free else None

    def _unschedulable(self, pod: Obj) -> None:
        text = f"0/{NODES} nodes are available: {NODES} Insufficient {GPU}."
        condition = _condition("PodScheduled", False, "Unschedulable", text)
        if not any(c.get("message") == text for c in pod["status"].get("conditions") or []):
            self._status(pod, conditions=[condition])
            self._event(pod, "Warning", "FailedScheduling", text, "default-scheduler")

    # --- running -------------------------------------------------------------------------

    def _run(self, key: Key, uid: str) -> None:
        self._timers.pop(uid, None)
        pod = self._store.objects.get(key)
        if pod is None or pod["metadata"]["uid"] != uid:
            return
        meta, containers = pod["metadata"], pod["spec"].get("containers") or []
        crash = (meta.get("annotations") or {}).get("crash") == "true"
        before = {c["name"]: c for c in pod["status"].get("containerStatuses") or []}
        statuses = [
            _container(c, before.get(c["name"]), crash=crash and index == 0)
            for index, c in enumerate(containers)
        ]
        ready = all(status["ready"] for status in statuses)
        missing = [c["image"] for c in containers if _missing(c.get("image", ""))]
        reason = "" if ready else "ContainersNotReady"
        unready = " ".join(s["name"] for s in statuses if not s["ready"])
        text = "" if ready else f"containers with unready status: [{unready}]"
        ip = pod["status"].get("podIP") or f"10.244.0.{next(self._addresses)}"
        self._status(
            pod,
            phase="Pending" if missing and len(missing) == len(containers) else "Running",
            conditions=[
                _condition("PodScheduled", True),
                _condition("Initialized", True),
                *(
                    _condition(gate["conditionType"], True)
                    for gate in pod["spec"].get("readinessGates") or []
                ),
                _condition("ContainersReady", ready, reason, text),
                _condition("Ready", ready, reason, text),
            ],
            containerStatuses=statuses,
            podIP=ip, podIPs=[{"ip": ip}], hostIP="127.0.0.1",
            startTime=pod["status"].get("startTime") or now(),
        )  # fmt: skip
        for image in missing:
            self._event(pod, "Warning", "Failed",
                        f'Failed to pull image "{image}": not found', "kubelet")  # fmt: skip
        if crash:
            self._event(pod, "Warning", "BackOff",
                        "Back-off restarting failed container", "kubelet")  # fmt: skip

    # --- writing -------------------------------------------------------------------------

    def _status(self, pod: Obj, *, conditions: list[Obj], **fields: Any) -> None:
        meta = pod["metadata"]
        key: Key = (("", "pods"), meta["namespace"], meta["name"])
        live = self._store.objects.get(key)
        if live is None:
            return
        status = copy.deepcopy(live.get("status") or {})
        status.update(fields)
        kept = {c["type"]: c for c in status.get("conditions") or []}
        for condition in conditions:
            old = kept.get(condition["type"])
            if old and old["status"] == condition["status"]:
                condition["lastTransitionTime"] = old.get("lastTransitionTime")
            kept[condition["type"]] = condition
        status["conditions"] = list(kept.values())
        kind = self._store.kinds["", "pods"]
        self._store.update(kind, live, {**live, "status": status}, subresource="status")

    def _event(self, pod: Obj, word: str, reason: str, message: str, source: str) -> None:
        meta = pod["metadata"]
        if (("", "namespaces"), "", meta["namespace"]) not in self._store.objects:
            return
        self._store.create(self._store.kinds["", "events"], meta["namespace"], {
            "apiVersion": "v1", "kind": "Event",
            "metadata": {"generateName": f"{meta['name']}."},
            "involvedObject": {"apiVersion": "v1", "kind": "Pod", "name": meta["name"],
                               "namespace": meta["namespace"], "uid": meta["uid"]},
            "type": word, "reason": reason, "message": message, "count": 1,
            "firstTimestamp": now(), "lastTimestamp": now(), "source": {"component": source},
        })  # fmt: skip


def _asks(pod: Obj) -> Any:
    """What makes the kubelet or the scheduler look at a pod again."""
    notes = pod["metadata"].get("annotations") or {}
    images = [(c["name"], c.get("image")) for c in pod["spec"].get("containers") or []]
    return images, notes.get("hold"), notes.get("crash")


def _gpus(pod: Obj) -> int:
    total = 0
    for container in pod["spec"].get("containers") or []:
        resources = container.get("resources") or {}
        wanted = {**(resources.get("limits") or {}), **(resources.get("requests") or {})}
        total += quantity(wanted.get(GPU, 0))
    return total


def _missing(image: str) -> bool:
    return image.rpartition("/")[2].endswith(":missing")


def _condition(kind: str, status: bool, reason: str = "", message: str = "") -> Obj:
    condition: Obj = {
        "type": kind, "status": str(status), "lastProbeTime": None, "lastTransitionTime": now(),
    }  # fmt: skip
    if reason:
        condition["reason"] = reason
    if message:
        condition["message"] = message
    return condition


def _container(container: Obj, before: Obj | None, *, crash: bool) -> Obj:
    image = container.get("image", "")
    status: Obj = {
        "name": container["name"], "image": image, "imageID": f"sim://{image}",
        "ready": False, "started": False, "lastState": {},
        "restartCount": (before or {}).get("restartCount", 0),
    }  # fmt: skip
    if _missing(image):
        status["imageID"] = ""
        status["state"] = {"waiting": {
            "reason": "ImagePullBackOff", "message": f'Back-off pulling image "{image}"',
        }}  # fmt: skip
    elif crash:
        ended = {"exitCode": 1, "reason": "Error", "startedAt": now(), "finishedAt": now()}
        status["restartCount"] += 1
        status["lastState"] = {"terminated": ended}
        status["state"] = {"waiting": {
            "reason": "CrashLoopBackOff",
            "message": f"back-off 10s restarting failed container={container['name']}",
        }}  # fmt: skip
    else:
        started = (before or {}).get("state", {}).get("running", {}).get("startedAt")
        if before and before["image"] != image:
            # Another image in place: the container was stopped and started again.
            status["restartCount"], started = before["restartCount"] + 1, None
        status |= {"ready": True, "started": True}
        status["state"] = {"running": {"startedAt": started or now()}}
    return status
