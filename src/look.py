# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""Look at the group's pods and judge them; ask for more only while a role is not well."""

import logging
from dataclasses import dataclass, field, replace

from children import Child, judge_each, surplus, together
from cluster import Cluster
from heal import holds_back, to_free
from health import Details, RoleHealth, State, is_stuck
from manifests import groupset
from names import RBG_POD_LABELS
from rolepods import roles_with_pods
from tree import Tree, label, version_of
from workloads import live_kind

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class View:
    """What was seen.

    Attributes:
        pods: the group's pods.
        details: workloads and events, empty while every role is well (and no workloads of a set).
        health: of every role, over all groups.
        children: each group of a set, or the only one.
        surplus: how many groups still have pods although they are no longer asked for.
    """

    pods: tuple[Tree, ...] = ()
    details: Details = field(default_factory=Details)
    health: tuple[RoleHealth, ...] = ()
    children: tuple[Child, ...] = ()
    surplus: int = 0


def look(
    cluster: Cluster,
    group: Tree | None,
    *,
    heal: bool = False,
    detailed: bool = False,
    fresh: bool = False,
) -> View:
    """See how the group stands.

    Args:
        cluster: the cluster.
        group: the group as read; None where there is none.
        heal: free what RBG will never touch again (leader only).
        detailed: read workloads and events even if every role is well.
        fresh: do not read them, since the group was changed only now.
    """
    if group is None:
        return View()
    pods = tuple(cluster.pods())
    found = judge_each(group, pods)
    well = all(_well(c) for c in found) and _has_digests(group)
    if fresh or (well and not detailed):
        return _view(group, pods, found)
    found = judge_each(group, pods, _details(cluster, group, found, detailed=detailed))
    if heal:
        found = [_heal(cluster, child, pods) for child in found]
    return _view(group, pods, found)


def _view(group: Tree, pods: tuple[Tree, ...], found: list[Child]) -> View:
    details = found[0].details if found else Details()
    if groupset.is_set(group):
        details = Details({}, details.events)
    going = surplus(group, pods)
    return View(pods, details, tuple(together(found)), tuple(found), going)


def _well(child: Child) -> bool:
    return all(r.state is State.READY for r in child.health)


def _has_digests(group: Tree) -> bool:
    """Whether every role's pods themselves tell what template they have."""
    return all(role.digest or not role.desired for role in roles_with_pods(group, ()))


def _details(
    cluster: Cluster, group: Tree, found: list[Child], *, detailed: bool
) -> dict[str, Details]:
    """Workloads of each group and events: one request for each kind of them."""
    version = version_of(group)
    kinds = {r["name"]: live_kind(r, version) for r in group["spec"]["roles"]}
    group_label, role_label = RBG_POD_LABELS[1 if version == "v1alpha1" else 0]
    names = [child.name for child in found]
    selector = {group_label: names[0] if len(names) == 1 else names}
    workloads: dict[str, dict[str, Tree]] = {name: {} for name in names}
    for kind in sorted({*kinds.values()}):
        for workload in cluster.workloads(kind, selector):
            role, name = label(workload, role_label), label(workload, group_label)
            if kinds.get(role) == kind and name in workloads:
                workloads[name][role] = {**workload, "kind": kind}
    waiting = not all(map(_well, found))
    events = tuple(cluster.warnings()) if waiting or detailed else ()
    return {name: Details(workloads[name], events) for name in names}


def _heal(cluster: Cluster, child: Child, pods: tuple[Tree, ...]) -> Child:
    """Delete role instances that are stuck for good, and say so in the role's cause."""
    suspects = {r.name for r in child.health if r.state is not State.READY}
    freed: set[str] = set()
    for role in roles_with_pods(child.group, pods):
        workload = child.details.workloads.get(role.name, {})
        if role.name not in suspects or workload.get("kind") != "RoleInstanceSet":
            continue
        if role.pods and not (is_stuck(workload) or holds_back(role, workload)):
            continue
        selector = dict(zip(RBG_POD_LABELS[0], (child.name, role.name), strict=True))
        if not role.pods and cluster.pods(selector):
            continue  # its pods lack our label only: somebody else's doing, not lost
        for name in to_free(role, workload, cluster.workloads("RoleInstance", selector)):
            logger.warning("freeing %s: RBG does not take it to the current template", name)
            cluster.remove("RoleInstance", name)
            freed.add(role.name)
    return replace(child, health=tuple(_freed(r) if r.name in freed else r for r in child.health))


def _freed(role: RoleHealth) -> RoleHealth:
    return replace(role, state=State.UPDATING, cause="replacing pods that RBG left behind")
