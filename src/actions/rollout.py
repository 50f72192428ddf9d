# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""`rollout-pause` and `rollout-resume`: stop roles where they are, and let them go on."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import ops
from pydantic import Field

from actions.common import Params, Refused, Standing, hold, params, standing
from capabilities import Api
from group import template_said
from holds import Holds, Step
from names import API_FEATURES
from rolepods import RolePods
from tree import Tree, annotation, roles_by_name, version_of
from workloads import live_kind, paused_by

if TYPE_CHECKING:
    from charm import RbgCharm


class RolloutPause(Params):
    """Pause the rollout of one, several or all roles."""

    role: str = ""


class RolloutResume(Params):
    """Let roles go on, release a revision gone back to, or take a canary one step further."""

    role: str = ""
    to: int | None = Field(None, ge=0)


def pause(charm: "RbgCharm", event: ops.ActionEvent) -> dict[str, Any]:
    """Changes of these roles' templates wait until they are resumed; counts go on."""
    said = params(RolloutPause, event)
    now = standing(charm, event)
    asked = _running(now, said.role)
    api = Api.parse(annotation(now.live, API_FEATURES)) or Api(version_of(now.live))
    for name, live in asked.items():
        kind = live_kind(live, version_of(now.live))
        if not paused_by(kind, api):
            reason = f"runs as a {kind}, which this RBG cannot pause"
            raise Refused(f"{name} {reason}; name only roles that it can")
    hold(charm, now, now.holds.pause(asked), list(asked))
    return {"paused": ", ".join(charm.holds.paused), "status": charm.line.message}


def resume(charm: "RbgCharm", event: ops.ActionEvent) -> dict[str, Any]:
    """Release what was paused, gone back to, or kept back as a canary."""
    said = params(RolloutResume, event)
    now = standing(charm, event)
    if said.to is not None:
        asked = now.roles(said.role)
        holds = _step(now, _running(now, said.role), said.to)
    elif now.holds.pin and said.role:
        pin = f"the whole group is held at revision {now.holds.pin}"
        raise Refused(f"{pin}; run rollout-resume without role")
    else:
        asked = now.roles(said.role)
        holds = replace(now.holds.resume(asked), pin=0)
        if holds == now.holds:
            raise Refused("nothing is paused or held; a canary goes on with `to=<partition>`")
    hold(charm, now, holds, asked if said.role else ())
    return {"paused": ", ".join(charm.holds.paused), "status": charm.line.message}


def _step(now: Standing, asked: dict[str, Tree], to: int) -> Holds:
    holds = now.holds.resume(asked)
    if now.holds.pin:
        raise Refused(f"the group is held at revision {now.holds.pin}; run rollout-resume first")
    related = {r.name: r for r in now.inputs.roles}
    if len(asked) > 1:  # those that keep nothing back have no step to take
        asked = {n: live for n, live in asked.items() if RolePods(n, live, ()).partition}
    if not asked:
        raise Refused("no role keeps a canary; say which one with role=<name>")
    for name, live in asked.items():
        role = RolePods(name, live, ())
        if live_kind(live, version_of(now.live)) == "Deployment":
            raise Refused(f"{name} runs as a Deployment, which knows no partition")
        if to and to >= role.desired:
            raise Refused(f"to: must be less than the {role.desired} replicas of {name}")
        holds = holds.stepped(name, Step(to, template_said(related[name])))
    return holds


def _running(now: Standing, said: str) -> dict[str, Tree]:
    """The asked roles as they are on the cluster."""
    live = roles_by_name(now.live)
    asked = {name: live[name] for name in now.roles(said) if name in live}
    if not asked:
        raise Refused("none of these roles is on the cluster yet; see `juju status`")
    return asked
