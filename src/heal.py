# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""Which RoleInstances to delete because RBG itself will never touch them again.

Deleting a RoleInstance makes RBG create it anew from the current template (RBG 0.7 and
0.8.0-alpha.5, by trial). Only pods that do not serve are ever touched.
"""

from collections.abc import Sequence

from causes import Pod, cause, is_ready
from health import budget_used_up, is_stuck
from names import ROLE_INSTANCE_LABEL, TEMPLATE_DIGEST
from rolepods import RolePods
from tree import Tree, annotation, entries, label, name_of, number, text


def to_free(role: RolePods, workload: Tree, instances: Sequence[Tree]) -> list[str]:
    """Names of the role's RoleInstances that are stuck for good.

    Args:
        role: the role with its pods.
        workload: its RoleInstanceSet.
        instances: the RoleInstances of the role.
    """
    if is_stuck(workload) or holds_back(role, workload):
        return _broken_on_an_old_revision(role, workload, instances)
    return _without_pods(role, workload, instances)


def holds_back(role: RolePods, workload: Tree) -> bool:
    """Whether pods broken for good, all of an old template, use up what may be unavailable.

    That is trap A1 again, after going back to a template that some replicas still have: then some
    count as updated (RBG 0.8.0-alpha.5). While a new pod starts, RBG is at work itself.
    """
    waiting = [pod for pod in role.pods if not is_ready(pod)]
    old = all(annotation(pod, TEMPLATE_DIGEST) != role.digest for pod in waiting)
    broken = any(cause(pod).person for pod in waiting)
    return bool(role.digest) and old and broken and budget_used_up(workload)


def _broken_on_an_old_revision(
    role: RolePods, workload: Tree, instances: Sequence[Tree]
) -> list[str]:
    """Trap A1: broken pods ignore the template that would mend them."""
    wanted = text(workload, "status", "updateRevision")
    pods: dict[str, list[Pod]] = {}
    for pod in role.pods:
        pods.setdefault(label(pod, ROLE_INSTANCE_LABEL), []).append(pod)
    stuck: list[str] = []
    for instance in instances:
        name = name_of(instance)
        old = label(instance, "controller-revision-hash") != wanted
        if old and _ordinal(name) >= role.partition and not all(map(is_ready, pods.get(name, ()))):
            stuck.append(name)
    return stuck


def _without_pods(role: RolePods, workload: Tree, instances: Sequence[Tree]) -> list[str]:
    """Trap A2: after a change from StatefulSet, RBG counts instances ready that have no pod."""
    if role.pods or not number(workload, "status", "readyReplicas") or not role.desired:
        return []
    return [name_of(i) for i in instances if _counts_pods_it_has_not(i)]


def _counts_pods_it_has_not(instance: Tree) -> bool:
    """Whether the instance says that it is ready and has none: RBG does not look again."""
    sizes = [number(c, "size") for c in entries(instance, "status", "componentStatuses")]
    conditions = entries(instance, "status", "conditions")
    ready = any(
        text(c, "type") == "RoleInstanceReady" and text(c, "status") == "True" for c in conditions
    )
    return ready and bool(sizes) and not any(sizes)


def _ordinal(name: str) -> int:
    tail = name.rpartition("-")[2]
    return int(tail) if tail.isdigit() else 0
