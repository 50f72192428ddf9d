# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""A RoleBasedGroupSet seen as one group, and back. Pure.

Everything above the cluster room works on a group: `spec.roles`, our labels and annotations. A set
is the same tree with kind RoleBasedGroupSet and `spec.replicas`, the number of groups; only on its
way to and from the API server it is folded around its template.

RBG names the groups of a set `<set>-<i>`; nothing of ours is ever written into one of them, since
the set puts everything back that differs from its template.
"""

from typing import Any

from names import DISCOVERY_MODE, RBG_POD_LABELS
from tree import Tree, branch, entries, label, name_of, number, text

GROUP, SET = "RoleBasedGroup", "RoleBasedGroupSet"


def kind_for(groups: int) -> str:
    """The kind that makes so many groups."""
    return SET if groups > 1 else GROUP


def is_set(group: Tree | None) -> bool:
    """Whether a group is a set of them."""
    return text(group, "kind") == SET


def count(group: Tree | None) -> int:
    """How many groups it is."""
    return number(group, "spec", "replicas", default=1) if is_set(group) else 1


def name_in_pods(name: str, groups: int, version: str) -> str:
    """What a pod calls its own group; Kubernetes puts the value of $(…) in.

    Empty where RBG itself sets GROUP_NAME (up to 0.6): no value of ours would be right.
    """
    if groups < 2:
        return name
    return "" if version == "v1alpha1" else "$(RBG_GROUP_NAME)"


def child_name(name: str, index: int) -> str:
    """RBG's name of one group of a set."""
    return f"{name}-{index}"


def names(name: str, groups: int) -> list[str]:
    """RBG's names of the groups."""
    return [child_name(name, i) for i in range(groups)] if groups > 1 else [name]


def fold(group: Tree) -> dict[str, Any]:
    """What is sent to the API server: a set is put around its template."""
    if not is_set(group):
        return dict(group)
    spec = {"roles": group["spec"]["roles"]}
    if text(group, "apiVersion").endswith("v1alpha1"):
        template: Tree = {"template": spec}
    else:
        labels = {**branch(group, "metadata", "labels")}
        # RBG >=0.7 writes this onto the groups, its set strips it, and a group without it counts
        # as an old one whose discovery ConfigMap is never written again (seen on 0.8.0-alpha.5).
        annotations = {DISCOVERY_MODE: "refine"}
        template = {"groupTemplate": {"labels": labels, "annotations": annotations, "spec": spec}}
    return {**group, "spec": {"replicas": count(group), **template}}


def unfold(found: Tree) -> dict[str, Any]:
    """The group that a set, as the API server has it, is made of."""
    if not is_set(found):
        return dict(found)
    template = branch(found, "spec", "template") or branch(found, "spec", "groupTemplate", "spec")
    spec = {"replicas": number(found, "spec", "replicas", default=1)}
    return {**found, "spec": {**spec, "roles": entries(template, "roles")}}


def single(group: Tree) -> dict[str, Any]:
    """One group by itself, for the strict dry run: a role's fields are the same in both."""
    return {**group, "kind": GROUP, "spec": {"roles": group["spec"]["roles"]}}


def children(group: Tree) -> list[Tree]:
    """Each group by itself, as RBG has it under its own name; the status is the set's."""
    if not is_set(group):
        return [group]
    whole = {"apiVersion": group["apiVersion"], "spec": {"roles": entries(group, "spec", "roles")}}
    status = branch(group, "status")
    found: list[Tree] = []
    for index in range(count(group)):
        name = child_name(name_of(group), index)
        metadata = {**branch(group, "metadata"), "name": name}
        found.append({**whole, "kind": GROUP, "metadata": metadata, "status": status})
    return found


def group_of(pod: Tree) -> str:
    """RBG's name of the group a pod belongs to; empty for a pod without RBG's labels."""
    return next((found for g, _ in RBG_POD_LABELS if (found := label(pod, g))), "")
