# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""What the group is to be: inputs and what runs → group, checks, manifests. Nothing is written.

The modules that need the schema are imported only here, and only where something is to be
rendered.
"""

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import faults
import regroup
import revisions
from capabilities import Api, from_crd, unconverted, unusable
from cluster import Cluster
from faults import Fault
from inputs import Inputs
from names import API_FEATURES, PIN
from ownership import applied_digests, counts_taken
from problems import Problem
from regroup import find
from tree import Tree, annotation, entries, version_of

if TYPE_CHECKING:
    from group import Group
    from manifests.render import Manifests

Left = Callable[[set[str]], set[str]]


@dataclass(frozen=True)
class Plan:
    """What the group is to be, and what the cluster's RBG understands."""

    api: Api
    group: "Group"
    manifests: "Manifests | None"
    problems: tuple[Problem, ...]
    replaces: Tree | None = None
    """What goes before it can be applied: a group of the other kind, as the user allowed."""
    waits: bool = False
    """Whether that cannot go yet, since not all of it is said anew."""


def what_would_be(inputs: Inputs, cluster: Cluster, hint: str, left: Left) -> Plan:
    """What `reconcile` would plan now, from the same arguments. Nothing is written."""
    live = find(cluster, hint, inputs.groups, leaving=inputs.holds.recreate)
    plan, _ = plan_for(inputs, cluster, live, hint, left)
    return plan


def plan_for(
    inputs: Inputs, cluster: Cluster, live: Tree | None, hint: str, left: Left
) -> tuple[Plan, Tree | None]:
    """The plan, and the group it was made against."""
    plan = make_plan(inputs, cluster, live, left)
    if live is None and plan.api.version != (hint or "v1alpha2"):
        # Found only now that RBG speaks another version than last time, or than the newest.
        live = find(cluster, plan.api.version, inputs.groups, leaving=inputs.holds.recreate)
        plan = make_plan(inputs, cluster, live, left)
    return plan, live


def make_plan(
    inputs: Inputs,
    cluster: Cluster,
    live: Tree | None,
    left: Left = set,
    refused: Sequence[Problem] = (),
) -> Plan:
    """Work out what the group is to be. Nothing is written.

    The RBG API seen at the first apply stays with the group, so that an upgrade of RBG under it
    changes no byte; it is read anew when a role asks for something it was not seen to have.
    """
    import checks
    import config
    from group import build
    from manifests.render import render

    settings, problems = config.load(inputs.application, inputs.config)
    problems += regroup.problem(inputs, live)
    unsaid = _unsaid(inputs, live, left)
    replaced = live if regroup.goes(inputs, live) else None
    if replaced is not None:  # its pods go, so nothing of it is kept
        live = None
    api = Api.parse(annotation(live, API_FEATURES)) if live else None
    known = api is not None and api.version == version_of(live)
    if api is None or not known:
        api = read_api(cluster) if inputs.roles or live else Api("v1alpha2")
    live_roles: Sequence[Tree] = live["spec"]["roles"] if live else ()
    staying = unsaid if live else set[str]()
    by, taken = settings.autoscaling, counts_taken(live)
    group = build(inputs, api, live_roles, refused, staying, by, taken)
    if known and any(checks.lacking(role, api) for role in group.asked):
        api = read_api(cluster)
        group = build(inputs, api, live_roles, refused, staying, by, taken)
    if inputs.holds.pin and live is not None:
        group = replace(group, pinned=_pinned(inputs.holds.pin, cluster, live, group.gone))
    problems += config.unsupported(inputs.application, settings, api.version, inputs.groups)
    found = (*problems, *group.problems)
    settled = not found and not unsaid
    manifests = render(group, api, inputs.fingerprint if settled else "", applied_digests(live))
    waits = replaced is not None and (not settled or bool(inputs.holds.pin))
    return Plan(api, group, manifests, found, replaced, waits)


def _unsaid(inputs: Inputs, live: Tree | None, left: Left) -> set[str]:
    """Roles on the cluster that no relation speaks for, although they have not left."""
    there = {r["name"] for r in entries(live, "spec", "roles")}
    unrelated = there - {r.name for r in inputs.roles}
    return unrelated - left(unrelated) if unrelated else unrelated


def _pinned(pin: int, cluster: Cluster, live: Tree, gone: Set[str]) -> dict[str, Tree]:
    """Entries to hold: the live ones, or those of the revision where it was not gone back to yet.

    Raises:
        Fault: the revision is not there any more.
    """
    held = {r["name"]: r for r in live["spec"]["roles"] if r["name"] not in gone}
    if annotation(live, PIN).partition(" ")[0] == str(pin):
        return held
    revision = revisions.find(cluster.revisions(live), live, pin)
    if revision is None:
        raise Fault(f"revision {pin} is gone; run rollout-resume", blocked=True)
    return {**held, **revisions.restored(revision, held)}


def read_api(cluster: Cluster) -> Api:
    """What the cluster's RBG understands.

    Raises:
        Fault: RBG is not installed, or not in a way that can be used.
    """
    crd = cluster.crd
    api = from_crd(crd) if crd else None
    if crd is None or api is None:
        raise Fault(faults.INSTALL_RBG, blocked=True)
    if unconverted(crd):
        raise Fault(faults.INSTALL_CONVERSION, blocked=True)
    if unusable(crd):
        raise Fault(unusable(crd), blocked=True)
    return api


def trial(plan: Plan, cluster: Cluster) -> list[Problem]:
    """What the API server's strict dry run refuses of a plan."""
    if plan.manifests is None:
        return []
    return [_problem(r, plan.group) for r in cluster.refusals(plan.manifests.group)]


def _problem(refusal: Any, group: "Group") -> Problem:
    role = next((r for r in group.roles if r.name == refusal.role), None)
    if role is None:  # in what is ours, or kept as it ran: nobody's data would mend it
        where = ": ".join(part for part in (refusal.role, refusal.field) if part)
        raise Fault(f"the API server refuses {where}: {refusal.reason}", blocked=True)
    return Problem(role.application, role.name, refusal.field, refusal.reason)
