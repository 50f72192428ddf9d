"""The types the embedded API serves, and the CRD schema rules it plays."""

from __future__ import annotations

import copy
import dataclasses
import functools
import typing
from collections.abc import Iterator
from typing import Any

from rig.embedded.objects import Obj

# What a compact definition of `rig/crds` has in the place of a big schema of Kubernetes.
MARK = "x-rbg-k8s-schema"


@dataclasses.dataclass(frozen=True)
class Kind:
    """One served type; ``versions`` are all served, none is converted into another."""

    group: str
    plural: str
    kind: str
    versions: tuple[str, ...] = ("v1",)
    namespaced: bool = True
    has_status: bool = False
    atomic: frozenset[str] = frozenset()
    schemas: dict[str, Obj] = dataclasses.field(default_factory=dict, hash=False, compare=False)
    # Where the wanted count is, the counted one and the selector, for those with `/scale`.
    scale: tuple[str, str, str] | None = None

    @property
    def qualified(self) -> str:
        """``plural.group``, as error texts name it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def subresources(self) -> list[str]:
        """What there is beside the object itself."""
        return [*(["status"] if self.has_status else []), *(["scale"] if self.scale else [])]

    def api_version(self, version: str) -> str:
        """The ``apiVersion`` of an object."""
        return f"{self.group}/{version}" if self.group else version


_RBAC = "rbac.authorization.k8s.io"
_SCALE = ("spec.replicas", "status.replicas", "spec.selector")
BUILTIN = [
    Kind("", "namespaces", "Namespace", namespaced=False, has_status=True),
    Kind("", "nodes", "Node", namespaced=False, has_status=True),
    Kind("", "pods", "Pod", has_status=True),
    Kind("", "services", "Service"),
    Kind("", "configmaps", "ConfigMap"),
    Kind("", "secrets", "Secret"),
    Kind("", "serviceaccounts", "ServiceAccount"),
    Kind("", "persistentvolumeclaims", "PersistentVolumeClaim", has_status=True),
    Kind("", "events", "Event"),
    Kind("apps", "statefulsets", "StatefulSet", has_status=True, scale=_SCALE),
    Kind("apps", "deployments", "Deployment", has_status=True, scale=_SCALE),
    Kind("apps", "replicasets", "ReplicaSet", has_status=True, scale=_SCALE),
    Kind("apps", "controllerrevisions", "ControllerRevision"),
    Kind("autoscaling", "horizontalpodautoscalers", "HorizontalPodAutoscaler", ("v2",),
         has_status=True),
    Kind("policy", "poddisruptionbudgets", "PodDisruptionBudget", has_status=True),
    Kind("networking.k8s.io", "networkpolicies", "NetworkPolicy"),
    Kind("coordination.k8s.io", "leases", "Lease"),
    Kind(_RBAC, "roles", "Role"),
    Kind(_RBAC, "rolebindings", "RoleBinding"),
    Kind(_RBAC, "clusterroles", "ClusterRole", namespaced=False),
    Kind(_RBAC, "clusterrolebindings", "ClusterRoleBinding", namespaced=False),
    Kind("apiextensions.k8s.io", "customresourcedefinitions", "CustomResourceDefinition",
         namespaced=False, has_status=True),
]  # fmt: skip


def from_crd(crd: Obj) -> Kind:
    """The type that a CustomResourceDefinition declares."""
    spec = crd["spec"]
    served = [version for version in spec["versions"] if version.get("served")]
    schemas = {v["name"]: v.get("schema", {}).get("openAPIV3Schema", {}) for v in served}
    # RBG 0.3 has `spec.roles` as an atomic list; a map list says so in the schema.
    atomic = frozenset(
        "roles"
        for schema in schemas.values()
        if _dig(schema, "properties", "spec", "properties", "roles")
        and _dig(schema, "properties", "spec", "properties", "roles").get(
            "x-kubernetes-list-type"
        ) != "map"
    )  # fmt: skip
    subresources = [version.get("subresources", {}) for version in served]
    scale = next((found["scale"] for found in subresources if "scale" in found), None)
    return Kind(
        group=spec["group"],
        plural=spec["names"]["plural"],
        kind=spec["names"]["kind"],
        versions=tuple(schemas),
        namespaced=spec["scope"] == "Namespaced",
        has_status=any("status" in found for found in subresources),
        atomic=atomic,
        schemas=schemas,
        scale=scale
        and (
            scale["specReplicasPath"],
            scale["statusReplicasPath"],
            scale.get("labelSelectorPath", ""),
        ),
    )


def _dig(value: Any, *path: str) -> Any:
    for part in path:
        value = value.get(part, {}) if isinstance(value, dict) else {}
    return value


def default(schema: Obj, value: Any) -> Any:
    """``value`` with the schema's defaults filled in, in place where it is a map."""
    if isinstance(value, dict):
        for name, child in schema.get("properties", {}).items():
            if name not in value and "default" in child:
                value[name] = copy.deepcopy(child["default"])
            if name in value:
                value[name] = default(child, value[name])
        more = schema.get("additionalProperties")
        if isinstance(more, dict):
            for name in value:
                value[name] = default(more, value[name])
    elif isinstance(value, list) and "items" in schema:
        return [default(schema["items"], item) for item in value]
    return value


