"""The CustomResourceDefinitions of RBG that the tests put on an API server.

`v0.6/` and `v0.8/` are this project's own: as strict as the genuine ones, but a pod template,
which makes those several megabytes, is one line there:

    template: {x-rbg-k8s-schema: PodTemplateSpec}

`load` replaces that marker by the schema of the API server at hand, so that a misspelt field of a
pod is refused as it is by a genuine definition. A RoleBasedGroupSet holds the spec of a
RoleBasedGroup, which is not written a second time:

    spec: {x-rbg-k8s-spec-of: rolebasedgroups.yaml, version: v1alpha2}

`documents` puts it there. Genuine files have no marker and are taken as they are: `RBG_CRDS=DIR`
names such a directory. `keda/` is for tests of autoscaling only and never part of a set.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any, cast

import yaml

from .openapi import OpenApi, structural

Object = dict[str, Any]

HERE = Path(__file__).parent
# One directory for each generation of the API: v1alpha2 and v1alpha1, v1alpha1 only.
V0_8 = HERE / "v0.8"
V0_6 = HERE / "v0.6"
KEDA = HERE / "keda"

MARKER = "x-rbg-k8s-schema"
SPEC_OF = "x-rbg-k8s-spec-of"
# What a marker may ask for, and where an API server describes it.
SCHEMAS = {
    "PodTemplateSpec": "io.k8s.api.core.v1.PodTemplateSpec",
    "Container": "io.k8s.api.core.v1.Container",
}
SCHEMA_PATH = "/openapi/v3/apis/apps/v1"
_ANYTHING: Object = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}

# The C parser is ten times faster, and not everywhere.
_Loader = cast("type[yaml.SafeLoader]", getattr(yaml, "CSafeLoader", yaml.SafeLoader))

# Genuine files of several releases, where a developer has them beside the checkout.
GENUINE = HERE.parents[2] / "shared" / "rbg-crds"


def genuine() -> list[Path]:
    """Return a directory for each genuine release that is there, oldest first."""
    return sorted(path for path in GENUINE.glob("v*") if path.is_dir())


def release_dir(default: Path = V0_8) -> Path:
    """Return the directory to take definitions from: `RBG_CRDS`, or one of our own."""
    return Path(os.environ.get("RBG_CRDS") or default)


def load(directory: Path, openapi: OpenApi | None = None) -> list[Object]:
    """Read every definition of a directory, ready to be sent to an API server.

    Args:
        directory: one of ours or one with genuine files.
        openapi: an API server's connection (anything with `get(path)`), or its answer to
            `GET /openapi/v3/apis/apps/v1`. Without it a pod template accepts anything.
    """
    definitions = [one for path in sorted(directory.glob("*.yaml")) for one in documents(path)]
    if not definitions:
        raise FileNotFoundError(f"no CustomResourceDefinition in {directory}")
    expanded: dict[str, Object] = {}

    def schema(name: str) -> Object:
        if name not in expanded:
            expanded[name] = _ANYTHING if openapi is None else structural(openapi, name)
        return expanded[name]

    return [cast(Object, _expand(definition, schema)) for definition in definitions]


def documents(path: Path) -> list[Object]:
    """Read a YAML file; a big one is parsed once and kept as JSON in the user's cache."""
    content = path.read_bytes()
    if len(content) < 100_000:
        parsed = _parse(content)
        marked = SPEC_OF.encode() in content
        return cast("list[Object]", _with_specs(parsed, path.parent)) if marked else parsed
    cached = _cache_dir() / f"{hashlib.sha256(content).hexdigest()}.json"
    try:
        return cast("list[Object]", json.loads(cached.read_bytes()))
    except (OSError, ValueError):
        parsed = _parse(content)
    cached.parent.mkdir(parents=True, exist_ok=True)
    fresh = cached.with_suffix(f".{os.getpid()}")
    fresh.write_text(json.dumps(parsed))
    fresh.replace(cached)
    return parsed


def _parse(content: bytes) -> list[Object]:
    return [one for one in yaml.load_all(content, Loader=_Loader) if one]


def _with_specs(node: Any, directory: Path) -> Any:
    if isinstance(node, list):
        return [_with_specs(item, directory) for item in cast("list[Any]", node)]
    if not isinstance(node, dict):
        return node
    fields = cast(Object, node)
    if SPEC_OF not in fields:
        return {key: _with_specs(value, directory) for key, value in fields.items()}
    (other,) = documents(directory / fields[SPEC_OF])
    version = next(v for v in other["spec"]["versions"] if v["name"] == fields["version"])
    return version["schema"]["openAPIV3Schema"]["properties"]["spec"]


def _expand(node: Any, schema: Any) -> Any:
    if isinstance(node, list):
        return [_expand(item, schema) for item in cast("list[Any]", node)]
    if not isinstance(node, dict):
        return node
    fields = cast(Object, node)
    name = fields.get(MARKER)
    if isinstance(name, str):
        return schema(SCHEMAS[name])
    return {key: _expand(value, schema) for key, value in fields.items()}


def _cache_dir() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or ""
    root = Path(base) if os.path.isabs(base) else Path.home() / ".cache"
    return root / "rbg-k8s" / "crds"
