"""Server-side apply on plain JSON, with FieldsV1 ownership per manager.

Emulated: create by apply, the fields a manager applied before and omits now disappear unless
another applier owns them, lists that merge by key, conflicts between appliers (409 with
Kubernetes' text) and ``force``. Fields that another kind of write changed belong to its manager
(``managers``); what is created by POST belongs to nobody.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

from rig.embedded.objects import Obj, StatusError, now
from rig.standin.merge import MERGE_KEYS

_LIST_KEYS: dict[str, tuple[str, ...]] = {
    **MERGE_KEYS,
    "roles": ("name",),
    "roleTemplates": ("name",),
    "components": ("name",),
    "policies": ("name",),
    "coordination": ("name",),
}
# Not lists of maps although an entry has a `name`: Kubernetes replaces these whole.
_ATOMIC = frozenset({"roleStatuses", "rules", "subjects", "servicePorts", "engineRuntimes"})


def list_keys(field: str, items: list[Any], atomic: frozenset[str]) -> tuple[str, ...] | None:
    """The key of the list ``field``, None when apply replaces it whole."""
    if field in atomic or field in _ATOMIC or not all(isinstance(i, dict) for i in items):
        return None
    if field == "ports":
        if any("containerPort" in item for item in items):
            return ("containerPort", "protocol")
        return ("port", "protocol") if any("port" in item for item in items) else None
    if field == "roles" and any("name" not in item for item in items):
        return None
    return _LIST_KEYS.get(field)


def _identity(item: Obj, keys: tuple[str, ...]) -> str:
    chosen = {
        key: item.get(key, "TCP" if key == "protocol" else None)
        for key in keys
        if key in item or key == "protocol"
    }
    return "k:" + json.dumps(chosen, separators=(",", ":"))


def fields(value: Any, atomic: frozenset[str], field: str = "") -> Obj:
    """The FieldsV1 tree of what ``value`` sets; a leaf is ``{}``."""
    tree: Obj = {}
    if isinstance(value, dict):
        for key, child in value.items():
            tree[f"f:{key}"] = fields(child, atomic, key)
    elif isinstance(value, list):
        keys = list_keys(field, value, atomic)
        for item in value if keys else []:
            tree[_identity(item, keys or ())] = {".": {}, **fields(item, atomic)}
    return tree


def merge(live: Any, applied: Any, atomic: frozenset[str], field: str = "") -> Any:
    """``applied`` laid over ``live``."""
    if isinstance(applied, dict) and isinstance(live, dict):
        merged = dict(live)
        for key, value in applied.items():
            merged[key] = merge(live.get(key), value, atomic, key)
        return merged
    if isinstance(applied, list) and isinstance(live, list):
        keys = list_keys(field, applied + live, atomic)
        if keys:
            return _merge_lists(live, applied, keys, atomic)
    return copy.deepcopy(applied)


def _merge_lists(
    live: list[Obj], applied: list[Obj], keys: tuple[str, ...], atomic: frozenset[str]
) -> list[Obj]:
    old = {_identity(item, keys): item for item in live}
    new = {_identity(item, keys): item for item in applied}
    # The applied order wins; entries of others keep their place after what they followed.
    order = list(new)
    before: str | None = None
    for key in old:
        if key not in new:
            order.insert(order.index(before) + 1 if before in order else 0, key)
        before = key
    return [merge(old[k], new[k], atomic) if k in old and k in new else old.get(k, new.get(k))  # type: ignore[misc]
            for k in order]  # fmt: skip


def remove(live: Any, dropped: Obj, kept: Obj, atomic: frozenset[str], field: str = "") -> Any:
    """``live`` without the fields of the tree ``dropped`` that the tree ``kept`` lacks."""
    if isinstance(live, dict):
        result = dict(live)
        for key, tree in dropped.items():
            name = key[2:]
            if not key.startswith("f:") or name not in result:
                continue
            if key not in kept and not any(k != "." for k in tree):
                del result[name]
                continue
            rest = remove(result[name], tree, kept.get(key, {}), atomic, name)
            if rest in ({}, []) and key not in kept:
                del result[name]
            else:
                result[name] = rest
        return result
    keys = list_keys(field, live, atomic) if isinstance(live, list) else None
    return _remove_items(live, dropped, kept, keys, atomic) if keys else live


def _remove_items(
    live: list[Any], dropped: Obj, kept: Obj, keys: tuple[str, ...], atomic: frozenset[str]
) -> list[Any]:
    left: list[Any] = []
    for item in live:
        key = _identity(item, keys)
        if key not in dropped:
            left.append(item)
            continue
        rest = remove(item, dropped[key], kept.get(key, {}), atomic)
        # An entry that nobody wants any more may have defaults or others' fields left: without
        # its key fields it is no entry.
        if key in kept or all(name in rest for name in keys if name in item):
            left.append(rest)
    return left


def union(one: Obj, two: Obj) -> Obj:
    """Two trees of fields in one."""
    result = dict(one)
    for key, tree in two.items():
        result[key] = union(result.get(key, {}), tree)
    return result


def minus(tree: Obj, taken: Obj) -> Obj:
    """``tree`` without the leaves of ``taken``."""
    result: Obj = {}
    for key, child in tree.items():
        if key not in taken:
            result[key] = child
        elif child:
            rest = minus(child, taken[key])
            if any(k != "." for k in rest):
                result[key] = rest
    return result


def _clashes(mine: Obj, theirs: Obj, live: Any, applied: Any, path: str) -> Iterator[str]:
    for key, tree in mine.items():
        if key not in theirs or key == ".":
            continue
        if key.startswith("f:"):
            name = key[2:]
            one = live.get(name) if isinstance(live, dict) else None
            two = applied.get(name) if isinstance(applied, dict) else None
            here = f"{path}.{name}"
        else:
            chosen = json.loads(key[2:])
            one, two = _find(live, chosen), _find(applied, chosen)
            here = path + "[" + ",".join(f"{k}={json.dumps(v)}" for k, v in chosen.items()) + "]"
        if tree and theirs[key]:
            yield from _clashes(tree, theirs[key], one, two, here)
        elif one != two:
            yield here


def _find(items: Any, chosen: Obj) -> Any:
    for item in items if isinstance(items, list) else []:
        if all(item.get(k, "TCP" if k == "protocol" else None) == v for k, v in chosen.items()):
            return item
    return None


def apply(
    live: Obj | None, body: Obj, manager: str, force: bool, subresource: str,
    atomic: frozenset[str],
) -> Obj:  # fmt: skip
    """The object after ``manager`` applied ``body`` over ``live`` (None: create).

    Raises:
        StatusError: 409 when another applier owns a field with another value, without ``force``.
    """
    applied = copy.deepcopy(body)
    meta = applied.setdefault("metadata", {})
    for key in ("managedFields", "resourceVersion", "uid", "generation", "creationTimestamp"):
        meta.pop(key, None)
    identity = {"apiVersion", "kind"}
    owned = fields(
        {k: v for k, v in applied.items() if k not in identity}
        | {"metadata": {k: v for k, v in meta.items() if k not in ("name", "namespace")}},
        atomic,
    )
    if not owned.get("f:metadata"):
        owned.pop("f:metadata", None)
    entries = list((live or {}).get("metadata", {}).get("managedFields") or [])
    mine = next((e for e in entries if _is(e, manager, subresource)), None)
    others = [e for e in entries if e is not mine]
    for other in others:
        clashes = list(_clashes(owned, other["fieldsV1"], live or {}, applied, ""))
        if clashes and not force:
            word = "conflict" if len(clashes) == 1 else "conflicts"
            raise StatusError(
                409,
                f"Apply failed with {len(clashes)} {word}: {word} with "
                f'"{other["manager"]}": {", ".join(clashes)}',
            )
    if live is None:
        result = applied
    else:
        kept = owned
        for other in others:
            kept = union(kept, other["fieldsV1"])
        result = remove(live, (mine or {}).get("fieldsV1", {}), kept, atomic)
        result = merge(result, applied, atomic)
        if force:
            others = [_robbed(o, owned, live, applied) for o in others]
    entry: Obj = {
        "manager": manager, "operation": "Apply", "apiVersion": body["apiVersion"],
        "time": now(), "fieldsType": "FieldsV1", "fieldsV1": owned,
    }  # fmt: skip
    if subresource:
        entry["subresource"] = subresource
    if mine and mine["fieldsV1"] == owned:
        entry["time"] = mine["time"]
    result["metadata"]["managedFields"] = [o for o in others if o["fieldsV1"]] + [entry]
    return result


def _robbed(entry: Obj, owned: Obj, live: Obj, applied: Obj) -> Obj:
    """``entry`` without what a forced apply just took from it."""
    if not list(_clashes(owned, entry["fieldsV1"], live, applied, "")):
        return entry
    return {**entry, "fieldsV1": minus(entry["fieldsV1"], owned)}


def _is(entry: Obj, manager: str, subresource: str) -> bool:
    known = (entry["manager"], entry["operation"], entry.get("subresource", ""))
    return known == (manager, "Apply", subresource)
