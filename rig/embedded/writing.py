"""What a writer may change of an object, and what it keeps."""

from __future__ import annotations

import copy
from typing import Any

from rig.embedded.kinds import Kind
from rig.embedded.objects import Obj, StatusError

# Set by the server, never by a client.
SYSTEM = ("uid", "creationTimestamp", "generation", "resourceVersion", "deletionTimestamp",
           "managedFields")  # fmt: skip


def spec(obj: Obj) -> dict[str, Any]:
    """What counts for ``metadata.generation``."""
    return {k: v for k, v in obj.items() if k not in ("metadata", "status", "apiVersion", "kind")}


def _check_sent(kind: Kind, before: Obj, meta: Obj) -> None:
    """Refuses what is meant for another version of the object, or for another object."""
    refused = f'Operation cannot be fulfilled on {kind.qualified} "{before["name"]}": '
    if meta.get("resourceVersion") not in (None, "", before["resourceVersion"]):
        text = (
            "the object has been modified; please apply your changes to the latest version and "
            "try again"
        )
        raise StatusError(
            409, refused + text, name=before["name"], group=kind.group, kind=kind.plural
        )
    if meta.get("uid") not in (None, before["uid"]):
        raise StatusError(409, f"{refused}Precondition failed: UID in precondition")


def carried(kind: Kind, old: Obj, new: Obj, subresource: str) -> Obj:
    """``new`` with what a writer may not change, taken from ``old``.

    Raises:
        StatusError: 409 when ``new`` is meant for another version or another object.
    """
    meta, before = new.setdefault("metadata", {}), old["metadata"]
    _check_sent(kind, before, meta)
    managed = meta.get("managedFields", before.get("managedFields"))
    for field in SYSTEM:
        meta.pop(field, None)
        if field in before:
            meta[field] = before[field]
    meta["name"] = before["name"]
    if kind.namespaced:
        meta["namespace"] = before["namespace"]
    if subresource == "status":
        result = copy.deepcopy(old)
        if "status" in new:
            result["status"] = new["status"]
    else:
        result = new
        if kind.has_status and kind.plural != "customresourcedefinitions":
            new.pop("status", None)
            if "status" in old:
                new["status"] = copy.deepcopy(old["status"])
    if managed is not None:
        result["metadata"]["managedFields"] = managed
    return result
