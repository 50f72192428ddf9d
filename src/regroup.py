# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""One group or a set of them: which of the two is looked for, and going from one to the other.

RBG cannot turn a RoleBasedGroup into a RoleBasedGroupSet: their pods have other names, so each of
them is replaced. Nobody gets there by config alone; once the user allowed it, that is remembered
until it is done, and every hook takes the step that is due: the old one is deleted, the new one
applied.
"""

from dataclasses import replace

from cluster import Cluster
from holds import Holds
from inputs import Inputs
from manifests import groupset
from names import WORKLOAD_TYPE
from ownership import check_ours
from problems import Problem
from report import Report
from rolepods import RolePods
from tree import Tree, entries, text


def find(
    cluster: Cluster, hint: str = "", groups: int = 1, *, leaving: bool = False
) -> Tree | None:
    """The group on the cluster, in the API version that the cluster's RBG prefers.

    The kind that makes so many groups is looked for first, and the other one where it is not
    there. A group read as v1alpha1 whose roles carry RBG >=0.7's conversion annotation lives on a
    cluster that was upgraded since; its v1alpha2 form is the one to go on with.

    Args:
        cluster: the cluster.
        hint: RBG API version to read it in, "" for the newest.
        groups: how many groups are asked for.
        leaving: look for the other kind first, since that is to go.
    """
    kinds = (groupset.GROUP, groupset.SET)
    for kind in reversed(kinds) if (groups > 1) is not leaving else kinds:
        live = cluster.group(hint or "v1alpha2", kind)
        if live is not None and _converted(live):
            live = cluster.group("v1alpha2", kind)
        if live is not None:
            check_ours(live)
            return live
    return None


def _converted(live: Tree) -> bool:
    return text(live, "apiVersion").endswith("v1alpha1") and any(
        text(r, "annotations", WORKLOAD_TYPE) for r in entries(live, "spec", "roles")
    )


def fits(inputs: Inputs, live: Tree) -> bool:
    """Whether what is on the cluster is of the kind that is asked for."""
    return groupset.is_set(live) is (inputs.groups > 1)


def goes(inputs: Inputs, live: Tree | None) -> bool:
    """Whether the group on the cluster is to be deleted, as the user allowed."""
    return live is not None and inputs.holds.recreate and not fits(inputs, live)


def problem(inputs: Inputs, live: Tree | None) -> list[Problem]:
    """What is wrong with the number of groups asked for, if every pod would be replaced by it."""
    if live is None or fits(inputs, live) or inputs.holds.recreate or not inputs.groups:
        return []
    command = f"scale groups={inputs.groups} allow-recreate=true"
    app = inputs.application
    reason = f"{inputs.groups} replaces every pod; run `juju run {app}/leader {command}`"
    return [Problem(app, "", "config groups", reason)]


def pods(live: Tree) -> int:
    """How many pods the group on the cluster asks for."""
    roles = [RolePods(r["name"], r, ()) for r in entries(live, "spec", "roles")]
    return groupset.count(live) * sum(role.desired * role.size for role in roles)


def advance(holds: Holds, report: Report) -> Holds:
    """The permission is over in the hook that finds the right kind there, and the other one gone.

    Not in the hook that applied it: what a failing API server makes of that is told by the next.
    """
    done = report.live is not None and not report.applied and not report.fault
    if holds.recreate and done and not report.replacing:
        return replace(holds, recreate=False)
    return holds
