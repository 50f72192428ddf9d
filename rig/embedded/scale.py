"""The subresource ``/scale``: a count, and how to find what is counted."""

from __future__ import annotations

import copy
from typing import Any

from rig.embedded.kinds import Kind
from rig.embedded.objects import Obj, StatusError


def shown(kind: Kind, obj: Obj) -> Obj:
    """An object as its Scale.

    Raises:
        StatusError: 500 when the object has no count, as for a definition of one's own.
    """
    assert kind.scale is not None
    wanted, counted, selector = kind.scale
    replicas = _dig(obj, wanted)
    if replicas is None:
        text = f'the spec replicas field "{wanted}" does not exist'
        raise StatusError(500, f"Internal error occurred: {text}", "InternalError")
    status: Obj = {"replicas": _dig(obj, counted) or 0}
    found = _dig(obj, selector)
    if isinstance(found, dict):
        labels = found.get("matchLabels") or {}
        found = ",".join(f"{key}={labels[key]}" for key in sorted(labels))
    if found:
        status["selector"] = found
    meta = obj["metadata"]
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    return {
        "apiVersion": "autoscaling/v1", "kind": "Scale",
        "metadata": {key: meta[key] for key in kept if key in meta},
        "spec": {"replicas": replicas}, "status": status,
    }  # fmt: skip


def scaled(kind: Kind, obj: Obj, scale: Obj) -> Obj:
    """The object with the count of a Scale that a client sent.

    Raises:
        StatusError: 422 for a count that is none.
    """
    assert kind.scale is not None
    replicas: Any = (scale.get("spec") or {}).get("replicas", 0)
    if not isinstance(replicas, int) or replicas < 0:
        raise StatusError(
            422, f'Scale.autoscaling "{obj["metadata"]["name"]}" is invalid: spec.replicas: '
            f"Invalid value: {replicas}: must be greater than or equal to 0")  # fmt: skip
    new = copy.deepcopy(obj)
    *path, last = _parts(kind.scale[0])
    holder = new
    for part in path:
        holder = holder.setdefault(part, {})
    holder[last] = replicas
    version = (scale.get("metadata") or {}).get("resourceVersion")
    new["metadata"]["resourceVersion"] = version or obj["metadata"]["resourceVersion"]
    return new


def _parts(path: str) -> list[str]:
    return path.strip(".").split(".")


def _dig(obj: Any, path: str) -> Any:
    for part in _parts(path) if path else [""]:
        obj = obj.get(part) if isinstance(obj, dict) else None
    return obj
