# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""Per-role health from the group, its pods and, where a role is not well, workloads and events.

RBG's own Ready and counts are not believed: they are True with no pods at all, True in the middle
of a rollout, and stale while one is paused (facts of RBG 0.3, 0.7 and 0.8.0-alpha.5, by trial). A
role is ready when its pods are, and rolled out when its pods carry the wanted template's digest.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from causes import Cause, Pod, cause, has_ended, is_going, is_ready, is_sibling
from names import TEMPLATE_DIGEST, child
from rolepods import RolePods, roles_with_pods
from tree import Tree, annotation, branch, entries, leaf, name_of, number, text


class State(str, Enum):
    """Where a role stands; the same words as the interface's RoleStatus."""

    READY = "ready"
    UPDATING = "updating"
    WAITING = "waiting"
    BLOCKED = "blocked"


@dataclass(frozen=True)
class RoleHealth:
    """One role's health; counts are replicas, not pods.

    Attributes:
        name: the role's name.
        desired: replicas asked for.
        ready: replicas all of whose pods are ready, at most `desired`.
        updated: replicas on the wanted template.
        state: where it stands.
        cause: why it is not ready; on a ready role a remark, e.g. "scaled to zero".
        behind: whether replicas are still to get the wanted template, be it that they may not.
    """

    name: str
    desired: int
    ready: int
    updated: int
    state: State
    cause: str = ""
    behind: bool = False

    @property
    def text(self) -> str:
        """The role's part of the status line."""
        if self.state is State.READY:
            count = "0" if self.desired == 0 else f"{self.ready}/{self.desired}"
            return f"{self.name} {count}" + (f" ({self.cause})" if self.cause else "")
        return f"{self.name} {self.ready}/{self.desired}: {self.cause}"


@dataclass(frozen=True)
class Details:
    """What is read only while some role is not well.

    Attributes:
        workloads: role name → its RoleInstanceSet, StatefulSet, Deployment or LeaderWorkerSet.
        events: warning events of the namespace.
    """

    workloads: Mapping[str, Tree] = field(default_factory=dict[str, Tree])
    events: Sequence[Tree] = ()


def judge(group: Tree, pods: Sequence[Pod], details: Details | None = None) -> list[RoleHealth]:
    """Judge every role of the group.

    Args:
        group: the RoleBasedGroup as read.
        pods: its pods.
        details: workloads and events; without them a role that is not ready has a poorer cause.
    """
    roles = roles_with_pods(group, pods)
    ready = {role.name for role in roles if role.ready >= role.desired}
    known = details or Details()
    return [_Judgement(role, group, pods, ready, known).health for role in roles]


