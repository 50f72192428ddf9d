# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""`rollout-restart`: every pod of some roles made anew, in the order in which they start."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import ops

from actions.common import Params, Refused, hold, params, standing
from progress import before
from rolepods import RolePods
from tree import Tree, roles_by_name

if TYPE_CHECKING:
    from charm import RbgCharm


class RolloutRestart(Params):
    """Restart the pods of one, several or all roles."""

    role: str = ""


def restart(charm: "RbgCharm", event: ops.ActionEvent) -> dict[str, Any]:
    """Restart roles; one that starts after another of them waits until that one is well again."""
    said = params(RolloutRestart, event)
    now = standing(charm, event)
    live = roles_by_name(now.live)
    asked = [name for name in now.roles(said.role) if name in live]
    for name in asked:
        _check_pace(name, live[name])
    if not asked:
        raise Refused("none of these roles is on the cluster yet; see `juju status`")
    waits = {name: _after(name, asked, live) for name in asked}
    stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S.%fZ")
    first = {name: stamp for name in asked if not waits[name]}
    queued = {name: stamp for name in asked if waits[name]}
    holds = replace(
        now.holds,
        restarts={**now.holds.restarts, **first},
        queued={**{k: v for k, v in now.holds.queued.items() if k not in first}, **queued},
    )
    hold(charm, now, holds, asked)
    return {
        "restarting": ", ".join(first),
        "queued": {name: f"after {', '.join(waits[name])}" for name in queued},
        "status": charm.line.message,
    }


def _after(name: str, asked: list[str], live: Mapping[str, Tree]) -> list[str]:
    """The roles, of those asked, that have to be well before this one restarts."""
    return [other for other in before(name, live) if other in asked]


def _check_pace(name: str, live: Tree) -> None:
    role = RolePods(name, live, ())
    if role.paused:
        raise Refused(f"{name} is paused; run `rollout-resume role={name}` first")
    if role.desired and role.partition:
        rest = f"{role.partition} of {role.desired} replicas keep the old template"
        raise Refused(f"{name} is a canary: {rest}; run `rollout-resume role={name} to=0` first")
