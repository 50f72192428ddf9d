# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""The one reconcile: inputs → group → checks → manifests → cluster → health.

Works the same on every event. A hook whose inputs are those the group was applied with renders
nothing; the modules that need the schema are imported only where something is to be rendered.
"""

import logging
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import faults
import regroup
import revisions
from capabilities import Api, from_crd, unconverted, unusable
from cluster import Cluster
from faults import Fault, Invalid
from inputs import Inputs
from look import look
from names import (
    API_FEATURES,
    AUTOSCALERS,
    INPUTS_DIGEST,
    PIN,
    ROLE_LABEL,
    child,
)
from ownership import (
    applied_at,
    applied_digests,
    counts_taken,
    edited_by_others,
    is_held_by,
    says_something_new,
)
from problems import Problem
from regroup import find
from report import Report
from tree import Tree, annotation, entries, label, name_of, number, text

if TYPE_CHECKING:
    from group import Group
    from manifests.render import Manifests

logger = logging.getLogger(__name__)

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
    when = ""
    held = frozenset(inputs.holds.replicas)
    always: dict[str, Any] = {
        "held": held,
        "asked": inputs.groups,
        "groups_held": bool(inputs.holds.groups),
    }
    try:
        live = find(cluster, hint, inputs.groups, leaving=inputs.holds.recreate)
        if live is not None and _as_applied(inputs, live):
            view = look(cluster, live, heal=True, detailed=detailed)
            return Report(live, view.health, version=version_of(live), view=view, **always)
        plan, live = _plan_for(inputs, cluster, live, hint, left)
        problems = plan.problems
        before = live
        may_write = not any(p.of_config for p in problems)
        if may_write:
            plan, live = _carry_out(plan, inputs, cluster, live, left)
            problems = plan.problems
        when = applied_at(live) if _identity(live) != _identity(before) else ""
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
        live = None if gone else live
        return Report(live, (), problems, fault, version, applied=when, replacing=gone, **always)


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


def what_would_be(inputs: Inputs, cluster: Cluster, hint: str, left: Left) -> Plan:
    """What `reconcile` would plan now, from the same arguments. Nothing is written."""
    live = find(cluster, hint, inputs.groups, leaving=inputs.holds.recreate)
    plan, _ = _plan_for(inputs, cluster, live, hint, left)
    return plan


def _plan_for(
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


def _carry_out(
    plan: Plan,
    inputs: Inputs,
    cluster: Cluster,
    live: Tree | None,
    left: Left,
) -> tuple[Plan, Tree | None]:
    """Apply the plan; a role the API server refuses is held back and the others go on."""
    refused: list[Problem] = []
    while plan.manifests is not None and not plan.waits:
        desired = plan.manifests.group
        there = live if plan.replaces is None else None
        if there is not None and is_held_by(there, desired):
            said, known = annotation(desired, INPUTS_DIGEST), annotation(there, INPUTS_DIGEST)
            if said != known and inputs.fingerprint in (said, known):
                # So that the next hook is idle; or that it is not, while a role is held back.
                live = cluster.apply(_owned(desired, cluster.owner()))
            return plan, live
        found: list[Problem] = []
        if there is None or (not plan.group.pinned and says_something_new(there, desired)):
            found = trial(plan, cluster)
        if not found:
            if plan.replaces is not None:
                cluster.delete(plan.replaces)
            live, found = _apply(plan, plan.manifests, cluster, live)
            if not found:
                return plan, live
        refused += found
        plan = make_plan(inputs, cluster, live, left, refused)
    return plan, live


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


def _apply(
    plan: Plan, manifests: "Manifests", cluster: Cluster, live: Tree | None
) -> tuple[Tree, list[Problem]]:
    """Apply what is new of it; the group as it is then, and what the API server refuses of roles.

    The group goes between what it needs and what needs it; what nobody needs any more goes last:
    pods that use an account are told to go before it does.
    """
    before, now = applied_digests(live), applied_digests(manifests.group)
    owner = cluster.owner()

    def apply_new(neighbours: Sequence[Tree]) -> list[Problem]:
        refused: list[Problem] = []
        for neighbour in neighbours:
            key = f"{neighbour['kind']}/{name_of(neighbour)}"
            if before.get(key) != now[key]:
                try:
                    cluster.apply(_owned(neighbour, owner))
                except Invalid as fault:
                    refused.append(_of_neighbour(neighbour, fault, plan.group))
        return refused

    refused = apply_new(manifests.before)
    applied = cluster.apply(_owned(manifests.group, owner))
    gone = [key.partition("/") for key in sorted(before.keys() - now.keys())]
    # KEDA refuses a role that a HorizontalPodAutoscaler still scales.
    for kind, _, name in gone:
        if kind in AUTOSCALERS:
            cluster.remove(kind, name)
    refused += apply_new(manifests.after)
    for role, count in manifests.counts.items():
        adapter = child(name_of(applied), role)
        cluster.scale_adapter(adapter, count, applied["apiVersion"])
    for kind, slash, name in gone:
        # The charm's first release named all of them in one key with a dot.
        if slash and kind.isalnum() and kind not in AUTOSCALERS:
            cluster.remove(kind, name)
    names = ", ".join(r["name"] for r in applied["spec"]["roles"])
    logger.info("applied group %s: %s", name_of(manifests.group), names)
    return applied, refused


def _of_neighbour(neighbour: Tree, fault: Fault, group: "Group") -> Problem:
    role = next((r for r in group.roles if r.name == label(neighbour, ROLE_LABEL)), None)
    if role is None:
        raise fault
    reason = str(fault).partition(": ")[2]
    return Problem(role.application, role.name, "scaling", reason)


def _owned(manifest: Tree, owner: Tree) -> dict[str, Any]:
    return {**manifest, "metadata": {**manifest["metadata"], "ownerReferences": [owner]}}


def version_of(live: Tree | None) -> str:
    """RBG API version an object was read in."""
    return text(live, "apiVersion").rpartition("/")[2] or "v1alpha2"
