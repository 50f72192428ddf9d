# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""Group → Kubernetes objects. Deterministic: a changed byte restarts GPUs."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from capabilities import Api
from group import Group
from inputs import digest
from manifests import autoscaling, discovery, groupset, v1alpha1, v1alpha2
from manifests.orders import obey
from names import (
    API_FEATURES,
    APPLICATION_LABEL,
    APPLIED_DIGESTS,
    AUTOSCALERS,
    GROUP_LABEL,
    INPUTS_DIGEST,
    PIN,
    RBG_GROUP,
    ROLE_LABEL,
    child,
)
from ownership import within
from tree import Tree, label, leaf, name_of


@dataclass(frozen=True)
class Manifests:
    """What is to be on the cluster.

    Attributes:
        group: the RoleBasedGroup, or the set of them seen as one, without owner reference (the
            cluster room adds a fresh one).
        before: what it needs beside it, in the order of applying.
        after: what needs the group to be there first: its autoscalers.
        counts: role → count held, to be set through RBG's scaling adapter.
    """

    group: Mapping[str, Any]
    before: tuple[Mapping[str, Any], ...]
    after: tuple[Mapping[str, Any], ...]
    counts: Mapping[str, int]

    @property
    def neighbours(self) -> tuple[Mapping[str, Any], ...]:
        """Everything beside the group."""
        return (*self.before, *self.after)


def render(
    group: Group, api: Api, inputs_digest: str = "", before: Mapping[str, str] | None = None
) -> Manifests | None:
    """Render the group and its neighbours; None where there is no role to render.

    Args:
        group: the checked group.
        api: what the cluster's RBG understands.
        inputs_digest: fingerprint of what it was made from; empty while a role is held back, so
            that the next hook looks at everything again.
        before: digests of what was applied last, by role: a role kept as it runs keeps its own.
    """
    writer = v1alpha1 if api.version == "v1alpha1" else v1alpha2
    wanted = {r.name: obey(writer.role(r, group, api), group.holds, api) for r in group.roles}
    stays = {**{role["name"]: role for role in group.kept}, **group.pinned}
    made = dict(wanted) if not group.pinned else {}
    digests = {name: digest(_without_count(role)) for name, role in made.items()}
    for name, live in stays.items():
        made[name] = obey(_without_gone(live, group.names), group.holds, api)
        known = (before or {}).get(name)
        digests[name] = known if known and made[name] == live else digest(made[name])
    if not made:
        return None
    first = (*discovery.render(group), *autoscaling.policy(group, api))
    last = tuple(n for n in autoscaling.render(group, api) if label(n, ROLE_LABEL) in made)
    digests |= {neighbour_key(n): digest(n) for n in (*first, *last)}
    digests |= _of_kept(group, before or {})
    body: dict[str, Any] = {
        "apiVersion": f"{RBG_GROUP}/{api.version}",
        "kind": groupset.kind_for(group.count),
        "metadata": {
            "name": group.name,
            "namespace": group.namespace,
            "labels": {
                "app.kubernetes.io/name": group.name,
                APPLICATION_LABEL: group.name,
                GROUP_LABEL: group.name,
            },
        },
        "spec": {"roles": [made[name] for name in sorted(made)]},
    }
    body["metadata"]["annotations"] = {
        API_FEATURES: str(api),
        APPLIED_DIGESTS: json.dumps(digests, sort_keys=True, separators=(",", ":")),
        INPUTS_DIGEST: inputs_digest,
    }
    if groupset.is_set(body):
        body["spec"]["replicas"] = group.count
    if group.pinned:
        waiting = sum(not within(role, made.get(name)) for name, role in wanted.items())
        body["metadata"]["annotations"][PIN] = f"{group.holds.pin} {waiting}"
    scaled = {role.name for role in group.roles if role.autoscaled and role.name in made}
    counts = {name: n for name, n in group.holds.replicas.items() if name in scaled}
    return Manifests(body, first, last, counts)


def neighbour_key(manifest: Tree) -> str:
    """How a neighbour is named among the digests."""
    return f"{manifest['kind']}/{name_of(manifest)}"


def _of_kept(group: Group, before: Mapping[str, str]) -> dict[str, str]:
    """Digests of the autoscalers of roles that stay as they run: they stay with them.

    One that was refused has none, so that the next hook tries it again.
    """
    refused = {problem.role for problem in group.problems if problem.field == "scaling"}
    found: dict[str, str] = {}
    for role in (r["name"] for r in group.kept):
        for kind in AUTOSCALERS:
            key = f"{kind}/{child(group.name, role)}"
            if key in before:
                found[key] = "" if role in refused else before[key]
    return found


def _without_count(role: Tree) -> dict[str, Any]:
    """An entry without the count that an autoscaler owns."""
    scaled = leaf(role, "scalingAdapter", "enable")
    return {k: v for k, v in role.items() if k != "replicas" or not scaled}


def _without_gone(live: Tree, names: list[str]) -> dict[str, Any]:
    """A running role as it is, except that it no longer waits for roles that have left.

    RBG freezes a whole group over a dependency that is not there (event InvalidRoleDependency).
    """
    role = dict(live)
    if "dependencies" in role:
        role["dependencies"] = [d for d in role["dependencies"] if d in names]
    return role
