"""Turns a schema of an API server's OpenAPI v3 document into one that a definition may contain.

The document describes the built-in types with references and with hints that structural schemas
refuse; what is left here is what controller-gen would write for the same Go type, as far as
validation goes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, cast

Object = dict[str, Any]


class Getter(Protocol):
    """A connection to an API server."""

    def get(self, path: str) -> Object:
        """Read a document."""
        ...


# The document itself, or where to read it.
OpenApi = Getter | Mapping[str, Any]

_PATH = "/openapi/v3/apis/apps/v1"
_PREFIX = "#/components/schemas/"
_INT_OR_STRING: Object = {
    "anyOf": [{"type": "integer"}, {"type": "string"}],
    "x-kubernetes-int-or-string": True,
}
_MAP: Object = {"type": "object", "additionalProperties": {"type": "string"}}
_STRINGS: Object = {"type": "array", "items": {"type": "string"}}
# Types whose description in the document is no use in a definition.
_SPECIAL: dict[str, Object] = {
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": _INT_OR_STRING,
    "io.k8s.apimachinery.pkg.api.resource.Quantity": {
        **_INT_OR_STRING,
        # A number, with an optional exponent or suffix of Kubernetes' quantities.
        "pattern": r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(([KMGTPE]i)|[numkMGTPE]|[eE][+-]?[0-9]+)?$",
    },
    # Metadata inside of an object: the server keeps these fields and no others.
    "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta": {
        "type": "object",
        "properties": {
            "annotations": _MAP,
            "finalizers": _STRINGS,
            "labels": _MAP,
            "name": {"type": "string"},
            "namespace": {"type": "string"},
        },
    },
}
# No `enum`: controller-gen does not write those of the built-in types, so RBG takes any value.
_KEPT = (
    "type",
    "format",
    "pattern",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "required",
    "nullable",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-map-type",
)


def structural(openapi: OpenApi, name: str) -> Object:
    """Return the structural schema of a type, all references resolved.

    Args:
        openapi: the document, or a connection to read it from.
        name: the type, for example `io.k8s.api.core.v1.PodTemplateSpec`.
    """
    document = openapi if isinstance(openapi, Mapping) else openapi.get(_PATH)
    return _convert({"$ref": _PREFIX + name}, document["components"]["schemas"])


def _convert(node: Object, types: Mapping[str, Object]) -> Object:
    # A reference with a default or a description beside it comes as the only member of an allOf.
    members = cast("list[Object]", node.get("allOf") or [{}])
    reference = str(node.get("$ref") or members[0].get("$ref", ""))
    if reference:
        name = reference[len(_PREFIX) :]
        return _SPECIAL[name] if name in _SPECIAL else _convert(types[name], types)
    schema: Object = {key: node[key] for key in _KEPT if key in node}
    if "items" in node:
        schema["items"] = _convert(node["items"], types)
    if "additionalProperties" in node:
        schema["additionalProperties"] = _convert(node["additionalProperties"], types)
    if "properties" in node:
        fields = cast("dict[str, Object]", node["properties"])
        schema["properties"] = {
            name: _with_default(_convert(field, types), field, name in node.get("required", ()))
            for name, field in fields.items()
        }
    return schema


def _with_default(schema: Object, field: Object, required: bool) -> Object:
    default = field.get("default")
    # The document gives every required field its zero value as the default, and every structure
    # an empty one; in a definition that would make the field optional.
    if default is None or required or isinstance(default, (dict, list)):
        return schema
    return {**schema, "default": default}
