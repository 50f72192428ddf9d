# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""One role of the group on the cluster, with its pods sorted into replicas."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from causes import Pod, is_leaving, is_ready
from names import (
    LWS_GROUP_INDEX_LABEL,
    RBG_POD_LABELS,
    ROLE_INSTANCE_LABEL,
    ROLE_LABEL,
    TEMPLATE_DIGEST,
    WORKLOAD_TYPE,
)
from tree import Tree, annotation, branch, entries, label, leaf, name_of, number, text

_FIRST = ("engine", "decoder", "router")


@dataclass(frozen=True)
class RolePods:
    """One role as the cluster has it.

    Attributes:
        name: the role's name.
        spec: its entry in `spec.roles`, of either API version.
        pods: all its pods, those on their way out included.
    """

    name: str
    spec: Tree
    pods: tuple[Pod, ...]

    @property
    def desired(self) -> int:
        """Replicas asked for."""
        return number(self.spec, "replicas", default=1)

    @property
    def size(self) -> int:
        """Pods per replica."""
        components = entries(self.spec, "customComponentsPattern", "components")
        if components:
            return sum(number(c, "size", default=1) for c in components)
        multi = branch(self.spec, "leaderWorkerPattern") or branch(self.spec, "leaderWorkerSet")
        return number(multi, "size", default=1)

    @property
    def digest(self) -> str:
        """Digest of the wanted template; empty where this charm did not render the group."""
        components = entries(self.spec, "customComponentsPattern", "components")
        carrier = (
            branch(self.spec, "standalonePattern")
            or branch(self.spec, "leaderWorkerPattern")
            or (components[0] if components else self.spec)
        )
        return annotation(branch(carrier, "template"), TEMPLATE_DIGEST)

    @property
    def instances(self) -> dict[str, list[Pod]]:
        """Pods that are here to stay, by the replica they belong to."""
        found: dict[str, list[Pod]] = {}
        for pod in self.pods:
            if not is_leaving(pod):
                found.setdefault(_instance(pod), []).append(pod)
        return found

    @property
    def ready(self) -> int:
        """Replicas all of whose pods are ready."""
        whole = [i for i in self.instances.values() if len(i) >= self.size]
        return sum(all(map(is_ready, pods)) for pods in whole)

    @property
    def rolling(self) -> Tree:
        """RBG's `rollingUpdate` of the role."""
        return branch(self.spec, "rolloutStrategy", "rollingUpdate")

    @property
    def paused(self) -> bool:
        """Whether its rollout is paused, by that field or by a partition that keeps back all."""
        return bool(leaf(self.rolling, "paused")) or 0 < self.desired <= self.partition

    @property
    def partition(self) -> int:
        """Ordinals below it keep the old template.

        RoleInstanceSet rounds a percentage down; StatefulSet and LeaderWorkerSet round it up
        (RBG 0.8 sources; the former seen).
        """
        said = leaf(self.rolling, "partition") or 0
        if isinstance(said, str) and not said.rstrip("%").isdigit():
            said = 0  # a hand's work; the API server knows no pattern here
        if isinstance(said, str):
            share = int(said.rstrip("%")) * self.desired / 100
            legacy = "template" in self.spec or text(self.spec, "annotations", WORKLOAD_TYPE)
            said = math.ceil(share) if legacy else math.floor(share)
        return min(said, self.desired)

    def updated(self, workload: Tree) -> tuple[int, int]:
        """Replicas on the wanted template, and how many of them there are to be.

        Args:
            workload: the role's workload, asked where the pods cannot tell.
        """
        expected = self.desired - self.partition
        if self.digest:
            new = sum(map(self._is_new, self.instances.values()))
            return min(new, self.desired), expected
        expected = number(workload, "status", "expectedUpdatedReplicas", default=expected)
        known = number(workload, "metadata", "generation")
        if number(workload, "status", "observedGeneration", default=known) < known:
            return 0, expected
        return number(workload, "status", "updatedReplicas", default=self.desired), expected

    def _is_new(self, pods: Sequence[Pod]) -> bool:
        return all(annotation(pod, TEMPLATE_DIGEST) == self.digest for pod in pods)


def roles_with_pods(group: Tree, pods: Sequence[Pod]) -> list[RolePods]:
    """The roles of the group's spec (its status keeps roles that left long ago), with their pods.

    The well-known ones come first, the others by name.
    """
    by_role: dict[str, list[Pod]] = {}
    for pod in pods:
        by_role.setdefault(_role_of(pod, name_of(group)), []).append(pod)
    found = [
        RolePods(spec["name"], spec, tuple(by_role.get(spec["name"], ())))
        for spec in entries(group, "spec", "roles")
    ]
    return sorted(found, key=_rank)


def _rank(role: RolePods) -> tuple[int, str]:
    return (_FIRST.index(role.name) if role.name in _FIRST else len(_FIRST), role.name)


def _role_of(pod: Pod, group: str) -> str:
    """The role a pod belongs to, by RBG's labels or ours; empty for a pod of another group."""
    for group_label, role_label in RBG_POD_LABELS:
        if label(pod, group_label):
            return label(pod, role_label) if label(pod, group_label) == group else ""
    return label(pod, ROLE_LABEL)


def _instance(pod: Pod) -> str:
    return label(pod, ROLE_INSTANCE_LABEL) or label(pod, LWS_GROUP_INDEX_LABEL) or name_of(pod)
