# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""Whose a RoleBasedGroup is, and whether somebody changed what is ours. Pure."""

import json
from collections.abc import Mapping
from typing import Any, cast

from faults import Fault
from names import APPLICATION_LABEL, APPLIED_DIGESTS, FIELD_MANAGER
from tree import Tree, annotation, branch, entries, label, leaf, name_of, roles_by_name, text


def check_ours(live: Tree) -> None:
    """Refuse to go on with a group that someone else made.

    Raises:
        Fault: the group lacks this application's label, or belongs to another object.
    """
    name = name_of(live)
    owners = entries(live, "metadata", "ownerReferences")
    foreign = [o for o in owners if (o["kind"], o["name"]) != ("StatefulSet", name)]
    if label(live, APPLICATION_LABEL) != name or foreign:
        what = f"{text(live, 'kind') or 'RoleBasedGroup'} {name}"
        reason = f"{what} is someone else's; remove it or deploy under another name"
        raise Fault(reason, blocked=True)


def edited_by_others(live: Tree) -> bool:
    """Whether another field manager wrote into the spec; RBG itself writes to the status only.

    RBG's scaling adapter owns the replicas it has set, by right, and the empty fields that Go adds
    when it writes the group. `kubectl scale` of a set of groups comes through its subresource.
    """
    scaled = counts_taken(live)
    return any(
        not (scaled and manager in _ADAPTERS)
        and not (fields.keys() <= {"f:replicas", "f:name", "."} and role in scaled)
        for manager, role, fields in _fields_of_others(live)
    )


_ADAPTERS = ("rolebasedgroupscalingadapter", "manager")
"""Who RBG's scaling adapters are to the API server, since 0.8 and before (seen; its binary)."""


def counts_taken(live: Tree | None) -> set[str]:
    """Names of autoscaled roles whose `replicas` RBG's scaling adapter has written.

    Whoever did it may: then the charm may not.
    """
    roles = entries(live, "spec", "roles")
    adapted = {r["name"] for r in roles if leaf(r, "scalingAdapter", "enable")}
    written = {role for _, role, fields in _fields_of_others(live) if "f:replicas" in fields}
    return adapted & written


def _fields_of_others(live: Tree | None) -> list[tuple[str, str, Tree]]:
    """(manager, role, its fields) owned by others in the spec; role "" for all beside roles."""
    found: list[tuple[str, str, Tree]] = []
    for entry in entries(live, "metadata", "managedFields"):
        spec = leaf(entry, "fieldsV1", "f:spec")
        of_status = text(entry, "subresource") == "status"
        if text(entry, "manager") == FIELD_MANAGER or of_status or spec is None:
            continue
        roles = branch(spec, "f:roles")
        who, named = text(entry, "manager"), [key for key in roles if key.startswith("k:")]
        found += [(who, _named(key), branch(roles, key)) for key in named]
        if not named or len(spec) > 1:
            found.append((who, "", spec))
    return found


def _named(key: str) -> str:
    """The role of `k:{"name":"engine"}`."""
    return text(json.loads(key.removeprefix("k:")), "name")


def is_held_by(live: Tree, desired: Tree) -> bool:
    """Whether the live group is what is desired: the same digests, and nothing of ours changed.

    The API server only ever adds to what was applied (defaults), so ours must all be there.
    """
    return (
        live["apiVersion"] == desired["apiVersion"]
        and applied_digests(live) == applied_digests(desired)
        and len(live["spec"]["roles"]) == len(desired["spec"]["roles"])
        and within(desired["spec"], live["spec"])
    )


def says_something_new(live: Tree, desired: Tree) -> bool:
    """Whether any role says more than another count or another pace than it has on the cluster.

    What came from the cluster itself, or was accepted before, needs no dry run.
    """
    known = roles_by_name(live)
    plain = ({k: v for k, v in r.items() if k not in _PACE} for r in desired["spec"]["roles"])
    return live["apiVersion"] != desired["apiVersion"] or any(
        not within(role, known.get(role["name"])) for role in plain
    )


_PACE = ("replicas", "rolloutStrategy")


def applied_at(live: Tree | None) -> str:
    """When our last apply changed the group, by the API server's clock; "" where it never did."""
    ours = [
        text(entry, "time")
        for entry in entries(live, "metadata", "managedFields")
        if text(entry, "manager") == FIELD_MANAGER and not text(entry, "subresource")
    ]
    return max(ours, default="")


def neighbour_key(manifest: Tree) -> str:
    """How something beside the group is named among the digests."""
    return f"{manifest['kind']}/{name_of(manifest)}"


def write_digests(digests: Mapping[str, str]) -> str:
    """The annotation's value: digests by role name and by neighbour."""
    return json.dumps(dict(digests), sort_keys=True, separators=(",", ":"))


def applied_digests(group: Tree | None) -> dict[str, str]:
    """Digests of what was applied last, by role name; {} from anything unreadable."""
    try:
        found = json.loads(annotation(group, APPLIED_DIGESTS) or "{}")
    except ValueError:
        return {}
    return cast("dict[str, str]", found) if isinstance(found, dict) else {}


def within(part: Any, whole: Any) -> bool:
    """Whether all of one JSON value is in the other, lists of named entries in any order."""
    if isinstance(part, Mapping):
        tree = cast(Tree, part)
        return isinstance(whole, Mapping) and all(
            key in whole and within(value, whole[key]) for key, value in tree.items()
        )
    if isinstance(part, list) and isinstance(whole, list):
        ours, theirs = cast("list[Any]", part), cast("list[Any]", whole)
        return len(ours) <= len(theirs) and all(map(within, ours, _aligned(ours, theirs)))
    return part == whole


def _aligned(part: list[Any], whole: list[Any]) -> list[Any]:
    """The entries of `whole` in the order of `part`, by name where entries have one."""
    if all(isinstance(entry, Mapping) and "name" in entry for entry in (*part, *whole)):
        named = {entry["name"]: entry for entry in whole}
        return [named.get(entry["name"]) for entry in part]
    return whole
