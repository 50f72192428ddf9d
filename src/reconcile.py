# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""The one reconcile: inputs → group → checks → manifests → cluster → health.

Works the same on every event. A hook whose inputs are those the group was applied with renders
nothing.
"""

from typing import Any

from applying import carry_out
from cluster import Cluster
from faults import Fault
from inputs import Inputs
from look import look
from names import INPUTS_DIGEST
from ownership import applied_at, edited_by_others
from planning import Left, plan_for
from problems import Problem
from regroup import find
from report import Report
from tree import Tree, annotation, entries, number, text, version_of


def reconcile(
    inputs: Inputs,
    cluster: Cluster,
    hint: str = "",
    left: Left = set,
    *,
    detailed: bool = False,
) -> Report:
    """Bring the cluster to what Juju says, and say how it stands (leader only).

    Args:
        inputs: what Juju says.
        cluster: the cluster.
        hint: RBG API version that was in use last time, "" where it is not known.
        left: which roles without a relation have really left; the others stay as they run.
        detailed: read workloads and events even if every role is well.
    """
    problems: tuple[Problem, ...] = ()
    live: Tree | None = None
    before: Tree | None = None
    held = frozenset(inputs.holds.replicas)
    always: dict[str, Any] = {
        "held": held,
        "asked": inputs.groups,
        "groups_held": bool(inputs.holds.groups),
    }
    try:
        before = live = find(cluster, hint, inputs.groups, leaving=inputs.holds.recreate)
        if live is not None and _as_applied(inputs, live):
            view = look(cluster, live, heal=True, detailed=detailed)
            return Report(live, view.health, version=version_of(live), view=view, **always)
        plan, live = plan_for(inputs, cluster, live, hint, left)
        problems = plan.problems
        before = live
        may_write = not any(p.of_config for p in problems)
        if may_write:
            plan, live = carry_out(plan, inputs, cluster, live, left)
            problems = plan.problems
        when = _applied(before, live)
        revised = bool(when) and _without_counts(before) != _without_counts(live)
        # RBG has not seen yet what was just applied: its workloads and events tell of before.
        view = look(cluster, live, heal=may_write, detailed=detailed, fresh=bool(when))
        return Report(
            live,
            view.health,
            problems,
            version=plan.api.version,
            view=view,
            applied=when,
            revised=revised,
            replacing=plan.replaces is not None and not when,
            **always,
        )
    except Fault as fault:
        version, gone = version_of(live), cluster.deleted
        live = None if gone else cluster.written or live
        when = _applied(before, live)
        return Report(live, (), problems, fault, version, applied=when, replacing=gone, **always)


def _applied(before: Tree | None, live: Tree | None) -> str:
    """When this hook changed the group; "" where it did not."""
    return applied_at(live) if _identity(live) != _identity(before) else ""


def _identity(live: Tree | None) -> tuple[str, int]:
    """What is another one after every write that changed something."""
    uid = f"{text(live, 'kind')} {text(live, 'metadata', 'uid')}"
    return uid, number(live, "metadata", "generation")


def _without_counts(live: Tree | None) -> list[Tree]:
    roles = entries(live, "spec", "roles")
    return [{k: v for k, v in role.items() if k != "replicas"} for role in roles]


def observe(cluster: Cluster, groups: int = 1) -> Report:
    """Say how the group stands and touch nothing (units that are not the leader).

    Args:
        cluster: the cluster.
        groups: how many groups the config asks for; what is held only the leader knows.
    """
    live: Tree | None = None
    try:
        live = find(cluster, "", groups) or find(cluster, "v1alpha1", groups)
        view = look(cluster, live)
        return Report(live, view.health, version=version_of(live), view=view)
    except Fault as fault:
        return Report(live, fault=fault, version=version_of(live))


def _as_applied(inputs: Inputs, live: Tree) -> bool:
    """Whether the group is what these very inputs made, and nobody touched it since."""
    there, said = {r["name"] for r in live["spec"]["roles"]}, {r.name for r in inputs.roles}
    return (
        annotation(live, INPUTS_DIGEST) == inputs.fingerprint
        and (there == said or (bool(inputs.holds.pin) and there < said))
        and not edited_by_others(live)
    )