def unknown(schema: Obj, value: Any, path: str = "", *, prune: bool = False) -> Iterator[str]:
    """The paths in ``value`` that the schema does not have; ``prune`` also removes them."""
    if MARK in schema:
        yield from _unknown_in(_model(schema[MARK]), value, path, prune)
    elif isinstance(value, dict):
        properties = schema.get("properties")
        more = schema.get("additionalProperties")
        for name in list(value):
            here = f"{path}.{name}" if path else name
            if properties and name in properties:
                yield from unknown(properties[name], value[name], here, prune=prune)
            elif isinstance(more, dict):
                yield from unknown(more, value[name], here, prune=prune)
            elif properties and not _open(schema, more) and path + name not in _TOP:
                yield here
                if prune:
                    del value[name]
    elif isinstance(value, list) and "items" in schema:
        yield from _unknown_items(schema, value, path, prune)


def undeclared(schema: Obj, body: Obj) -> list[str]:
    """The fields directly in ``spec`` that a schema does not have, where it takes no others."""
    spec = schema.get("properties", {}).get("spec", {})
    properties = spec.get("properties")
    if not properties or _open(spec, spec.get("additionalProperties")):
        return []
    return [name for name in body.get("spec", {}) if name not in properties]


def _unknown_items(schema: Obj, value: list[Any], path: str, prune: bool) -> Iterator[str]:
    items = schema["items"]
    # The mark on a list (RBG's `roles`) keeps what is unknown directly in an entry.
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        items = {**items, "x-kubernetes-preserve-unknown-fields": True}
    for index, item in enumerate(value):
        yield from unknown(items, item, f"{path}[{index}]", prune=prune)


_TOP = frozenset({"apiVersion", "kind", "metadata"})


def _open(schema: Obj, more: Any) -> bool:
    return bool(schema.get("x-kubernetes-preserve-unknown-fields")) or more is True


def _model(name: str) -> Any:
    # lightkube's models are generated from Kubernetes' own schema: the cheapest complete list.
    from lightkube.models import core_v1

    return getattr(core_v1, name)


@functools.cache
def _hints(model: Any) -> dict[str, Any]:
    return typing.get_type_hints(model)


def _unknown_in(model: Any, value: Any, path: str, prune: bool) -> Iterator[str]:
    if typing.get_origin(model) is typing.Union:
        # `Optional[...]`; several models (IntOrString and the like) have no fields to check.
        members = [m for m in typing.get_args(model) if m is not type(None)]
        if len(members) == 1:
            yield from _unknown_in(members[0], value, path, prune)
    elif typing.get_origin(model) is list and isinstance(value, list):
        for index, item in enumerate(value):
            yield from _unknown_in(typing.get_args(model)[0], item, f"{path}[{index}]", prune)
    elif isinstance(value, dict) and "lightkube.models" in getattr(model, "__module__", ""):
        # A Python keyword is spelt with an underscore in the models (`continue_`, `from_`).
        hints = {name.rstrip("_"): hint for name, hint in _hints(model).items()}
        for name in list(value):
            if name in hints:
                yield from _unknown_in(hints[name], value[name], f"{path}.{name}", prune)
            elif hints:
                yield f"{path}.{name}"
                if prune:
                    del value[name]
