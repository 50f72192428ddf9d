"""Events, written once and counted up after that."""

from __future__ import annotations

import logging
import time

from rig.standin import names
from rig.standin.kube import ApiError, Kube, now
from rig.standin.names import Obj

log = logging.getLogger("rig.standin")
# Which of the controllers speaks about a kind.
_SOURCES = {
    "RoleBasedGroup": "RoleBasedGroup",
    "RoleBasedGroupScalingAdapter": "RoleBasedGroupScalingAdapter",
}


class Events:
    """What is said about groups and adapters."""

    def __init__(self, kube: Kube) -> None:
        self._kube = kube
        self._known: dict[tuple[str, str, str], Obj] = {}
        self._again: dict[tuple[str, str, str], float] = {}

    async def event(self, about: Obj, kind: str, reason: str, message: str) -> None:
        """An event about an object; the same one again only counts up."""
        meta = about["metadata"]
        key = (meta["uid"], reason, message)
        known = self._known.get(key)
        path = self._kube.res["event"].path(meta["namespace"])
        try:
            if known is not None:
                known["count"] += 1
                # Many passes in a row write their number once.
                if time.monotonic() < self._again.get(key, 0):
                    return
                self._again[key] = time.monotonic() + 0.5
                patch = {"count": known["count"], "lastTimestamp": now()}
                where = f"{path}/{known['metadata']['name']}"
                await self._kube.request(
                    "PATCH", where, patch, content_type="application/merge-patch+json"
                )
                return
            source = _SOURCES[about["kind"]]
            self._known[key] = await self._kube.request("POST", path, {
                "apiVersion": "v1", "kind": "Event",
                "metadata": {"name": f"{meta['name']}.{names.digest(key)}",
                             "namespace": meta["namespace"]},
                "involvedObject": {
                    "apiVersion": about["apiVersion"], "kind": about["kind"],
                    "name": meta["name"], "namespace": meta["namespace"], "uid": meta["uid"],
                },
                "type": kind, "reason": reason, "message": message, "count": 1,
                "firstTimestamp": now(), "lastTimestamp": now(),
                "source": {"component": source}, "reportingComponent": source,
            })  # fmt: skip
        except ApiError as exc:
            log.debug("event %s: %r", reason, exc)
