# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""How the cluster room asks Kubernetes: the only importer of lightkube.

Every error leaves it as a `Fault`.
"""

import functools
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import httpx2
from lightkube import ApiError, Client
from lightkube.core.exceptions import ConfigError
from lightkube.core.resource import ApiInfo, NamespacedResource, ResourceDef
from lightkube.generic_resource import GenericGlobalResource, GenericNamespacedResource

import faults
from faults import Fault
from names import FIELD_MANAGER, RBG_GROUP
from tree import leaf, text

# Each log record of a hook is a process of its own; a request makes eleven of them at DEBUG.
for _name in ("httpx2", "httpcore2"):
    logging.getLogger(_name).setLevel(logging.WARNING)

_RBAC = "rbac.authorization.k8s.io/v1"
ADAPTER = "RoleBasedGroupScalingAdapter"
"""RBG's object with the scale subresource of one role."""
KINDS = {
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
_VERBS = ["delete", "deletecollection", "get", "list", "patch", "post", "watch"]


# Generic resources are plain dicts, with no model classes to build in every hook. They are not
# put into lightkube's registry, where the typed ones of core/v1 are already.
@functools.cache
def resource(kind: str, api_version: str = "") -> Any:
    """A kind of this charm's, in its usual API version unless told otherwise."""
    usual, plural = KINDS[kind]
    return _class(GenericNamespacedResource, kind, api_version or usual, plural)


@functools.cache
def global_resource(kind: str, api_version: str, plural: str) -> Any:
    """A kind without namespaces."""
    return _class(GenericGlobalResource, kind, api_version, plural)


def _class(base: type, kind: str, api_version: str, plural: str) -> Any:
    group, _, version = api_version.rpartition("/")
    info = ApiInfo(ResourceDef(group, version, kind), plural=plural, verbs=_VERBS)
    return type(kind, (base,), {"_api_info": info})


class Kubernetes:
    """Requests in one namespace, with the rights of the application's service account."""

    def __init__(self, application: str, namespace: str):
        """Nothing is asked of Kubernetes yet.

        Args:
            application: the Juju application.
            namespace: the model's namespace.
        """
        self._application, self._namespace = application, namespace
        self._pods_seen = ""

    @functools.cached_property
    def _client(self) -> Any:
        try:
            return Client(namespace=self._namespace, field_manager=FIELD_MANAGER)
        except ConfigError as e:
            raise Fault(f"waiting for Kubernetes credentials: {e}") from None

    def _request(self, method: str, kind: Any, obj: Any = None, **params: str) -> None:
        # lightkube's own methods know neither fieldValidation nor a selector for deletecollection;
        # this is what they are made of.
        self._client._client.request(
            method, res=kind, obj=obj, namespace=self._namespace, params=params
        )

    def _get(self, kind: Any, name: str) -> dict[str, Any] | None:
        try:
            return self._ask(lambda: plain(self._client.get(kind, name)), "get", kind)
        except NotFound:
            return None

    def _list(
        self,
        kind: str,
        labels: Mapping[str, str | Sequence[str]],
        fields: Mapping[str, str] | None = None,
        api_version: str = "",
    ) -> list[dict[str, Any]]:
        known = resource(kind, api_version)

        def ask() -> list[dict[str, Any]]:
            found = self._client.list(known, labels=dict(labels), fields=dict(fields or {}))
            items = [plain(item) for item in found]
            if kind == "Pod":
                self._pods_seen = found.resourceVersion
            return items

        try:
            return self._ask(ask, "list", known)
        except NotFound:
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
            raise NotFound(faults.missing(kind._api_info.resource.kind, message), blocked=True)
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
        review = global_resource(
            "SelfSubjectAccessReview", "authorization.k8s.io/v1", "selfsubjectaccessreviews"
        )
        body = review.from_dict({"metadata": {}, "spec": {"resourceAttributes": attributes}})
        try:
            answer = self._client.create(body)
        except httpx2.HTTPError:
            return True  # not known: wait rather than ask a person for something needless
        return bool(leaf(answer, "status", "allowed"))

    def _watch_pods(self, selector: str, seconds: int, *, first: bool = False) -> bool:
        # lightkube's own watch starts anew for ever; this ends when the server ends it.
        generic = self._client._client
        params = {
            "labelSelector": selector,
            "resourceVersion": self._pods_seen,
            "timeoutSeconds": str(seconds),
        }

        def watch() -> bool:
            where = {"namespace": self._namespace, "watch": True, "params": params}
            request = generic.prepare_request("list", resource("Pod"), **where)
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

        return self._ask(watch, "watch", resource("Pod"))


class NotFound(Fault):
    """404: the object or its whole kind is not there."""


def plain(found: Any) -> dict[str, Any]:
    """An answer as plain data."""
    return found.to_dict() if hasattr(found, "to_dict") else dict(found)
