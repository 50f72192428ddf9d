# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""Bring a plan to the cluster; a failure midway is finished by the next hook."""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cluster import Cluster
from faults import Fault, Invalid
from inputs import Inputs
from names import APPLIED_DIGESTS, AUTOSCALERS, INPUTS_DIGEST, ROLE_LABEL, child
from ownership import applied_digests, is_held_by, neighbour_key, says_something_new, write_digests
from planning import Left, Plan, make_plan, trial
from problems import Problem
from tree import Tree, annotation, label, name_of

if TYPE_CHECKING:
    from group import Group
    from manifests.render import Manifests

logger = logging.getLogger(__name__)


def carry_out(
    plan: Plan,
    inputs: Inputs,
    cluster: Cluster,
    live: Tree | None,
    left: Left,
) -> tuple[Plan, Tree | None]:
    """Apply the plan; a role the API server refuses is held back and the others go on."""
    refused: list[Problem] = []
    while plan.manifests is not None and not plan.waits:
        desired = plan.manifests.group
        there = live if plan.replaces is None else None
        if there is not None and is_held_by(there, desired):
            said, known = annotation(desired, INPUTS_DIGEST), annotation(there, INPUTS_DIGEST)
            if said != known and inputs.fingerprint in (said, known):
                # So that the next hook is idle; or that it is not, while a role is held back.
                live = cluster.apply(_owned(desired, cluster.owner()))
            return plan, live
        found: list[Problem] = []
        if there is None or (not plan.group.pinned and says_something_new(there, desired)):
            found = trial(plan, cluster)
        if not found:
            if plan.replaces is not None:
                cluster.delete(plan.replaces)
            live, found = _Application(plan, plan.manifests, cluster, live).run()
            if not found:
                return plan, live
        refused += found
        plan = make_plan(inputs, cluster, live, left, refused)
    return plan, live


class _Application:
    """One plan, applied: what is new of it.

    The group goes between what it needs and what needs it; what nobody needs any more goes last:
    pods that use an account are told to go before it does. While something has to follow the
    group, the group says neither that it is done nor what is beside it, so that a hook which finds
    it like that begins again.
    """

    def __init__(self, plan: Plan, manifests: "Manifests", cluster: Cluster, live: Tree | None):
        self._plan, self._manifests, self._cluster = plan, manifests, cluster
        self._live = live if plan.replaces is None else None
        self._before, self._now = applied_digests(live), applied_digests(manifests.group)
        gone = (key.partition("/") for key in sorted(self._before.keys() - self._now.keys()))
        self._gone = [(kind, name) for kind, _, name in gone if name and cluster.knows(kind)]
        self._new = [n for n in manifests.after if self._is_new(n)]
        self._owner = cluster.owner()

    def run(self) -> tuple[Tree, list[Problem]]:
        """The group as it is then, and what the API server refuses of roles."""
        for needed in self._manifests.before:
            if self._is_new(needed):
                self._cluster.apply(_owned(needed, self._owner))
        group = self._manifests.group
        if not (self._new or self._gone or self._manifests.counts):
            return self._written(group), []
        begun = self._unfinished(group)
        applied = self._live
        if applied is None or not _same(applied, begun):
            applied = self._written(begun)
        refused = self._follow(applied)
        return (applied if refused else self._written(group)), refused

    def _follow(self, applied: Tree) -> list[Problem]:
        # KEDA refuses a role that a HorizontalPodAutoscaler still scales.
        self._remove([gone for gone in self._gone if gone[0] in AUTOSCALERS])
        refused = self._apply_autoscalers()
        for role, count in self._manifests.counts.items():
            adapter = child(name_of(applied), role)
            self._cluster.scale_adapter(adapter, count, applied["apiVersion"])
        self._remove([gone for gone in self._gone if gone[0] not in AUTOSCALERS])
        return refused

    def _is_new(self, neighbour: Tree) -> bool:
        key = neighbour_key(neighbour)
        return self._before.get(key) != self._now[key]

    def _apply_autoscalers(self) -> list[Problem]:
        refused: list[Problem] = []
        for autoscaler in self._new:
            try:
                self._cluster.apply(_owned(autoscaler, self._owner))
            except Invalid as fault:
                refused.append(_of_autoscaler(autoscaler, fault, self._plan.group))
        return refused

    def _remove(self, gone: Sequence[tuple[str, str]]) -> None:
        for kind, name in gone:
            self._cluster.remove(kind, name)

    def _unfinished(self, group: Tree) -> dict[str, Any]:
        """The group as long as what follows it is not done: its digest is not known."""
        follows = [neighbour_key(n) for n in self._new]
        follows += [f"{kind}/{name}" for kind, name in self._gone]
        digests = {**self._now, **dict.fromkeys(follows, "")}
        said = {**group["metadata"]["annotations"], INPUTS_DIGEST: ""}
        said[APPLIED_DIGESTS] = write_digests(digests)
        return {**group, "metadata": {**group["metadata"], "annotations": said}}

    def _written(self, group: Tree) -> Tree:
        applied = self._cluster.apply(_owned(group, self._owner))
        names = ", ".join(r["name"] for r in applied["spec"]["roles"])
        logger.info("applied group %s: %s", name_of(group), names)
        return applied


def _same(live: Tree, desired: Tree) -> bool:
    stamps = [annotation(group, INPUTS_DIGEST) for group in (live, desired)]
    return is_held_by(live, desired) and stamps[0] == stamps[1]


def _of_autoscaler(autoscaler: Tree, fault: Fault, group: "Group") -> Problem:
    """The API server's word against what a role charm says it is to be scaled by."""
    role = next(r for r in group.roles if r.name == label(autoscaler, ROLE_LABEL))
    reason = str(fault).partition(": ")[2]
    return Problem(role.application, role.name, "scaling", reason)


def _owned(manifest: Tree, owner: Tree) -> dict[str, Any]:
    return {**manifest, "metadata": {**manifest["metadata"], "ownerReferences": [owner]}}
