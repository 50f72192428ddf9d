"""Garbage collection by owner references: what has no living owner goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rig.embedded.store import Store


def collect(store: Store) -> None:
    """Deletes every object whose owners are all gone, and drops the references that are dead.

    An owner is known by its uid: one that never lived, or lived before, is gone as well.
    """
    alive = {obj["metadata"]["uid"] for obj in store.objects.values()}
    for key, obj in list(store.objects.items()):
        owners = obj["metadata"].get("ownerReferences") or []
        if not owners or key not in store.objects:
            continue
        left = [owner for owner in owners if owner["uid"] in alive]
        if not left:
            store.delete(store.kinds[key[0]], key[1], key[2])
        elif len(left) != len(owners):
            store.refer(key, obj, left)


def orphan(store: Store, uid: str) -> None:
    """Frees the dependants of an owner that is deleted without them."""
    for key, obj in list(store.objects.items()):
        owners = obj["metadata"].get("ownerReferences") or []
        left = [owner for owner in owners if owner["uid"] != uid]
        if len(left) != len(owners):
            store.refer(key, obj, left)
