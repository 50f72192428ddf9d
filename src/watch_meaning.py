# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""What a change is: the part of a group and its pods that the charm's health line depends on.

Mirrors `causes.py` and `rolepods.py`, which it cannot import in the watcher's container.
"""

from __future__ import annotations

import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

GROUP_LABEL, ROLE_LABEL = "rbg-k8s.charm/group", "rbg-k8s.charm/role"
TEMPLATE_DIGEST = "rbg-k8s.charm/template-digest"


def pod_meaning(pod: Any) -> tuple[int, str, bool]:
    """Digest of what the charm judges a pod by, the role it belongs to, whether it is ready."""
    meta, spec, status = (_part(pod, key) for key in ("metadata", "spec", "status"))
    labels, annotations = _part(meta, "labels"), _part(meta, "annotations")
    conditions = {
        c.get("type"): (c.get("status"), c.get("reason"), c.get("message"))
        for c in _items(status, "conditions")
        if c.get("type") in ("Ready", "ContainersReady", "PodScheduled")
    }
    going = bool(meta.get("deletionTimestamp"))
    images = [
        c.get("image") for key in ("initContainers", "containers") for c in _items(spec, key)
    ]
    containers = [
        _container(c)
        for key in ("initContainerStatuses", "containerStatuses")
        for c in _items(status, key)
    ]
    digest = _hash(
        [
            [meta.get("uid"), labels, annotations.get(TEMPLATE_DIGEST), going],
            [bool(spec.get("nodeName")), images],
            [status.get("phase"), status.get("reason"), conditions],
            containers,
        ]
    )
    ready = (
        not going
        and status.get("phase") not in ("Succeeded", "Failed")
        and conditions.get("Ready", ("",))[0] == "True"
        and conditions.get("ContainersReady", ("",))[0] != "False"
    )
    return digest, labels.get(ROLE_LABEL, ""), ready


def _container(status: Any) -> list[Any]:
    waiting = _part(_part(status, "state"), "waiting")
    ends = [_part(_part(status, key), "terminated") for key in ("state", "lastState")]
    return [
        status.get("name"),
        status.get("restartCount"),
        [waiting.get("reason"), waiting.get("message")],
        [[end.get("reason"), end.get("exitCode")] for end in ends],
    ]


def group_meaning(group: Any) -> tuple[int, dict[str, int]]:
    """Digest of a group (or a set of groups), and the ready pods each role is to have."""
    meta, spec = _part(group, "metadata"), _part(group, "spec")
    told = [meta.get(key) for key in ("uid", "generation", "labels", "annotations")]
    told += [bool(meta.get("deletionTimestamp")), _timeless(_part(group, "status"))]
    # A set wraps the spec of its groups: `template` in v1alpha1, `groupTemplate.spec` since.
    wrapped = _part(_part(spec, "groupTemplate"), "spec") or _part(spec, "template")
    copies = _count(spec, "replicas") if wrapped else 1
    roles = _items(wrapped or spec, "roles")
    return _hash(told), {r["name"]: copies * _count(r, "replicas") * _size(r) for r in roles}


def _size(role: Any) -> int:
    """Pods per replica."""
    components = _items(_part(role, "customComponentsPattern"), "components")
    if components:
        return sum(_count(c, "size") for c in components)
    return _count(_part(role, "leaderWorkerPattern") or _part(role, "leaderWorkerSet"), "size")


def _part(tree: Any, key: str) -> Any:
    found = tree.get(key)
    return found if found else {}


def _items(tree: Any, key: str) -> Any:
    found = tree.get(key)
    return found if found else ()


def _count(tree: Any, key: str) -> int:
    found = tree.get(key)
    return found if isinstance(found, int) else 1


def _timeless(tree: Any) -> Any:
    """The same without its timestamps, which RBG renews while nothing happens."""
    return json.loads(json.dumps(tree), object_hook=_without_times)


def _without_times(found: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in found.items() if not key.endswith("Time")}


def _hash(tree: Any) -> int:
    # Of this process only (Python salts it), which is all it is compared within.
    return hash(json.dumps(tree, sort_keys=True))
