# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""`scale`: hold a count of a role or of groups, or give it back."""

from typing import TYPE_CHECKING, Any

import ops
from pydantic import Field, model_validator

from actions.common import Params, Refused, Standing, hold, params, standing, unknown_role
from actions.groups import scale_groups
from charms.rbg_k8s.v0.rbg_role import RoleDataError, read_role
from tree import leaf

if TYPE_CHECKING:
    from charm import RbgCharm


class Scale(Params):
    """Hold a replica count for a role or a number of groups, or give it back to who says it."""

    role: str | None = Field(None, min_length=1)
    replicas: int | None = Field(None, ge=0)
    groups: int | None = Field(None, ge=1)
    release: bool = False
    allow_recreate: bool = False

    @model_validator(mode="after")
    def _one_of_both(self) -> "Scale":
        if self.role is not None:
            if self.groups is not None or self.allow_recreate:
                raise ValueError(
                    "groups and allow-recreate are of the whole group; leave role out"
                )
            if (self.replicas is None) is not self.release:
                raise ValueError("say either replicas=<count> or release=true")
        elif self.replicas is not None:
            raise ValueError("say which role with role=<name>")
        elif (self.groups is None) is not self.release:
            raise ValueError("say role=<name>, or groups=<count>, or release=true alone")
        return self


def scale(charm: "RbgCharm", event: ops.ActionEvent) -> dict[str, Any]:
    """Hold a count until it is released, and apply it at once."""
    said = params(Scale, event)
    now = standing(charm, event)
    if said.role is None:
        return scale_groups(charm, now, said.groups, recreate=said.allow_recreate)
    return _scale_role(charm, now, said.role, said)


def _scale_role(charm: "RbgCharm", now: Standing, name: str, said: Scale) -> dict[str, Any]:
    released = said.release and name in now.holds.replicas  # its relation may have gone
    if name not in now.names and not released:
        raise unknown_role(name, now.names)
    if said.replicas is not None:
        _check_bounds(now, name, said.replicas)
    hold(charm, now, now.holds.scaled(name, said.replicas), [name])
    report = charm.report
    role = next((h for h in report.health if h.name == name), None)
    count = said.replicas
    if count is None and role:  # an autoscaler's adapter takes a moment to write one
        count = role.desired // (report.groups or 1)
    return {
        "role": name,
        "replicas": "" if count is None else str(count),
        "held": str(said.replicas is not None).lower(),
        "status": charm.line.message,
    }


def _check_bounds(now: Standing, role: str, replicas: int) -> None:
    """A count outside the autoscaler's bounds would be taken back at once."""
    live = next((r for r in now.live["spec"]["roles"] if r["name"] == role), None)
    if not leaf(live, "scalingAdapter", "enable"):
        return
    related = next(r for r in now.inputs.roles if r.name == role)
    try:
        scaling = read_role(related.data).scaling
    except RoleDataError:
        return  # said as a problem of the role
    if scaling and not scaling.min <= replicas <= scaling.max:
        bounds = f"{scaling.min} to {scaling.max}"
        raise Refused(f"replicas: {role} is autoscaled from {bounds}; choose a count within")
