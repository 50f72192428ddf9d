# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""The groups of a set, each judged by itself, and all of them as one. Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from causes import Pod, has_ended
from health import Details, RoleHealth, State, judge
from manifests import groupset
from tree import Tree, name_of

_WORST_FIRST = (State.BLOCKED, State.UPDATING, State.WAITING, State.READY)


@dataclass(frozen=True)
class Child:
    """One group of a set.

    Attributes:
        group: it, as a group of its own.
        details: its workloads, and the events of the namespace.
        health: of its roles.
    """

    group: Tree
    details: Details = field(default_factory=Details)
    health: tuple[RoleHealth, ...] = ()

    @property
    def name(self) -> str:
        """RBG's name of it."""
        return name_of(self.group)


def judge_each(
    group: Tree, pods: Sequence[Pod], details: Mapping[str, Details] | None = None
) -> list[Child]:
    """Judge every group of a set (or the one group there is).

    Args:
        group: the group as read.
        pods: the pods of all of them.
        details: of each group by its name, if they were read.
    """
    if groupset.is_set(group):  # which one a pod without RBG's labels is of cannot be told
        pods = [pod for pod in pods if groupset.group_of(pod)]
    found: list[Child] = []
    for child in groupset.children(group):
        known = (details or {}).get(name_of(child), Details())
        found.append(Child(child, known, tuple(judge(child, pods, known))))
    return found


def together(found: Sequence[Child]) -> list[RoleHealth]:
    """The health of each role over all groups; what is wrong is told of the worst one."""
    if len(found) == 1:
        return list(found[0].health)
    roles = [h.name for h in found[0].health] if found else []
    return [
        _role([(c.name, h) for c in found for h in c.health if h.name == name]) for name in roles
    ]


def surplus(group: Tree, pods: Sequence[Pod]) -> int:
    """How many groups of ours still have pods although they are no longer asked for."""
    own = name_of(group)
    known = {name_of(child) for child in groupset.children(group)}
    there = {groupset.group_of(pod) for pod in pods if not has_ended(pod)} - known
    return sum(bool(re.fullmatch(rf"{re.escape(own)}(-\d+)?", name)) for name in there)


def _role(each: Sequence[tuple[str, RoleHealth]]) -> RoleHealth:
    whole = RoleHealth(
        name=each[0][1].name,
        desired=sum(h.desired for _, h in each),
        ready=sum(h.ready for _, h in each),
        updated=sum(h.updated for _, h in each),
        state=min((h.state for _, h in each), key=_WORST_FIRST.index),
        behind=any(h.behind for _, h in each),
    )
    if whole.state is not State.READY:
        return replace(whole, cause=_cause(whole, each))
    if not whole.desired:
        return replace(whole, cause=each[0][1].cause)
    paused = "paused" if each[0][1].cause.startswith("paused") else ""
    count = f"{whole.updated}/{whole.desired} updated" if whole.updated < whole.desired else ""
    return replace(whole, cause=", ".join(filter(None, [paused, count])))


def _cause(whole: RoleHealth, each: Sequence[tuple[str, RoleHealth]]) -> str:
    """The cause in the worst group, with its name unless it is the same in all of them."""
    worst = next(h for _, h in each if h.state is whole.state)
    if worst.cause.startswith("updating, "):  # a set tells all of its groups at once
        return f"updating, {whole.updated}/{whole.desired} updated"
    same = [name for name, h in each if (h.state, h.cause) == (worst.state, worst.cause)]
    if len(same) == len(each):
        return worst.cause
    more = f" and {len(same) - 1} more" if len(same) > 1 else ""
    return f"{same[0]}{more}: {worst.cause}"
