# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""The desired group: what the role charms ask for, the holds, and what must stay as it runs."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace

import checks
from capabilities import Api
from charms.rbg_k8s.v0.rbg_role import RoleDataError, RoleSpec, Workload, read_role
from config import Autoscaling
from holds import Holds
from inputs import Inputs, RelatedRole, digest
from manifests import groupset
from problems import Problem
from tree import Tree, number
from workloads import live_kind


@dataclass(frozen=True)
class Role:
    """One role as it is to be rendered."""

    name: str
    application: str
    spec: RoleSpec
    replicas: int
    workload: Workload
    """Never `auto`."""
    held: bool = False
    """Whether `replicas` is held by the `scale` action."""
    switching: bool = False
    """Whether it is to become a RoleInstanceSet, having no pods any more."""
    autoscaled: bool = False
    """Whether an autoscaler owns its count."""
    count_taken: bool = False
    """Whether RBG's scaling adapter has written `replicas`: then nobody else may."""


@dataclass(frozen=True)
class Group:
    """The group as a whole.

    Roles in `kept` stay on the cluster as they are there. While `pinned` has entries, those are
    applied whatever the roles say, and what the roles say waits.
    """

    name: str
    namespace: str
    roles: tuple[Role, ...] = ()
    kept: tuple[Tree, ...] = ()
    problems: tuple[Problem, ...] = ()
    asked: tuple[Role, ...] = ()
    """Every role whose data could be read, held back or not."""
    holds: Holds = field(default_factory=Holds)
    """What actions hold, without canary steps of templates that have gone."""
    gone: Set[str] = frozenset()
    """Names of roles on the cluster that have left."""
    pinned: Mapping[str, Tree] = field(default_factory=dict[str, Tree])
    """Role name → entry of the revision that `rollout-undo` holds."""
    autoscaling: Autoscaling = field(default_factory=Autoscaling)
    count: int = 1
    """How many groups are made of it."""
    called: str = ""
    """What a pod calls its own group: its name, or a variable of RBG's in a set of groups."""

    @property
    def names(self) -> list[str]:
        """Names of all roles that will be on the cluster, sorted."""
        roles = self.pinned or {r.name for r in self.roles}
        return sorted({*roles, *(k["name"] for k in self.kept)})


def build(
    inputs: Inputs,
    api: Api,
    live_roles: Sequence[Tree] = (),
    refused: Sequence[Problem] = (),
    staying: Set[str] = frozenset(),
    autoscaling: Autoscaling | None = None,
    taken: Set[str] = frozenset(),
) -> Group:
    """Gather the group and check it as a whole.

    A role with a problem is held back; if it already runs, its live entry is kept instead.

    Args:
        inputs: what Juju says.
        api: what the cluster's RBG understands.
        live_roles: `spec.roles` of the group on the cluster, [] where there is none.
        refused: problems found by the API server's strict dry run of an earlier attempt.
        staying: live roles that stay as they run although no relation speaks for them (yet).
        autoscaling: who owns the counts of roles that say `scaling`.
        taken: live roles whose count RBG's scaling adapter has written.
    """
    autoscaling = autoscaling or Autoscaling()
    live = {r["name"]: r for r in live_roles}
    holds = _in_force(inputs)
    candidates: list[Role] = []
    problems: list[Problem] = [*checks.duplicates(inputs.roles), *refused]
    bad = {(p.application, p.role) for p in refused}
    for related in checks.first_of_each(inputs.roles):
        if (related.application, related.name) in bad:
            continue
        try:
            role = _role(related, holds, live.get(related.name), api)
            role = _counted(role, live.get(role.name), autoscaling, taken)
        except RoleDataError as e:
            problems.append(Problem(related.application, related.name, e.field, e.reason))
        else:
            candidates.append(role)
    asked = tuple(candidates)
    while True:
        # A role held back may be what another one waits for, so check until nothing changes.
        kept_names = _kept_names(problems, staying, candidates)
        names = [n for n in live if n in kept_names]
        found = checks.check(inputs, api, candidates, names, live, autoscaling)
        if not found:
            break
        problems += found
        bad = {(p.application, p.role) for p in found}
        candidates = [c for c in candidates if (c.application, c.name) not in bad]
    kept = [live[n] for n in sorted(kept_names) if n in live]
    if live and not candidates and not kept:
        # RBG refuses a group without roles, and no hook ever deletes a group (it cannot tell
        # a removal from scaling the charm to 0): the last roles go to 0 pods instead.
        kept = [{**r, "replicas": 0} for r in live_roles]
    order = {(r.application, r.name): i for i, r in enumerate(inputs.roles)}
    problems.sort(key=lambda p: order.get((p.application, p.role), 0))
    return Group(
        name=inputs.application,
        namespace=inputs.namespace,
        roles=tuple(sorted(candidates, key=lambda r: r.name)),
        kept=tuple(kept),
        problems=tuple(problems),
        asked=asked,
        holds=holds,
        autoscaling=autoscaling,
        gone=live.keys() - {r.name for r in inputs.roles} - staying,
        count=max(1, inputs.groups),
        called=groupset.name_in_pods(inputs.application, inputs.groups, api.version),
    )


