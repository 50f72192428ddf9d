# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""`migrate-api`: roles of RBG 0.6 become RoleInstanceSets, the one safe way (trap A2)."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import ops

from actions.common import Params, Refused, Standing, hold, params, standing
from charms.rbg_k8s.v0.rbg_role import RoleDataError, Workload, read_role
from manifests import groupset
from rolepods import RolePods
from tree import roles_by_name
from workloads import live_kind

if TYPE_CHECKING:
    from charm import RbgCharm


class MigrateApi(Params):
    """Say what a migration costs, or begin it."""

    confirm: bool = False


def migrate_api(charm: "RbgCharm", event: ops.ActionEvent) -> dict[str, Any]:
    """Role by role: to 0, pods gone, switched, back up. Without `confirm` only say the cost."""
    said = params(MigrateApi, event)
    now = standing(charm, event)
    if now.live["apiVersion"].endswith("v1alpha1"):
        raise Refused("this RBG knows no RoleInstanceSet; update it to 0.7 or later first")
    if groupset.is_set(now.live):
        one, all_again = "scale groups=1 allow-recreate=true", "then the groups again"
        raise Refused(f"a set of groups cannot go role by role; run `{one}`, {all_again}")
    roles = [role for role in _roles(now) if role.name not in now.holds.migrating]
    if not roles:
        going = ", ".join(now.holds.migrating)
        raise Refused(f"{going} is being migrated already" if going else "nothing to migrate")
    cost = {role.name: _cost(now, role) for role in roles}
    if not said.confirm:
        return {"cost": cost, "run": "migrate-api confirm=true"}
    if now.holds.pin:
        raise Refused(f"the group is held at revision {now.holds.pin}; run rollout-resume first")
    names = [role.name for role in roles]
    hold(charm, now, replace(now.holds, migrating=(*now.holds.migrating, *names)), names)
    return {"cost": cost, "migrating": ", ".join(names), "status": charm.line.message}


def _roles(now: Standing) -> list[RolePods]:
    """Roles that run on an older workload although their charms leave it to the group."""
    live = roles_by_name(now.live)
    found: list[RolePods] = []
    for related in now.inputs.roles:
        entry = live.get(related.name)
        try:
            leaves_it = read_role(related.data).workload is Workload.AUTO
        except RoleDataError:
            continue  # held back: it stays as it runs
        if entry and leaves_it and live_kind(entry, "v1alpha2") != "RoleInstanceSet":
            found.append(RolePods(related.name, entry, ()))
    return found


def _cost(now: Standing, role: RolePods) -> str:
    kind = live_kind(role.spec, "v1alpha2")
    pods = role.desired * role.size
    return f"{kind} to RoleInstanceSet: all {pods} pods are stopped at once, then started anew"