class _Judgement:
    """One role, weighed: what is fine first, then what a person must do, then what moves."""

    def __init__(
        self,
        role: RolePods,
        group: Tree,
        pods: Sequence[Pod],
        ready_roles: set[str],
        details: Details,
    ):
        self._role, self._group, self._pods, self._details = role, group, pods, details
        self._workload = details.workloads.get(role.name, {})
        self._updated, self._expected = role.updated(self._workload)
        dependencies = entries(role.spec, "dependencies")
        self._waits = [name for name in dependencies if name not in ready_roles]

    @property
    def health(self) -> RoleHealth:
        role = self._role
        state, why = self._fine() or self._needs_a_person() or self._moving()
        ready = min(role.ready, role.desired)
        behind = self._behind or (role.paused and self._updated < role.desired)
        return RoleHealth(role.name, role.desired, ready, self._updated, state, why, behind)

    @property
    def _behind(self) -> bool:
        """Whether pods are still to get the wanted template."""
        return self._updated < self._expected

    def _fine(self) -> tuple[State, str] | None:
        role = self._role
        if role.desired == 0:
            if any(not has_ended(pod) for pod in role.pods):
                return State.UPDATING, "scaling to zero"
            return State.READY, "scaled to zero"
        if not role.ready == role.desired == len(role.instances):
            return None
        if self._behind and not role.paused:
            return None
        remark = f"{self._updated}/{role.desired} updated" if self._updated < role.desired else ""
        paused = ["paused"] if role.paused else []
        return State.READY, ", ".join([*paused, *filter(None, [remark])])

    def _needs_a_person(self) -> tuple[State, str] | None:
        culprit = self._culprit()
        if culprit and culprit.person:
            if culprit.text.startswith("unschedulable") and any(map(is_going, self._pods)):
                return State.WAITING, culprit.text  # a pod that goes may make the room
            return State.BLOCKED, culprit.text
        if len(self._role.instances) < self._role.desired and not self._waits:
            for event in self._details.events:
                if refused := self._refused(event):
                    return State.BLOCKED, refused
        return None

    def _moving(self) -> tuple[State, str]:
        role, instances = self._role, self._role.instances
        if self._expected > self._updated and is_stuck(self._workload):
            return State.UPDATING, "stuck on a broken revision"
        if self._waits and (self._behind or not instances):
            what = "update waits for" if instances else "waiting for"
            return State.WAITING, f"{what} {', '.join(self._waits)}"
        if not instances:
            return self._no_pods()
        if self._behind and not role.paused and self._on_the_way():
            return State.UPDATING, f"updating, {self._updated}/{role.desired} updated"
        if len(instances) > role.desired:
            return State.UPDATING, f"scaling down from {len(instances)}"
        culprit = self._culprit()
        return State.WAITING, culprit.text if culprit else "starting"

    def _on_the_way(self) -> bool:
        """Whether pods of an old template are still there: else these are the first ones."""
        wanted = self._role.digest
        return not wanted or any(
            annotation(pod, TEMPLATE_DIGEST) != wanted for pod in self._role.pods
        )

    def _culprit(self) -> Cause | None:
        """The cause of the pod that keeps the role from being ready.

        A pod of an old template says nothing about the new one while that is on its way.
        """
        wanted, role = self._role.digest, self._role
        old_too = not wanted or not self._behind or role.paused
        waiting = [
            pod
            for pod in role.pods
            if not is_ready(pod)
            and not is_going(pod)
            and (old_too or annotation(pod, TEMPLATE_DIGEST) == wanted)
        ]
        culprits = [pod for pod in waiting if not is_sibling(pod)] or waiting
        found = [cause(pod, self._details.events) for pod in culprits]
        return next((c for c in found if c.person), found[0] if found else None)

    def _no_pods(self) -> tuple[State, str]:
        claimed = number(self._workload, "status", "readyReplicas")
        if claimed:
            return State.WAITING, f"no pods, although RBG counts {claimed} ready"
        if not branch(self._group, "status"):
            return State.WAITING, "waiting for the RBG controller"
        return State.WAITING, "no pods yet"

    def _refused(self, event: Tree) -> str:
        """What a warning says about a role without pods; most of RBG's warnings say nothing.

        DependencyNotMet, and FailedReconcileWorkload "not found", come in every normal start.
        """
        about, reason = branch(event, "involvedObject"), text(event, "reason")
        message = " ".join(text(event, "message").split())
        workload = re.escape(child(name_of(self._group), self._role.name))
        if reason == "FailedCreate" and re.fullmatch(rf"{workload}(-\d+)?", text(about, "name")):
            return f"cannot create pods: {message.rpartition('error: ')[2]}"
        named = (text(about, "kind"), text(about, "name"))
        if named != ("RoleBasedGroup", name_of(self._group)):
            return ""
        passing = "not found" in message or "cannot be fulfilled" in message  # races of RBG's own
        ours = reason == "FailedReconcileWorkload" and f"role {self._role.name}:" in message
        return message if reason == "InvalidRoleDependency" or (ours and not passing) else ""


def is_stuck(workload: Tree) -> bool:
    """Whether a RoleInstanceSet ignores its new template because its old pods are broken.

    RBG 0.7 and 0.8.0-alpha.5: nothing was updated, not all are ready, and the broken ones use up
    what may be unavailable, so it never moves (trap A1, upstream issue 464).
    """
    status = branch(workload, "status")
    return (
        number(status, "updatedReplicas") == 0
        and text(status, "updateRevision") != text(status, "currentRevision")
        and budget_used_up(workload)
    )


def budget_used_up(workload: Tree) -> bool:
    """Whether a RoleInstanceSet touches no replica, since too few are ready.

    The budget's percentage is rounded up, at least to 1 (RBG 0.8.0-alpha.5).
    """
    status, spec = branch(workload, "status"), branch(workload, "spec")
    if (
        text(workload, "kind") != "RoleInstanceSet"
        or number(status, "observedGeneration") != number(workload, "metadata", "generation")
        or leaf(spec, "updateStrategy", "paused")
    ):
        return False
    replicas = number(spec, "replicas", default=1)
    said = leaf(spec, "updateStrategy", "maxUnavailable")
    if isinstance(said, str):
        said = math.ceil(int(said.rstrip("%")) * replicas / 100)
    missing = replicas - number(status, "readyReplicas")
    return missing > 0 and missing >= max(1, said if isinstance(said, int) else 1)
