# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""`scale`: hold a count, or give it back."""

from typing import TYPE_CHECKING, Any

import ops
from pydantic import Field, model_validator

from actions.common import Params, Refused, Standing, hold, params, standing, unknown_role
from charms.rbg_k8s.v0.rbg_role import RoleDataError, read_role
from tree import leaf

if TYPE_CHECKING:
    from charm import RbgCharm


class Scale(Params):
    """Hold a replica count for a role, or give it back to the role charm or the autoscaler."""

    role: str = Field(min_length=1)
    replicas: int | None = Field(None, ge=0)
    release: bool = False

    @model_validator(mode="after")
    def _one_of_both(self) -> "Scale":
        if (self.replicas is None) is not self.release:
            raise ValueError("say either replicas=<count> or release=true")
        return self


def scale(charm: "RbgCharm", event: ops.ActionEvent) -> dict[str, Any]:
    """Hold a role's replica count until it is released, and apply it at once."""
    said = params(Scale, event)
    now = standing(charm, event)
    released = said.release and said.role in now.holds.replicas  # its relation may have gone
    if said.role not in now.names and not released:
        raise unknown_role(said.role, now.names)
    if said.replicas is not None:
        _check_bounds(now, said.role, said.replicas)
    hold(charm, now, now.holds.scaled(said.role, said.replicas), [said.role])
    report = charm.report
    role = next((h for h in report.health if h.name == said.role), None)
    count = said.replicas
    if count is None and role:  # an autoscaler's adapter takes a moment to write one
        count = role.desired
    return {
        "role": said.role,
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
