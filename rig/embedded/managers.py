"""Who owns a field after a write that is no apply."""

from __future__ import annotations

import copy
from typing import Any

from rig.embedded.apply import fields, minus, union
from rig.embedded.objects import Obj, now

_UNTOLD = frozenset({
    "managedFields", "resourceVersion", "uid", "generation", "creationTimestamp", "name",
    "namespace", "deletionTimestamp",
})  # fmt: skip


def updated(
    old: Obj, new: Obj, manager: str, subresource: str, atomic: frozenset[str]
) -> list[Obj] | None:
    """``managedFields`` after ``manager`` wrote ``new`` over ``old``; None when nothing changed.

    The fields with another value are the writer's own from now on, and nobody else's.
    """
    changed = _changed(_told(old), _told(new), atomic)
    entries: list[Obj] = copy.deepcopy(old["metadata"].get("managedFields") or [])
    if not changed:
        return None
    mine = next((entry for entry in entries if _is(entry, manager, subresource)), None)
    left: list[Obj] = []
    for entry in entries:
        if entry is mine:
            continue
        entry["fieldsV1"] = minus(entry["fieldsV1"], changed)
        if entry["fieldsV1"]:
            left.append(entry)
    entry = {
        "manager": manager, "operation": "Update", "apiVersion": new["apiVersion"],
        "time": now(), "fieldsType": "FieldsV1",
        "fieldsV1": union((mine or {}).get("fieldsV1", {}), changed),
    }  # fmt: skip
    if subresource:
        entry["subresource"] = subresource
    return [*left, entry]


def _told(obj: Obj) -> Obj:
    meta = {k: v for k, v in obj.get("metadata", {}).items() if k not in _UNTOLD}
    rest = {k: v for k, v in obj.items() if k not in ("metadata", "apiVersion", "kind")}
    return {**rest, "metadata": meta} if meta else rest


def _changed(old: Any, new: Any, atomic: frozenset[str], field: str = "") -> Obj:
    """The tree of the fields of ``new`` that have another value than in ``old``."""
    if isinstance(old, dict) and isinstance(new, dict):
        tree: Obj = {}
        for key, value in new.items():
            if key not in old:
                tree[f"f:{key}"] = fields(value, atomic, key)
            elif old[key] != value:
                inside = _changed(old[key], value, atomic, key)
                # Nothing inside is new: something was taken away.
                if inside or not _keyed(old[key], value, atomic, key):
                    tree[f"f:{key}"] = inside
        return tree
    if not _keyed(old, new, atomic, field):
        return fields(new, atomic, field)
    items = dict(zip(fields(old, atomic, field), old, strict=True))
    found: Obj = {}
    for key, item in zip(fields(new, atomic, field), new, strict=True):
        if key not in items:
            found[key] = {".": {}, **fields(item, atomic)}
        elif inside := _changed(items[key], item, atomic):
            found[key] = inside
    return found


def _keyed(old: Any, new: Any, atomic: frozenset[str], field: str) -> bool:
    """Whether two values are compared inside, as maps or as lists with keys."""
    if isinstance(old, dict) and isinstance(new, dict):
        return True
    lists = isinstance(old, list) and isinstance(new, list)
    return lists and all(len(fields(value, atomic, field)) == len(value) for value in (old, new))


def _is(entry: Obj, manager: str, subresource: str) -> bool:
    return (entry["manager"], entry["operation"], entry.get("subresource", "")) == (
        manager, "Update", subresource,
    )  # fmt: skip
