# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""Look at the group's pods and judge them; ask for more only while a role is not well."""

import logging
from dataclasses import dataclass, field, replace

from cluster import Cluster
from heal import holds_back, to_free
from health import Details, RoleHealth, State, is_stuck, judge
from names import RBG_POD_LABELS
from rolepods import roles_with_pods
from tree import Tree, label, name_of
from workloads import live_kind

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class View:
    """What was seen.

    Attributes:
        pods: the group's pods.
        details: workloads and events, empty while every role is well.
        health: of every role.
    """

    pods: tuple[Tree, ...] = ()
    details: Details = field(default_factory=Details)
    health: tuple[RoleHealth, ...] = ()


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
    found = judge(group, pods)
    well = all(r.state is State.READY for r in found) and _has_digests(group)
    if fresh or (well and not detailed):
        return View(pods, health=tuple(found))
    details = _details(cluster, group, found, detailed=detailed)
    found = judge(group, pods, details)
    if heal:
        found = _heal(cluster, group, pods, details, found)
    return View(pods, details, tuple(found))


def _has_digests(group: Tree) -> bool:
    """Whether every role's pods themselves tell what template they have."""
    return all(role.digest or not role.desired for role in roles_with_pods(group, ()))


def _details(cluster: Cluster, group: Tree, found: list[RoleHealth], *, detailed: bool) -> Details:
    version = group["apiVersion"].rpartition("/")[2]
    kinds = {r["name"]: live_kind(r, version) for r in group["spec"]["roles"]}
    name = name_of(group)
    group_label, role_label = RBG_POD_LABELS[1 if version == "v1alpha1" else 0]
    workloads: dict[str, Tree] = {}
    for kind in sorted({kinds[r.name] for r in found}):
        for workload in cluster.workloads(kind, {group_label: name}):
            role = label(workload, role_label)
            if kinds.get(role) == kind:
                workloads[role] = {**workload, "kind": kind}
    waiting = any(r.state is not State.READY for r in found)
    return Details(workloads, tuple(cluster.warnings()) if waiting or detailed else ())


def _heal(
    cluster: Cluster,
    group: Tree,
    pods: tuple[Tree, ...],
    details: Details,
    found: list[RoleHealth],
) -> list[RoleHealth]:
    """Delete role instances that are stuck for good, and say so in the role's cause."""
    suspects = {r.name for r in found if r.state is not State.READY}
    freed: set[str] = set()
    for role in roles_with_pods(group, pods):
        workload = details.workloads.get(role.name, {})
        if role.name not in suspects or workload.get("kind") != "RoleInstanceSet":
            continue
        if role.pods and not (is_stuck(workload) or holds_back(role, workload)):
            continue
        selector = dict(zip(RBG_POD_LABELS[0], (name_of(group), role.name), strict=True))
        if not role.pods and cluster.pods(selector):
            continue  # its pods lack our label only: somebody else's doing, not lost
        for name in to_free(role, workload, cluster.workloads("RoleInstance", selector)):
            logger.warning("freeing %s: RBG does not take it to the current template", name)
            cluster.remove("RoleInstance", name)
            freed.add(role.name)
    return [
        replace(r, state=State.UPDATING, cause="replacing pods that RBG left behind")
        if r.name in freed
        else r
        for r in found
    ]
