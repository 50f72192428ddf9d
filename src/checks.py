# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""Checks of the group as a whole: what RBG would find too late, or never.

RBG answers an unknown or cyclic dependency with an event and a group frozen for every role, takes
over a Service that has a role's name, and cuts long names so that they collide. Each check here
returns the problems it finds, each of them naming application, field and remedy.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import scaling
from capabilities import SINCE, Api
from charms.rbg_k8s.v0.rbg_role import RestartType, UpdateType, Workload
from config import Autoscaling
from inputs import Inputs, RelatedRole
from manifests import groupset
from names import MAX_GROUP_AND_ROLE, MAX_ROLE_NAME, child
from problems import Problem
from tree import Tree, entries, leaf, text
from workloads import live_kind

if TYPE_CHECKING:
    from group import Role

_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")


def duplicates(roles: Sequence[RelatedRole]) -> list[Problem]:
    """Two relations that name the same role; all but the first are held back."""
    first = first_of_each(roles)
    return [
        Problem(
            role.application,
            role.name,
            "role",
            f"{role.name!r} is already a role of this group; deploy it under another name",
        )
        for role in roles
        if role not in first
    ]


def first_of_each(roles: Sequence[RelatedRole]) -> list[RelatedRole]:
    """The first relation of each role name."""
    return list({role.name: role for role in reversed(roles)}.values())[::-1]


def check(
    inputs: Inputs,
    api: Api,
    roles: Sequence["Role"],
    kept: Sequence[str],
    live: Mapping[str, Tree],
    autoscaling: Autoscaling,
) -> list[Problem]:
    """All problems of these roles, in the order of the checks.

    Args:
        inputs: what Juju says.
        api: what the cluster's RBG understands.
        roles: the roles to be rendered.
        kept: names of further roles that stay on the cluster as they are.
        live: role name → role as it is on the cluster.
        autoscaling: who owns the counts of roles that say `scaling`.
    """
    names = {r.name for r in roles} | set(kept)
    problems: list[Problem] = []

    for role in roles:
        found = [
            *(problem for check_one in _EACH_ROLE for problem in check_one(role, api)),
            *scaling.faults(role, api, autoscaling),
            *_names(role, inputs),
            *_in_a_set(role, inputs),
            *_workload_change(role, api, live.get(role.name)),
            *_unknown_roles(role, names),
        ]
        problems += [Problem(role.application, role.name, *what) for what in found]
    for role in _in_a_cycle(roles):
        circle = "the roles wait for each other in a circle; remove one of them"
        problems.append(Problem(role.application, role.name, "start_after", circle))
    return problems


_Found = Iterator[tuple[str, str]]


def _names(role: "Role", inputs: Inputs) -> _Found:
    groups = groupset.names(inputs.application, inputs.groups)
    group = groups[-1]
    if len(role.name) > MAX_ROLE_NAME or len(child(group, role.name)) > MAX_GROUP_AND_ROLE:
        limit = min(MAX_ROLE_NAME, MAX_GROUP_AND_ROLE - len(group) - 1)
        yield "role", f"{role.name!r} is longer than {limit} characters; use a shorter name"
    elif not _DNS_LABEL.fullmatch(role.name):
        yield "role", f"{role.name!r} is not a DNS label; use lower-case letters, digits and '-'"
    for other in inputs.roles:
        # RBG takes over any Service (and, on 0.3 to 0.6, StatefulSet) of a role's child name,
        # and Juju gives every application a Service and a StatefulSet of its own name.
        if other.application in (child(group, role.name) for group in groups):
            what = f"application {other.application} has the name RBG gives to role {role.name}"
            yield "role", f"{what}; deploy it under another name"


def _in_a_set(role: "Role", inputs: Inputs) -> _Found:
    """A set puts back every count that is not its template's, an autoscaler's among them."""
    if inputs.groups > 1 and role.autoscaled:
        remedy = "leave it out or run scale groups=1"
        yield "scaling", f"cannot be autoscaled in a set of groups; {remedy}"


def _replicas(role: "Role", api: Api) -> _Found:
    rolling = role.spec.rollout
    partition = rolling.partition
    # RBG 0.8's webhook rounds a percentage up, whatever the workload makes of it afterwards.
    if isinstance(partition, str) and "restart-delays" in api.features:
        kept = math.ceil(int(partition.rstrip("%")) * role.replicas / 100)
    else:
        kept = partition if isinstance(partition, int) else 0
    if 0 < role.replicas <= kept:
        yield "rollout.partition", f"{partition} must be less than the replicas ({role.replicas})"
    unavailable = 1 if rolling.max_unavailable is None else rolling.max_unavailable
    surge = rolling.max_surge or 0
    if unavailable in (0, "0%") and surge in (0, "0%"):
        yield "rollout.max_unavailable", "must not be 0 while max_surge is 0; allow one of them"


def _shape(role: "Role", _: Api) -> _Found:
    spec, kind = role.spec, role.workload
    if spec.multi_node and kind in (Workload.STATEFUL_SET, Workload.DEPLOYMENT):
        yield "workload", f"{kind.value} cannot run multi_node; use LeaderWorkerSet or auto"
    if not spec.multi_node and kind is Workload.LEADER_WORKER_SET:
        yield "workload", "LeaderWorkerSet needs multi_node; say it or use auto"
    if spec.components and kind is not Workload.ROLE_INSTANCE_SET:
        yield "workload", f"{kind.value} cannot run components; use RoleInstanceSet or auto"


