"""Strategic merge, JSON merge and JSON patch on plain JSON values.

Only what pod templates and the objects of this rig need: maps merge key by key, the lists
below merge by their key, every other list is replaced, ``$patch: delete`` and
``$patch: replace`` are obeyed, ``null`` deletes a key.
"""

from __future__ import annotations

import copy
from typing import Any

# The lists of Kubernetes that merge entry by entry, and the key of an entry. ``ports`` is
# told apart by what its entries hold (a Service's have ``port``, a container's ``containerPort``).
MERGE_KEYS: dict[str, tuple[str, ...]] = {
    "containers": ("name",),
    "initContainers": ("name",),
    "ephemeralContainers": ("name",),
    "env": ("name",),
    "volumes": ("name",),
    "volumeMounts": ("mountPath",),
    "volumeDevices": ("devicePath",),
    "imagePullSecrets": ("name",),
    "hostAliases": ("ip",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
    "resourceClaims": ("name",),
    "readinessGates": ("conditionType",),
    "conditions": ("type",),
    "ownerReferences": ("uid",),
}
_MISSING = object()


def merge_keys(field: str, *lists: list[Any]) -> tuple[str, ...] | None:
    """The key fields by which the list ``field`` merges, None when it is replaced whole."""
    if field == "ports":
        for entry in (item for items in lists for item in items if isinstance(item, dict)):
            return ("containerPort",) if "containerPort" in entry else ("port",)
        return None
    return MERGE_KEYS.get(field)


def strategic_merge(base: Any, patch: Any, field: str = "") -> Any:
    """``patch`` laid over ``base`` the way ``kubectl patch --type=strategic`` does.

    Args:
        base: the value to start from; never changed.
        patch: the patch.
        field: the name of the field that holds both, which decides how a list merges.

    Returns:
        The merged value, sharing nothing with the arguments.
    """
    if isinstance(patch, dict):
        if patch.get("$patch") == "replace" or not isinstance(base, dict):
            base = {}
        merged = copy.deepcopy(base)
        for key, value in patch.items():
            if key == "$patch":
                continue
            if value is None or (isinstance(value, dict) and value.get("$patch") == "delete"):
                merged.pop(key, None)
            else:
                merged[key] = strategic_merge(merged.get(key), value, key)
        return merged
    if isinstance(patch, list):
        old: list[Any] = base if isinstance(base, list) else []
        keys = merge_keys(field, old, patch)
        if keys is None or not all(isinstance(item, dict) for item in patch + old):
            return copy.deepcopy(patch)
        return _merge_list(old, patch, keys)
    return copy.deepcopy(patch)


def _merge_list(base: list[Any], patch: list[Any], keys: tuple[str, ...]) -> list[Any]:
    if any(item.get("$patch") == "replace" for item in patch):
        return [copy.deepcopy(i) for i in patch if "$patch" not in i]
    result = copy.deepcopy(base)
    new: list[Any] = []
    for item in patch:
        identity = tuple(item.get(key) for key in keys)
        at = next(
            (i for i, old in enumerate(result) if tuple(old.get(k) for k in keys) == identity),
            None,
        )
        if item.get("$patch") == "delete":
            if at is not None:
                del result[at]
        elif at is None:
            new.append(strategic_merge({}, item))
        else:
            result[at] = strategic_merge(result[at], item)
    # Kubernetes puts the entries that only the patch has before those of the base.
    return new + result


def json_merge(base: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    merged: dict[str, Any] = copy.deepcopy(base) if isinstance(base, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = json_merge(merged.get(key), value)
    return merged


def json_patch(base: Any, operations: list[dict[str, Any]]) -> Any:
    """RFC 6902 without ``move`` and ``copy``, which nothing here sends.

    Raises:
        ValueError: a path that does not exist or a failed ``test``.
    """
    document = copy.deepcopy(base)
    for operation in operations:
        parts = [p.replace("~1", "/").replace("~0", "~") for p in operation["path"].split("/")[1:]]
        parent = document
        for part in parts[:-1]:
            parent = _child(parent, part)
            if parent is _MISSING:
                raise ValueError(f"path not found: {operation['path']}")
        _one_operation(parent, parts[-1], operation)
    return document


def _child(parent: Any, part: str) -> Any:
    if isinstance(parent, list):
        index = int(part)
        return parent[index] if index < len(parent) else _MISSING
    return parent.get(part, _MISSING) if isinstance(parent, dict) else _MISSING


def _one_operation(parent: Any, last: str, operation: dict[str, Any]) -> None:
    kind, value = operation["op"], copy.deepcopy(operation.get("value"))
    present = last != "-" and _child(parent, last) is not _MISSING
    if kind == "test":
        if not present or _child(parent, last) != value:
            raise ValueError(f"testing path {operation['path']} value failed")
    elif kind in ("add", "replace", "remove"):
        if kind != "add" and not present:
            raise ValueError(f"path not found: {operation['path']}")
        if isinstance(parent, list):
            if kind == "add":
                parent.insert(len(parent) if last == "-" else int(last), value)
            elif kind == "replace":
                parent[int(last)] = value
            else:
                del parent[int(last)]
        elif kind == "remove":
            del parent[last]
        else:
            parent[last] = value
    else:
        raise ValueError(f"unsupported operation {kind}")
