"""The HorizontalPodAutoscaler in miniature: keeps a count within its bounds, measures nothing.

As on a cluster without a metrics server: `minReplicas` and `maxReplicas` are obeyed, and the
conditions and events tell that there is no selector, or no metric.
"""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

from rig.embedded import scale
from rig.embedded.kinds import Kind
from rig.embedded.objects import Obj, StatusError, now
from rig.embedded.store import Event, Key, Store

_HPA = ("autoscaling", "horizontalpodautoscalers")
_MANAGER = "kube-controller-manager"
# Type of a metric to the API that would have it.
_APIS = {"Resource": "resource", "Pods": "custom", "Object": "custom", "External": "external",
         "ContainerResource": "resource"}  # fmt: skip


class Autoscaler:
    """Plays the controller on the store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._pending: set[Key] = set()
        store.listeners.append(self._saw)

    def _saw(self, event: Event) -> None:
        _, word, key, obj, _ = event
        if word == "DELETED":
            return
        if key[0] == _HPA:
            self._soon(key)
        elif (kind := self._store.kinds.get(key[0])) and kind.scale:
            for hpa in self._store.all(_HPA[1], _HPA[0], key[1]):
                target = hpa["spec"]["scaleTargetRef"]
                if (target.get("kind"), target.get("name")) == (obj["kind"], key[2]):
                    self._soon((_HPA, key[1], hpa["metadata"]["name"]))

    def _soon(self, key: Key) -> None:
        if key not in self._pending:
            self._pending.add(key)
            asyncio.get_running_loop().call_soon(self._reconcile, key)

    def _reconcile(self, key: Key) -> None:
        self._pending.discard(key)
        hpa = self._store.objects.get(key)
        if hpa is None:
            return
        target = hpa["spec"]["scaleTargetRef"]
        group = str(target.get("apiVersion", "")).rpartition("/")[0]
        kind = self._store.by_kind.get((group, target.get("kind", "")))
        try:
            if kind is None or kind.scale is None:
                raise StatusError(404, "the server could not find the requested resource")
            obj = self._store.get(kind, key[1], target.get("name", ""))
            found = scale.shown(kind, obj)
            selector = found["status"].get("selector", "")
            if selector.startswith(","):  # as RBG leaves it when it comes too early
                raise StatusError(400, "failed to parse target selector: couldn't parse the "
                                  f'selector string "{selector}"')  # fmt: skip
        except StatusError as exc:
            text = f"the HPA controller was unable to get the target's current scale: {exc}"
            self._tell(key, hpa, {}, _condition("AbleToScale", "FailedGetScale", text, False))
            self._event(hpa, "Warning", "FailedGetScale", str(exc))
            return
        self._decide(key, hpa, kind, obj, found)

    def _decide(self, key: Key, hpa: Obj, kind: Kind, obj: Obj, found: Obj) -> None:
        current = found["spec"]["replicas"]
        least, most = hpa["spec"].get("minReplicas", 1), hpa["spec"]["maxReplicas"]
        counts = {"currentReplicas": found["status"]["replicas"], "desiredReplicas": current}
        text = "the HPA controller was able to get the target's current scale"
        able = _condition("AbleToScale", "SucceededGetScale", text, True)
        if current == 0 and least != 0:
            text = "scaling is disabled since the replica count of the target is zero"
            off = _condition("ScalingActive", "ScalingDisabled", text, False)
            self._tell(key, hpa, counts, able, off)
        elif current > most:
            self._rescale(key, hpa, kind, obj, most, "above Spec.MaxReplicas")
        elif current < least:
            self._rescale(key, hpa, kind, obj, least, "below Spec.MinReplicas")
        else:
            self._tell(key, hpa, counts, able, self._unmeasured(hpa, found))

    def _rescale(self, key: Key, hpa: Obj, kind: Kind, obj: Obj, replicas: int, why: str) -> None:
        text = f"the HPA controller was able to update the target scale to {replicas}"
        able = _condition("AbleToScale", "SucceededRescale", text, True)
        counts = {"desiredReplicas": replicas, "lastScaleTime": now()}
        self._tell(key, hpa, counts, able)
        self._event(hpa, "Normal", "SuccessfulRescale",
                    f"New size: {replicas}; reason: Current number of replicas {why}")  # fmt: skip
        new = scale.scaled(kind, obj, {"spec": {"replicas": replicas}})
        self._store.update(kind, obj, new, manager=_MANAGER, subresource="scale")

    def _unmeasured(self, hpa: Obj, found: Obj) -> Obj:
        """Within the bounds a metric would decide, and there is none."""
        if not found["status"].get("selector"):
            self._event(hpa, "Warning", "SelectorRequired", "selector is required")
            self._event(hpa, "Warning", "FailedComputeMetricsReplicas", "selector is required")
            text = "the HPA target's scale is missing a selector"
            return _condition("ScalingActive", "InvalidSelector", text, False)
        metrics: list[Obj] = hpa["spec"].get("metrics") or [{}]
        kind = metrics[0].get("type", "Resource")
        what = (metrics[0].get("resource") or {}).get("name", "cpu")
        reason = f"FailedGet{kind}Metric"
        text = (
            f"unable to get metrics for resource {what}: unable to fetch metrics from "
            f"{_APIS.get(kind, 'custom')} metrics API: the server could not find the requested "
            "resource"
        )
        self._event(hpa, "Warning", reason, text)
        self._event(hpa, "Warning", "FailedComputeMetricsReplicas",
                    f"invalid metrics (1 invalid out of 1), first error is: {text}")  # fmt: skip
        text = f"the HPA was unable to compute the replica count: {text}"
        return _condition("ScalingActive", reason, text, False)

    def _tell(self, key: Key, hpa: Obj, counts: Obj, *conditions: Obj) -> None:
        status: Obj = {"desiredReplicas": 0, **(hpa.get("status") or {}), **counts}
        before = {c["type"]: c for c in status.get("conditions") or []}
        for condition in conditions:
            old = before.get(condition["type"], {})
            same = old.get("status") == condition["status"]
            condition["lastTransitionTime"] = old["lastTransitionTime"] if same else now()
            before[condition["type"]] = condition
        status["conditions"] = list(before.values())
        kind = self._store.kinds[_HPA]
        live = self._store.objects[key]
        self._store.update(kind, live, {**live, "status": status}, subresource="status")

    def _event(self, hpa: Obj, word: str, reason: str, message: str) -> None:
        """Told once: the same event again is not counted."""
        meta = hpa["metadata"]
        text = f"{meta['uid']}{reason}{message}"
        name = f"{meta['name']}.{hashlib.sha1(text.encode()).hexdigest()[:16]}"
        if (("", "events"), meta["namespace"], name) in self._store.objects:
            return
        about: dict[str, Any] = {key: meta[key] for key in ("name", "namespace", "uid")}
        source = "horizontal-pod-autoscaler"
        self._store.create(self._store.kinds["", "events"], meta["namespace"], {
            "apiVersion": "v1", "kind": "Event", "metadata": {"name": name},
            "involvedObject": {**about, "apiVersion": hpa["apiVersion"], "kind": hpa["kind"]},
            "type": word, "reason": reason, "message": message, "count": 1,
            "firstTimestamp": now(), "lastTimestamp": now(),
            "source": {"component": source}, "reportingComponent": source,
        })  # fmt: skip


def _condition(kind: str, reason: str, message: str, good: bool) -> Obj:
    return {"type": kind, "status": str(good), "reason": reason, "message": message}