def _patches(role: "Role", _: Api) -> _Found:
    """A patched container must be in the template, or bring an image of its own."""
    spec = role.spec
    if not (spec.multi_node and spec.template):
        return
    known = {c["name"] for c in spec.template["spec"]["containers"]}
    patches = (
        ("leader_patch", spec.multi_node.leader_patch),
        ("worker_patch", spec.multi_node.worker_patch),
    )
    for name, patch in patches:
        if any(not isinstance(patch.get(part, {}), dict) for part in ("metadata", "spec")):
            yield f"multi_node.{name}", "must be a patch of a pod template"
        for container in entries(patch, "spec", "containers"):
            named = text(container, "name")
            if not named:
                yield f"multi_node.{name}", "every container needs a name to be merged by"
            elif named not in known and not text(container, "image"):
                yield f"multi_node.{name}", f"the template has no container {named!r} to patch"


def _service_account(role: "Role", _: Api) -> _Found:
    """Role charms are not trusted with the cluster: service accounts come from this charm."""
    spec = role.spec
    pods: list[tuple[str, Tree]] = [("template", spec.template or {})]
    pods += [(f"components.{c.name}.template", c.template) for c in spec.components]
    if spec.multi_node:
        pods.append(("multi_node.leader_patch", spec.multi_node.leader_patch))
        pods.append(("multi_node.worker_patch", spec.multi_node.worker_patch))
    for where, pod in pods:
        for name in ("serviceAccountName", "serviceAccount"):
            if leaf(pod, "spec", name):
                yield f"{where}.spec.{name}", "must not be set; say what the role discovers"


def _asked(role: "Role") -> dict[str, str]:
    """Field → feature of RBG that it needs, for what the role says."""
    spec = role.spec
    multi = spec.multi_node
    restart = multi.restart_policy if multi else spec.restart_policy
    asked = {
        "rollout.partition": (spec.rollout.partition not in (None, 0), "partition"),
        "labels": (bool(spec.labels), "role-metadata"),
        "annotations": (bool(spec.annotations), "role-metadata"),
        "min_ready_seconds": (spec.min_ready_seconds > 0, "min-ready-seconds"),
        "components": (bool(spec.components), "multi-component"),
        "pod_management": (spec.pod_management is not None, "pod-management"),
        "multi_node.service_selects": (
            multi is not None and multi.service_selects is not None,
            "service-selection",
        ),
        "restart_policy": (
            restart is not None
            and (restart.base_delay_seconds, restart.max_delay_seconds) != (None, None),
            "restart-delays",
        ),
    }
    return {field: feature for field, (said, feature) in asked.items() if said}


def lacking(role: "Role", api: Api) -> bool:
    """Whether the role asks for something this RBG API was not seen to have.

    Delays do not count: taking them up in a running group would give the restart policy another
    name, which makes RBG roll the role (its issue 440).
    """
    wanted = set(_asked(role).values()) - {"restart-delays"}
    return not wanted <= api.features


def _supported(role: "Role", api: Api) -> _Found:
    spec = role.spec
    for field, feature in _asked(role).items():
        # Delays are left out where RBG has none: its restart policy works without them too.
        if feature not in api.features and feature != "restart-delays":
            yield field, f"needs RBG {SINCE[feature]} or later"
    if api.version == "v1alpha1":
        if role.workload is Workload.ROLE_INSTANCE_SET and not spec.components:
            yield "workload", "RoleInstanceSet needs RBG 0.7 or later"
        if spec.rollout.type is not UpdateType.AUTO:
            yield "rollout.type", "needs RBG 0.7 or later"
        return
    restart = spec.multi_node.restart_policy if spec.multi_node else spec.restart_policy
    if restart and restart.type is RestartType.RECREATE_GROUP:
        where = "multi_node.restart_policy" if spec.multi_node else "restart_policy"
        yield f"{where}.type", f"{restart.type.value} was removed in RBG 0.7"


_EACH_ROLE: tuple[Callable[["Role", Api], _Found], ...] = (
    _replicas,
    _shape,
    _patches,
    _service_account,
    _supported,
)


def _workload_change(role: "Role", api: Api, live: Tree | None) -> _Found:
    """Changing a running StatefulSet to a RoleInstanceSet loses its pods for ever (trap A2)."""
    if live is None or api.version == "v1alpha1" or role.switching:
        return
    before = live_kind(live, api.version)
    if before == "StatefulSet" and role.workload is Workload.ROLE_INSTANCE_SET:
        remedy = "leave workload at auto and run migrate-api"
        yield "workload", f"a role cannot leave {before}; {remedy}"


def _unknown_roles(role: "Role", names: set[str]) -> _Found:
    for field, wanted in (
        ("start_after", role.spec.start_after),
        ("discovers", role.spec.discovers),
    ):
        for name in wanted:
            if name == role.name:
                yield field, f"{name!r} is the role itself; leave it out"
            elif name not in names:
                yield field, f"the group has no role {name!r}; relate one or leave it out"


def _in_a_cycle(roles: Sequence["Role"]) -> list["Role"]:
    """Roles from which a chain of start_after leads back to themselves (other than directly)."""
    after = {r.name: set(r.spec.start_after) - {r.name} for r in roles}

    def reaches_itself(name: str) -> bool:
        seen: set[str] = set()
        todo = list(after[name])
        while todo:
            current = todo.pop()
            if current == name:
                return True
            if current not in seen:
                seen.add(current)
                todo += after.get(current, ())
        return False

    return [r for r in roles if reaches_itself(r.name)]
