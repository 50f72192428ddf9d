# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""RBG's revisions of a group (ControllerRevisions, RBG >=0.5), and what lies between two. Pure.

RBG makes one whenever a group's roles change in more than their replicas, and keeps the last five.
"""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import yaml

from manifests import groupset
from names import RESTART_ENV, TEMPLATE_DIGEST
from tree import Tree, branch, entries, leaf, name_of, number, text, without_nulls


@dataclass(frozen=True)
class Revision:
    """One revision of a group.

    Attributes:
        number: RBG's number, rising.
        created: RFC 3339 time in whole seconds.
        roles: role name → entry of `spec.roles`, without replicas.
    """

    number: int
    created: str
    roles: Mapping[str, Tree]

    @property
    def legacy(self) -> bool:
        """Whether it was written as v1alpha1 (RBG 0.5 and 0.6)."""
        return any("template" in r or "leaderWorkerSet" in r for r in self.roles.values())


def of_group(found: Sequence[Tree], group: Tree) -> list[Revision]:
    """The group's own revisions, the oldest first.

    Its workloads' revisions may carry the same label; another group of the same name had others.

    Args:
        found: ControllerRevisions as read.
        group: the group they are to belong to.
    """
    own = [
        Revision(number(r, "revision"), text(r, "metadata", "creationTimestamp"), _roles(r))
        for r in found
        if any(_is_owner(o, group) for o in entries(r, "metadata", "ownerReferences"))
    ]
    return sorted((r for r in own if r.roles), key=lambda r: r.number)


def _is_owner(reference: Tree, group: Tree) -> bool:
    """Whether a reference is to the group, or to the first one of a set (whose uid is its own)."""
    if not groupset.is_set(group):
        return text(reference, "uid") == text(group, "metadata", "uid")
    first = name_of(groupset.children(group)[0])
    return (text(reference, "kind"), text(reference, "name")) == (groupset.GROUP, first)


def find(found: Sequence[Tree], group: Tree, wanted: int) -> Revision | None:
    """The group's revision of that number; None where RBG does not keep it (any more)."""
    return next((r for r in of_group(found, group) if r.number == wanted), None)


def restored(revision: Revision, live: Mapping[str, Tree]) -> dict[str, Tree]:
    """Entries that go back to a revision altogether: neither paused nor as a canary.

    Replicas are no part of a revision; roles that came or went since keep to that.

    Args:
        revision: where to go back to.
        live: role name → entry as it is.
    """
    found: dict[str, Tree] = {}
    for name, role in revision.roles.items():
        if name in live:
            strategy = branch(role, "rolloutStrategy")
            rolling = branch(strategy, "rollingUpdate")
            rolling = {k: v for k, v in rolling.items() if k not in ("paused", "partition")}
            pace = {"rolloutStrategy": {**strategy, "rollingUpdate": rolling}} if strategy else {}
            # Who counts the role is no part of going back either.
            counted = {k: live[name][k] for k in ("replicas", "scalingAdapter") if k in live[name]}
            rest = {k: v for k, v in role.items() if k != "scalingAdapter"}
            found[name] = {**rest, **pace, **counted}
    return found


def _roles(revision: Tree) -> dict[str, Tree]:
    """Its roles; the list begins with the merge directive `{"$patch": "replace"}`."""
    said = entries(revision, "data", "spec", "roles")
    return {
        role["name"]: {k: v for k, v in without_nulls(role).items() if k != "replicas"}
        for role in said
        if text(role, "name")
    }


def runs(revision: Revision, live: Mapping[str, Tree]) -> bool:
    """Whether a revision is what runs, as far as its roles are still there.

    Args:
        revision: the revision.
        live: role name → entry as it is.
    """
    return all(
        _plain(role) == _plain(live[name]) for name, role in revision.roles.items() if name in live
    )


def _plain(value: Any) -> Any:
    """Without counts, and without what says nothing: Go writes empty objects and leaves out 0."""
    if isinstance(value, Mapping):
        fields = {k: _plain(v) for k, v in cast(Tree, value).items() if k != "replicas"}
        return {k: v for k, v in fields.items() if v not in ({}, [], "", 0, None, False)}
    if isinstance(value, list):
        return [_plain(v) for v in cast("list[Any]", value)]
    return value


def summary(before: Revision | None, after: Revision) -> str:
    """What changed, in one line, e.g. `engine: image a:1 -> a:2; router: added`."""
    if before is None:
        return "first revision kept"
    said: list[str] = []
    for name in sorted({*before.roles, *after.roles}):
        if name not in before.roles:
            said.append(f"{name}: added")
        elif name not in after.roles:
            said.append(f"{name}: removed")
        elif before.roles[name] != after.roles[name]:
            said.append(f"{name}: {_what(before.roles[name], after.roles[name])}")
    return "; ".join(said) or "nothing but its number"


_SHOWN = 3


def _what(before: Tree, after: Tree) -> str:
    old, new = dict(_leaves(before)), dict(_leaves(after))
    paths = [p for p in sorted({*old, *new}) if old.get(p) != new.get(p)]
    paths = [p for p in paths if TEMPLATE_DIGEST not in p]
    if paths and all(RESTART_ENV in p for p in paths):
        return "restart"
    named = list(dict.fromkeys(_name(p, old, new) for p in paths if RESTART_ENV not in p))
    more = len(named) - _SHOWN
    return ", ".join(named[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _name(path: tuple[str, ...], old: Mapping[Any, Any], new: Mapping[Any, Any]) -> str:
    field = path[-1]
    if field in ("image", "partition", "paused", "size", "workload") and path in old:
        return f"{field} {old[path]} -> {new.get(path, 'none')}"
    fields = [part for part in path if not part.startswith("[")]
    if "env" in fields and path[-2].startswith("["):
        return f"env {path[-2][1:-1]}"
    short = [f for f in fields if f not in ("template", "spec", "standalonePattern", "containers")]
    return ".".join(short[-2:]) or fields[-1]


def _leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Path and value of everything inside, list entries by their name where they have one."""
    if isinstance(value, Mapping) and value:
        for key, inner in cast(Tree, value).items():
            yield from _leaves(inner, (*path, key))
    elif isinstance(value, list) and value and all(leaf(v, "name") for v in cast(Any, value)):
        for inner in cast("list[Tree]", value):
            rest = {k: v for k, v in inner.items() if k != "name"}
            yield from _leaves(rest, (*path, f"[{name_of({'metadata': inner})}]"))
    else:
        yield path, value


def diff(before: Any, after: Any, names: tuple[str, str]) -> str:
    """Unified diff of two JSON-like values as YAML.

    Args:
        before: the left side.
        after: the right side.
        names: what to call the two.
    """
    left, right = (yaml.safe_dump(v, sort_keys=True).splitlines() for v in (before, after))
    return "\n".join(difflib.unified_diff(left, right, *names, lineterm=""))
