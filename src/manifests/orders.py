# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""What actions hold, put into a role's entry, whether it was rendered or stays as it runs."""

import copy
from collections.abc import Mapping
from typing import Any

from capabilities import Api
from holds import Holds
from names import RESTART_ENV, TEMPLATE_DIGEST
from tree import Tree, annotation, branch, entries, leaf, number, text
from workloads import live_kind, paused_by


def obey(entry: Tree, holds: Holds, api: Api, taken: Mapping[str, int]) -> dict[str, Any]:
    """The entry of `spec.roles` with replicas, pause, canary step and restart as held.

    Args:
        entry: the role's entry.
        holds: what is held.
        api: what the cluster's RBG understands.
        taken: role → count that RBG's scaling adapter has written. It is left out: RBG 0.7 takes
            whatever is applied until the adapter puts it back, and 0.8's webhook refuses it.
    """
    role = copy.deepcopy(dict(entry))
    name = role["name"]
    scaled = leaf(role, "scalingAdapter", "enable")
    if name in holds.replicas and not scaled:
        role["replicas"] = holds.replicas[name]
    count = number(role, "replicas", default=1)
    if scaled and name in taken:
        count = taken[name]
        role.pop("replicas", None)
    if name in holds.steps:
        # RBG 0.8's webhook wants a partition less than the replicas.
        _roll(role, partition=max(0, min(holds.steps[name].to, count - 1)))
    if name in holds.paused:
        _pause(role, api, count)
    if name in holds.restarts:
        _restart(role, holds.restarts[name])
    return role


def _pause(role: dict[str, Any], api: Api, count: int) -> None:
    field = paused_by(live_kind(role, api.version), api)
    if field:
        _roll(role, **{field: True if field == "paused" else count})


def _roll(role: dict[str, Any], **fields: Any) -> None:
    rolling = {**branch(role, "rolloutStrategy", "rollingUpdate"), **fields}
    strategy = {**branch(role, "rolloutStrategy"), "rollingUpdate": rolling}
    role["rolloutStrategy"] = {"type": "RollingUpdate", **strategy}


def _restart(role: dict[str, Any], stamp: str) -> None:
    """Change a variable: an annotation restarts nothing where RBG updates pods in place (trap 3).

    The digest keeps its first part, so that a restart is not taken for another template.
    """
    for template in templates(role):
        containers = entries(template, "spec", "containers")
        if not containers:
            continue  # not of this charm's making
        container = containers[0]
        others = [e for e in entries(container, "env") if text(e, "name") != RESTART_ENV]
        container["env"] = [*others, {"name": RESTART_ENV, "value": stamp}]
        pure = annotation(template, TEMPLATE_DIGEST).partition(".")[0]
        said = branch(template, "metadata", "annotations")
        stamped = {**said, TEMPLATE_DIGEST: f"{pure}.{stamp}"}
        template["metadata"] = {**branch(template, "metadata"), "annotations": stamped}


def stamp_of(role: Tree) -> str:
    """The stamp of the last restart in a role's entry; empty where there was none."""
    for template in templates(role):
        for container in entries(template, "spec", "containers"):
            for variable in entries(container, "env"):
                if text(variable, "name") == RESTART_ENV:
                    return text(variable, "value")
    return ""


def templates(role: Tree) -> list[dict[str, Any]]:
    """The pod templates of an entry, of either API version."""
    carriers = [role, branch(role, "standalonePattern"), branch(role, "leaderWorkerPattern")]
    carriers += entries(role, "customComponentsPattern", "components")
    return [carrier["template"] for carrier in carriers if branch(carrier, "template")]
