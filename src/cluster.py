# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""The only room that talks to Kubernetes. Every error leaves it as a `Fault` or a `Refusal`."""

import functools
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any, TypeVar

import httpx2
from lightkube import ApiError, Client
from lightkube.core.exceptions import ConfigError
from lightkube.core.resource import ApiInfo, NamespacedResource, ResourceDef
from lightkube.generic_resource import GenericGlobalResource, GenericNamespacedResource
from lightkube.types import CascadeType, PatchType

import faults
from causes import last_seen
from faults import Fault
from manifests import groupset
from manifests.strict import Refusal, Trial
from names import (
    CRD_NAME,
    FIELD_MANAGER,
    GROUP_LABEL,
    RBG_GROUP,
    RBG_POD_LABELS,
)
from tree import leaf, name_of, text

# Each log record of a hook is a process of its own; a request makes eleven of them at DEBUG.
for _name in ("httpx2", "httpcore2"):
    logging.getLogger(_name).setLevel(logging.WARNING)

_RBAC = "rbac.authorization.k8s.io/v1"
ADAPTER = "RoleBasedGroupScalingAdapter"
"""RBG's object with the scale subresource of one role."""
_KINDS = {
    "RoleBasedGroup": (f"{RBG_GROUP}/v1alpha2", "rolebasedgroups"),
    "RoleBasedGroupSet": (f"{RBG_GROUP}/v1alpha2", "rolebasedgroupsets"),
    "RoleInstanceSet": (f"{RBG_GROUP}/v1alpha2", "roleinstancesets"),
    "RoleInstance": (f"{RBG_GROUP}/v1alpha2", "roleinstances"),
    ADAPTER: (f"{RBG_GROUP}/v1alpha2", "rolebasedgroupscalingadapters"),
    "CoordinatedPolicy": (f"{RBG_GROUP}/v1alpha2", "coordinatedpolicies"),
    "HorizontalPodAutoscaler": ("autoscaling/v2", "horizontalpodautoscalers"),
    "ScaledObject": ("keda.sh/v1alpha1", "scaledobjects"),
    "StatefulSet": ("apps/v1", "statefulsets"),
    "Deployment": ("apps/v1", "deployments"),
    "LeaderWorkerSet": ("leaderworkerset.x-k8s.io/v1", "leaderworkersets"),
    "ControllerRevision": ("apps/v1", "controllerrevisions"),
    "Pod": ("v1", "pods"),
    "Event": ("v1", "events"),
    "ServiceAccount": ("v1", "serviceaccounts"),
    "Role": (_RBAC, "roles"),
    "RoleBinding": (_RBAC, "rolebindings"),
}
_T = TypeVar("_T")


_WARNINGS_SPEAK_FOR = timedelta(minutes=20)
"""Kubernetes repeats a warning at least every 16 minutes while its cause lasts."""
_VERBS = ["delete", "deletecollection", "get", "list", "patch", "post", "watch"]


# Generic resources are plain dicts, with no model classes to build in every hook. They are not
# put into lightkube's registry, where the typed ones of core/v1 are already.
@functools.cache
def _resource(kind: str, api_version: str = "") -> Any:
    usual, plural = _KINDS[kind]
    return _class(GenericNamespacedResource, kind, api_version or usual, plural)


@functools.cache
def _global(kind: str, api_version: str, plural: str) -> Any:
    return _class(GenericGlobalResource, kind, api_version, plural)


def _class(base: type, kind: str, api_version: str, plural: str) -> Any:
    group, _, version = api_version.rpartition("/")
    info = ApiInfo(ResourceDef(group, version, kind), plural=plural, verbs=_VERBS)
    return type(kind, (base,), {"_api_info": info})


