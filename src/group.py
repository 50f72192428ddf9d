# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""The desired group: what the role charms ask for, the holds, and what must stay as it runs."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace

import checks
from capabilities import Api
from charms.rbg_k8s.v0.rbg_role import RoleDataError, RoleSpec, Workload, read_role
from inputs import Inputs, RelatedRole
from problems import Problem
from tree import Tree
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


@dataclass(frozen=True)
class Group:
    """The group as a whole. Roles in `kept` stay on the cluster as they are there."""

    name: str
    namespace: str
    roles: tuple[Role, ...] = ()
    kept: tuple[Tree, ...] = ()
    problems: tuple[Problem, ...] = ()
    asked: tuple[Role, ...] = ()
    """Every role whose data could be read, held back or not."""

    @property
    def names(self) -> list[str]:
        """Names of all roles that will be on the cluster, sorted."""
        return sorted([r.name for r in self.roles] + [k["name"] for k in self.kept])


def build(
    inputs: Inputs,
    api: Api,
    live_roles: Sequence[Tree] = (),
    refused: Sequence[Problem] = (),
    staying: Set[str] = frozenset(),
) -> Group:
    """Gather the group and check it as a whole.

    A role with a problem is held back; if it already runs, its live entry is kept instead.

    Args:
        inputs: what Juju says.
        api: what the cluster's RBG understands.
        live_roles: `spec.roles` of the group on the cluster, [] where there is none.
        refused: problems found by the API server's strict dry run of an earlier attempt.
        staying: live roles that stay as they run although no relation speaks for them (yet).
    """
    live = {r["name"]: r for r in live_roles}
    candidates: list[Role] = []
    problems: list[Problem] = [*checks.duplicates(inputs.roles), *refused]
    bad = {(p.application, p.role) for p in refused}
    for related in checks.first_of_each(inputs.roles):
        if (related.application, related.name) in bad:
            continue
        try:
            role = _role(related, inputs.holds, live.get(related.name), api)
        except RoleDataError as e:
            problems.append(Problem(related.application, related.name, e.field, e.reason))
        else:
            candidates.append(role)
    asked = tuple(candidates)
    while True:
        # A role held back may be what another one waits for, so check until nothing changes.
        kept_names = _kept_names(problems, staying, candidates)
        found = checks.check(inputs, api, candidates, [n for n in live if n in kept_names], live)
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
    )


def _kept_names(
    problems: Sequence[Problem], staying: Set[str], candidates: Sequence[Role]
) -> set[str]:
    """Roles that are to stay as they run, if they do: nobody else speaks for them well."""
    return ({p.role for p in problems} | staying) - {c.name for c in candidates}


def _role(
    related: RelatedRole,
    holds: Mapping[str, int],
    live: Tree | None,
    api: Api,
) -> Role:
    spec = read_role(related.data)
    held = related.name in holds
    role = Role(
        name=related.name,
        application=related.application,
        spec=spec,
        replicas=holds[related.name] if held else spec.replicas,
        workload=Workload.ROLE_INSTANCE_SET,
        held=held,
    )
    return replace(role, workload=_resolve(role, live, api.version))


def _resolve(role: Role, live: Tree | None, version: str) -> Workload:
    """The role's workload; one that runs on RBG <=0.6's workloads stays with them (trap A2)."""
    if role.spec.workload is not Workload.AUTO:
        return role.spec.workload
    runs = live_kind(live or {}, version)
    if role.spec.components or runs == Workload.ROLE_INSTANCE_SET.value:
        return Workload.ROLE_INSTANCE_SET
    if role.spec.multi_node:
        return Workload.LEADER_WORKER_SET
    return Workload.STATEFUL_SET
