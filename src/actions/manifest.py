# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""`show-manifest`: what would be applied now, and what that would change on the cluster."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import ops
import yaml

from actions.common import Params, cut, params, remembered
from manifests.groupset import fold
from planning import make_plan, trial, what_would_be
from regroup import find
from revisions import diff
from tree import Tree, branch

if TYPE_CHECKING:
    from charm import RbgCharm


class ShowManifest(Params):
    """Show what would be applied now."""

    format: Literal["yaml", "json"] = "yaml"
    diff: bool = False


def show_manifest(charm: "RbgCharm", event: ops.ActionEvent) -> dict[str, Any]:
    """Show what would be applied now, and what is held back."""
    said = params(ShowManifest, event)
    inputs, memory = remembered(charm, event)
    plan = what_would_be(inputs, charm.cluster, memory.api, charm.left)
    live = find(charm.cluster, plan.api.version, inputs.groups)
    refused = trial(plan, charm.cluster)
    if refused:
        plan = make_plan(inputs, charm.cluster, live, charm.left, refused)
    manifests: list[Mapping[str, Any]] = []
    if plan.manifests:
        manifests = [*plan.manifests.neighbours, fold(plan.manifests.group)]
    if said.format == "json":
        text = json.dumps(manifests, indent=1, sort_keys=True)
    else:
        text = yaml.safe_dump_all(manifests, sort_keys=True)
    results: dict[str, Any] = {
        "api-version": plan.api.version,
        "problems": {str(i): str(p) for i, p in enumerate(plan.problems, start=1)},
    }
    if not said.diff:
        return {**results, "manifest": cut(text)}
    after = charm.cluster.rehearse(plan.manifests.group) if plan.manifests else {}
    names = ("on the cluster", "after an apply")
    return {**results, "diff": cut(diff(_shown(live or {}), _shown(after), names))}


def _shown(group: Tree) -> dict[str, Any]:
    """What an apply is about: neither status nor the API server's own bookkeeping."""
    metadata = branch(group, "metadata")
    kept = {key: metadata[key] for key in ("annotations", "labels") if key in metadata}
    return {"metadata": kept, "spec": branch(group, "spec")} if group else {}