class Cluster:
    """The cluster, seen from one application in its model's namespace."""

    def __init__(self, application: str, namespace: str):
        """Nothing is asked of Kubernetes yet.

        Args:
            application: the Juju application, which is also the group's name.
            namespace: the model's namespace.
        """
        self._application, self._namespace = application, namespace
        self._groups: dict[tuple[str, str], dict[str, Any] | None] = {}
        self._revisions: list[dict[str, Any]] | None = None
        self._pods_seen = ""
        self.deleted = False
        """Whether the group was deleted and that which replaces it is not there yet."""

    @functools.cached_property
    def _client(self) -> Any:
        try:
            return Client(namespace=self._namespace, field_manager=FIELD_MANAGER)
        except ConfigError as e:
            raise Fault(f"waiting for Kubernetes credentials: {e}") from None

    # --- reading -----------------------------------------------------------------------------

    def group(self, version: str, kind: str = groupset.GROUP) -> dict[str, Any] | None:
        """The group as it is; None where there is none, or no such API.

        A hook is short: what it has read serves it until it writes.

        Args:
            version: RBG API version, "v1alpha1" or "v1alpha2".
            kind: RoleBasedGroup, or RoleBasedGroupSet for a set seen as a group.
        """
        if (version, kind) not in self._groups:
            found = self._get(_resource(kind, f"{RBG_GROUP}/{version}"), self._application)
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
        kind = _global(
            "CustomResourceDefinition", "apiextensions.k8s.io/v1", "customresourcedefinitions"
        )
        return self._get(kind, CRD_NAME)

    def owner(self) -> dict[str, Any]:
        """Reference to the application's StatefulSet, its uid read afresh.

        Kubernetes collects what refers to a dead uid, so it must never come from memory (trap 13).
        """
        found = self._get(_resource("StatefulSet"), self._application)
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
        changed = self._watch_pods(seconds, first=True)
        if changed:
            self._watch_pods(1)
        return changed

    def _watch_pods(self, seconds: int, *, first: bool = False) -> bool:
        # lightkube's own watch starts anew for ever; this ends when the server ends it.
        generic = self._client._client
        params = {
            "labelSelector": f"{GROUP_LABEL}={self._application}",
            "resourceVersion": self._pods_seen,
            "timeoutSeconds": str(seconds),
        }

        def watch() -> bool:
            where = {"namespace": self._namespace, "watch": True, "params": params}
            request = generic.prepare_request("list", _resource("Pod"), **where)
            answer = generic.send(generic.build_adapter_request(request), stream=True)
            try:
                answer.raise_for_status()
                for line in answer.iter_lines():
                    self._pods_seen = text(
                        json.loads(line), "object", "metadata", "resourceVersion"
                    )
                    if first:
                        return True
            finally:
                answer.close()
            return False

        return self._ask(watch, "watch", _resource("Pod"))

    # --- writing -----------------------------------------------------------------------------

    def refusals(self, group: Mapping[str, Any]) -> list[Refusal]:
        """Fields the API server would refuse, or drop in silence, if the group were applied.

        POST finds them whether the group exists or not: a clean one is answered AlreadyExists.
        """
        trial = Trial(groupset.single(group))
        kind = _resource("RoleBasedGroup", group["apiVersion"])
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

    def apply(self, manifest: Mapping[str, Any]) -> dict[str, Any]:
        """Server-side apply with our field manager; returns what the cluster made of it."""
        kind = _resource(manifest["kind"], manifest["apiVersion"])
        body = kind.from_dict(groupset.fold(manifest))
        self.forget()
        answer = self._ask(lambda: _plain(self._client.apply(body, force=True)), "patch", kind)
        self.deleted = self.deleted and not _is_rbg(kind)
        return groupset.unfold({**answer, "kind": manifest["kind"]})

    def rehearse(self, manifest: Mapping[str, Any]) -> dict[str, Any]:
        """What `apply` would make of it; nothing is written."""
        kind = _resource(manifest["kind"], manifest["apiVersion"])
        body = kind.from_dict(groupset.fold(manifest))
        attempt = lambda: _plain(self._client.apply(body, force=True, dry_run=True))  # noqa: E731
        answer = self._ask(attempt, "patch", kind)
        return groupset.unfold({**answer, "kind": manifest["kind"]})

    def delete(self, group: Mapping[str, Any]) -> None:
        """Delete the group for good. Only for one of another kind that the user has asked for.

        In the background: the object is gone at once, its pods follow, and what replaces it has
        other names. A foreground deletion would have the next hook wait for the last of them.
        """
        kind, name = _resource(group["kind"], group["apiVersion"]), name_of(group)
        cascade = CascadeType.BACKGROUND
        self.forget()
        self.deleted = True  # as far as is known, until the API server says that it is not
        try:
            self._ask(lambda: self._client.delete(kind, name, cascade=cascade), "delete", kind)
        except _NotFound:
            pass
        except Fault as fault:
            self.deleted = not fault.blocked
            raise

    def remove(self, kind: str, name: str, api_version: str = "") -> None:
        """Delete an object beside or below the group that is wanted no more, or anew."""
        resource = _resource(kind, api_version)
        try:
            self._ask(lambda: self._client.delete(resource, name), "delete", resource)
        except _NotFound:
            pass  # gone already: that is what was wanted

    def adapters(self, group: Mapping[str, Any]) -> list[dict[str, Any]]:
        """RBG's scaling adapters of the group."""
        version = group["apiVersion"]
        group_label, _ = RBG_POD_LABELS[1 if version.endswith("v1alpha1") else 0]
        return self._list(ADAPTER, {group_label: self._application}, api_version=version)

    def scale_adapter(self, name: str, replicas: int, api_version: str) -> None:
        """Set a role's count through its scaling adapter, if that is there yet."""
        kind = _resource(ADAPTER, api_version)
        body = {"spec": {"replicas": replicas}}

        def patch() -> None:
            self._client.patch(kind, name, body, patch_type=PatchType.MERGE)

        try:
            self._ask(patch, "patch", kind)
        except _NotFound:
            pass

    # --- how ---------------------------------------------------------------------------------

    def _request(self, method: str, kind: Any, obj: Any = None, **params: str) -> None:
        # lightkube's own methods know neither fieldValidation nor a selector for deletecollection;
        # this is what they are made of.
        self._client._client.request(
            method, res=kind, obj=obj, namespace=self._namespace, params=params
        )

    def _get(self, kind: Any, name: str) -> dict[str, Any] | None:
        try:
            return self._ask(lambda: _plain(self._client.get(kind, name)), "get", kind)
        except _NotFound:
            return None

    def _list(
        self,
        kind: str,
        labels: Mapping[str, str | Sequence[str]],
        fields: Mapping[str, str] | None = None,
        api_version: str = "",
    ) -> list[dict[str, Any]]:
        resource = _resource(kind, api_version)

        def ask() -> list[dict[str, Any]]:
            found = self._client.list(resource, labels=dict(labels), fields=dict(fields or {}))
            items = [_plain(item) for item in found]
            if kind == "Pod":
                self._pods_seen = found.resourceVersion
            return items

        try:
            return self._ask(ask, "list", resource)
        except _NotFound:
            return []

    def _ask(self, request: Callable[[], _T], verb: str, kind: Any) -> _T:
        try:
            return request()
        except ApiError as e:
            code, message = e.status.code or 500, e.status.message or ""
        except httpx2.HTTPStatusError as e:  # an answer that is not Kubernetes' JSON
            code, message = e.response.status_code, e.response.text[:200]
        except httpx2.HTTPError as e:
            raise faults.unreachable(type(e).__name__) from None
        if code == 404:
            raise _NotFound(faults.missing(kind._api_info.resource.kind, message), blocked=True)
        if code in (401, 403) and "denied the request" not in message:
            if not self._may(verb, kind):
                raise faults.not_trusted(self._application)
        elif code == 403:
            raise Fault(message.partition("denied the request: ")[2][:200], blocked=True)
        raise faults.from_status(code, message)

    def _may(self, verb: str, kind: Any) -> bool:
        """Ask the access review whether this was a refusal by RBAC: a bare 403 is no proof.

        Any identity may ask about itself (Kubernetes' system:basic-user).
        """
        info = kind._api_info
        attributes = {
            "group": info.resource.group,
            "resource": info.plural,
            "verb": verb,
            "namespace": self._namespace if issubclass(kind, NamespacedResource) else "",
        }
        review = _global(
            "SelfSubjectAccessReview", "authorization.k8s.io/v1", "selfsubjectaccessreviews"
        )
        body = review.from_dict({"metadata": {}, "spec": {"resourceAttributes": attributes}})
        try:
            answer = self._client.create(body)
        except httpx2.HTTPError:
            return True  # not known: wait rather than ask a person for something needless
        return bool(leaf(answer, "status", "allowed"))


class _NotFound(Fault):
    """404: the object or its whole kind is not there."""


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


def _plain(resource: Any) -> dict[str, Any]:
    return resource.to_dict() if hasattr(resource, "to_dict") else dict(resource)