def _kept_names(
    problems: Sequence[Problem], staying: Set[str], candidates: Sequence[Role]
) -> set[str]:
    """Roles that are to stay as they run, if they do: nobody else speaks for them well."""
    return ({p.role for p in problems} | staying) - {c.name for c in candidates}


def template_said(related: RelatedRole) -> str:
    """Digest of what a role charm says about its pods, its canary's partition included.

    A step of a canary holds for these words only.
    """
    fields = ("template", "multi_node", "components", "engine_runtimes", "rollout")
    return digest([related.data.get(field) for field in fields])


def _in_force(inputs: Inputs) -> Holds:
    """The holds without steps of templates that have gone; a role to be migrated goes to 0."""
    holds, said = inputs.holds, {r.name: template_said(r) for r in inputs.roles}
    steps = {n: step for n, step in holds.steps.items() if said.get(n) == step.of}
    emptied = {holds.migrating[0]: 0} if holds.migrating and not holds.emptied else {}
    return replace(holds, steps=steps, replicas={**holds.replicas, **emptied})


def _role(related: RelatedRole, holds: Holds, live: Tree | None, api: Api) -> Role:
    spec = read_role(related.data)
    held = related.name in holds.replicas
    role = Role(
        name=related.name,
        application=related.application,
        spec=spec,
        replicas=holds.replicas[related.name] if held else spec.replicas,
        workload=Workload.ROLE_INSTANCE_SET,
        held=held,
        switching=holds.emptied and holds.migrating[:1] == (related.name,),
    )
    return replace(role, workload=_resolve(role, live, api.version))


def _counted(role: Role, live: Tree | None, by: Autoscaling, taken: Set[str]) -> Role:
    """The role with the count its autoscaler gave it; a new one starts within its bounds."""
    scaling = role.spec.scaling
    if scaling is None or by.by == "none":
        return role
    start = min(max(role.spec.replicas, scaling.min, 1), scaling.max)
    replicas = number(live, "replicas", default=1) if live else start
    return replace(role, autoscaled=True, replicas=replicas, count_taken=role.name in taken)


def _resolve(role: Role, live: Tree | None, version: str) -> Workload:
    """The role's workload; one that runs on RBG <=0.6's workloads stays with them (trap A2)."""
    if role.spec.workload is not Workload.AUTO:
        return role.spec.workload
    runs = live_kind(live or {}, version)
    if role.spec.components or role.switching or runs == Workload.ROLE_INSTANCE_SET.value:
        return Workload.ROLE_INSTANCE_SET
    if role.spec.multi_node:
        return Workload.LEADER_WORKER_SET
    return Workload.STATEFUL_SET
