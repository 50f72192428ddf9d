# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""What the charm asks of the cluster and does to it. Errors are `Fault`s or `Refusal`s."""

import functools
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

from lightkube import ApiError
from lightkube.types import CascadeType, PatchType

from causes import last_seen
from faults import Fault
from kubeapi import ADAPTER, KINDS, Kubernetes, NotFound, global_resource, plain, resource
from manifests import groupset
from manifests.strict import Refusal, Trial
from names import CRD_NAME, GROUP_LABEL, RBG_GROUP, RBG_POD_LABELS
from tree import name_of

_WARNINGS_SPEAK_FOR = timedelta(minutes=20)
"""Kubernetes repeats a warning at least every 16 minutes while its cause lasts."""


class Cluster(Kubernetes):
    """The cluster, seen from one application in its model's namespace."""

    def __init__(self, application: str, namespace: str):
        """Nothing is asked of Kubernetes yet.

        Args:
            application: the Juju application, which is also the group's name.
            namespace: the model's namespace.
        """
        super().__init__(application, namespace)
        self._groups: dict[tuple[str, str], dict[str, Any] | None] = {}
        self._revisions: list[dict[str, Any]] | None = None
        self.written: dict[str, Any] | None = None
        """The group as this hook's last apply made it."""
        self.deleted = False
        """Whether the group was deleted and that which replaces it is not there yet."""

    # --- reading -----------------------------------------------------------------------------

    def group(self, version: str, kind: str = groupset.GROUP) -> dict[str, Any] | None:
        """The group as it is; None where there is none, or no such API.

        A hook is short: what it has read serves it until it writes.

        Args:
            version: RBG API version, "v1alpha1" or "v1alpha2".
            kind: RoleBasedGroup, or RoleBasedGroupSet for a set seen as a group.
        """
        if (version, kind) not in self._groups:
            found = self._get(resource(kind, f"{RBG_GROUP}/{version}"), self._application)
            group = groupset.unfold({**found, "kind": kind}) if found else None
            self._groups[version, kind] = group
        return self._groups[version, kind]

    def revisions(self, group: Mapping[str, Any]) -> list[dict[str, Any]]:
        """ControllerRevisions with the group's label, its workloads' ones perhaps among them.

        Of a set those of its first group: all are given the same template at the same time.
        """
        if self._revisions is None:
            legacy = group["apiVersion"].endswith("v1alpha1")
            group_label, _ = RBG_POD_LABELS[1 if legacy else 0]
            labels = {group_label: name_of(groupset.children(group)[0])}
            self._revisions = self._list("ControllerRevision", labels)
        return self._revisions

    def pods(self, selector: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
        """The group's pods, found by our own label unless told otherwise."""
        return self._list("Pod", selector or {GROUP_LABEL: self._application})

    @functools.cached_property
    def crd(self) -> dict[str, Any] | None:
        """RBG's CustomResourceDefinition; None where it is not installed."""
        kind = global_resource(
            "CustomResourceDefinition", "apiextensions.k8s.io/v1", "customresourcedefinitions"
        )
        return self._get(kind, CRD_NAME)

    def owner(self) -> dict[str, Any]:
        """Reference to the application's StatefulSet, its uid read afresh.

        Kubernetes collects what refers to a dead uid, so it must never come from memory (trap 13).
        """
        found = self._get(resource("StatefulSet"), self._application)
        if found is None:
            raise Fault(f"waiting for Juju: StatefulSet {self._application} is not there yet")
        return {
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "name": self._application,
            "uid": found["metadata"]["uid"],
        }

    def workloads(
        self, kind: str, selector: Mapping[str, str | Sequence[str]]
    ) -> list[dict[str, Any]]:
        """Workloads (or role instances) of a kind; [] where the cluster has no such kind."""
        return self._list(kind, selector)

    def warnings(self) -> list[dict[str, Any]]:
        """Warning events of the namespace, the latest that still say something."""
        found = self._list("Event", {}, fields={"type": "Warning"})
        oldest = (datetime.now(timezone.utc) - _WARNINGS_SPEAK_FOR).strftime("%Y-%m-%dT%H:%M:%SZ")
        return [e for e in found if (last_seen(e) or oldest) >= oldest]

    def forget(self) -> None:
        """Read the group anew from now on: it was written, or time has passed."""
        self._groups.clear()

    def pods_change(self, seconds: int) -> bool:
        """Wait until a pod of the group changes, or for so long; let a burst of a second pass.

        Call it after `pods`: it goes on where that list ended.
        """
        self.forget()
        selector = f"{GROUP_LABEL}={self._application}"
        changed = self._watch_pods(selector, seconds, first=True)
        if changed:
            self._watch_pods(selector, 1)
        return changed

    # --- writing -----------------------------------------------------------------------------

    def refusals(self, group: Mapping[str, Any]) -> list[Refusal]:
        """Fields the API server would refuse, or drop in silence, if the group were applied.

        POST finds them whether the group exists or not: a clean one is answered AlreadyExists.
        """
        trial = Trial(groupset.single(group))
        kind = resource("RoleBasedGroup", group["apiVersion"])
        body = kind.from_dict(trial.body)

        def post() -> list[Refusal]:
            try:
                self._request("post", kind, obj=body, dryRun="All", fieldValidation="Strict")
            except ApiError as e:
                refused = _refused(trial, e)
                if refused is None:
                    raise
                return refused
            return []

        return self._ask(post, "create", kind)

    def knows(self, kind: str) -> bool:
        """Whether this charm's release works with a kind; another one's group may name more."""
        return kind in KINDS

    def apply(self, manifest: Mapping[str, Any]) -> dict[str, Any]:
        """Server-side apply with our field manager; returns what the cluster made of it."""
        kind = resource(manifest["kind"], manifest["apiVersion"])
        body = kind.from_dict(groupset.fold(manifest))
        self.forget()
        answer = self._ask(lambda: plain(self._client.apply(body, force=True)), "patch", kind)
        self.deleted = self.deleted and not _is_rbg(kind)
        made = groupset.unfold({**answer, "kind": manifest["kind"]})
        if _is_rbg(kind):
            self.written = made
        return made

    def rehearse(self, manifest: Mapping[str, Any]) -> dict[str, Any]:
        """What `apply` would make of it; nothing is written."""
        kind = resource(manifest["kind"], manifest["apiVersion"])
        body = kind.from_dict(groupset.fold(manifest))
        attempt = lambda: plain(self._client.apply(body, force=True, dry_run=True))  # noqa: E731
        answer = self._ask(attempt, "patch", kind)
        return groupset.unfold({**answer, "kind": manifest["kind"]})

    def delete(self, group: Mapping[str, Any]) -> None:
        """Delete the group for good. Only for one of another kind that the user has asked for.

        In the background: the object is gone at once, its pods follow, and what replaces it has
        other names. A foreground deletion would have the next hook wait for the last of them.
        """
        kind, name = resource(group["kind"], group["apiVersion"]), name_of(group)
        cascade = CascadeType.BACKGROUND
        self.forget()
        self.deleted = True  # as far as is known, until the API server says that it is not
        try:
            self._ask(lambda: self._client.delete(kind, name, cascade=cascade), "delete", kind)
        except NotFound:
            pass
        except Fault as fault:
            self.deleted = not fault.blocked
            raise

    def remove(self, kind: str, name: str, api_version: str = "") -> None:
        """Delete an object beside or below the group that is wanted no more, or anew."""
        known = resource(kind, api_version)
        try:
            self._ask(lambda: self._client.delete(known, name), "delete", known)
        except NotFound:
            pass  # gone already: that is what was wanted

    def adapters(self, group: Mapping[str, Any]) -> list[dict[str, Any]]:
        """RBG's scaling adapters of the group."""
        version = group["apiVersion"]
        group_label, _ = RBG_POD_LABELS[1 if version.endswith("v1alpha1") else 0]
        return self._list(ADAPTER, {group_label: self._application}, api_version=version)

    def scale_adapter(self, name: str, replicas: int, api_version: str) -> None:
        """Set a role's count through its scaling adapter, if that is there yet."""
        kind = resource(ADAPTER, api_version)
        body = {"spec": {"replicas": replicas}}

        def patch() -> None:
            self._client.patch(kind, name, body, patch_type=PatchType.MERGE)

        try:
            self._ask(patch, "patch", kind)
        except NotFound:
            pass


def _refused(trial: Trial, error: ApiError) -> list[Refusal] | None:
    """The refusals an answer to the strict dry run names; None where it is something else."""
    status = error.status
    if status.code == 409 and status.reason == "AlreadyExists":
        return []
    if status.code == 400 and "strict decoding error" in (status.message or ""):
        return trial.unknown_fields(status.message or "")
    if status.code == 422 and status.details and status.details.causes:
        causes = [(c.field or "", c.message or "") for c in status.details.causes]
        return trial.invalid_fields(causes)
    return None


def _is_rbg(kind: Any) -> bool:
    return kind._api_info.resource.kind in (groupset.GROUP, groupset.SET)
