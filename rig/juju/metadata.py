"""What Juju reads of a charm: endpoints, options, actions; and the charm as Juju unpacks it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yaml

from .errors import JujuError

# Keys of charmcraft.yaml that `charmcraft pack` does not copy to metadata.yaml.
_BUILD_KEYS = {"type", "base", "build-base", "platforms", "bases", "parts", "charm-libs"}
_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}


def _load(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text()) or {} if path.exists() else {}


@dataclass(frozen=True)
class Endpoint:
    """An endpoint of a charm."""

    name: str
    role: str
    interface: str
    limit: int | None


@dataclass(frozen=True)
class Charm:
    """A charm's directory and its metadata."""

    path: Path
    meta: dict[str, Any]
    options: dict[str, dict[str, Any]]
    actions: dict[str, dict[str, Any]]

    @classmethod
    def load(cls, path: Path) -> Charm:
        """Read charmcraft.yaml (or metadata.yaml), config.yaml and actions.yaml."""
        path = Path(path).resolve()
        craft = {**_load(path / "metadata.yaml"), **_load(path / "charmcraft.yaml")}
        if "name" not in craft:
            raise JujuError(f"no charm was found at {str(path)!r}")
        options = craft.pop("config", None) or _load(path / "config.yaml")
        actions = craft.pop("actions", None) or _load(path / "actions.yaml")
        meta = {key: value for key, value in craft.items() if key not in _BUILD_KEYS}
        return cls(path, meta, options.get("options") or {}, actions)

    @property
    def endpoints(self) -> dict[str, Endpoint]:
        """All endpoints by name."""
        found: dict[str, Endpoint] = {}
        for role in ("requires", "provides", "peers"):
            declared: dict[str, dict[str, Any]] = self.meta.get(role) or {}
            for name, raw in declared.items():
                found[name] = Endpoint(name, role, raw["interface"], raw.get("limit"))
        return found

    @property
    def containers(self) -> list[str]:
        """The names of the workload containers."""
        return list(self.meta.get("containers") or {})

    def unpack(self, target: Path) -> None:
        """Make a unit's charm directory: links to the sources, the three files that ops reads."""
        target.mkdir(parents=True)
        written = {
            "metadata.yaml": self.meta,
            "config.yaml": {"options": self.options},
            "actions.yaml": self.actions,
        }
        for name, content in written.items():
            (target / name).write_text(yaml.safe_dump(content, sort_keys=False))
        for entry in self.path.iterdir():
            if not (entry.name.startswith(".") or entry.name in {*written, "charmcraft.yaml"}):
                os.symlink(entry, target / entry.name)

    def parse_option(self, name: str, value: object) -> object:
        """Check a value as `juju config` does; it arrives there as text."""
        if name not in self.options:
            raise JujuError(f'unknown option "{name}"')
        kind = self.options[name].get("type", "string")
        wrong = JujuError(f'option "{name}" expected {kind}, got {json.dumps(value)}')
        if kind in ("string", "secret"):
            if not isinstance(value, str):
                raise wrong
            if kind == "secret" and value and not value.startswith("secret:"):
                raise wrong
            return value
        try:
            parsed = json.loads(value.lower()) if isinstance(value, str) else value
        except ValueError:
            raise wrong from None
        if kind == "float" and type(parsed) is int:
            return float(parsed)
        if type(parsed) is not {"int": int, "float": float, "boolean": bool}[kind]:
            raise wrong
        return parsed

    def config(self, values: Mapping[str, object]) -> dict[str, Any]:
        """What config-get answers: the set options, and the others that have a default."""
        merged = {name: raw.get("default") for name, raw in self.options.items()} | dict(values)
        return {name: value for name, value in merged.items() if value is not None}

    def parse_action(self, name: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """Fill in the defaults and check the parameters, or say why Juju would not run it."""
        if name not in self.actions:
            raise ValueError(f'action "{name}" not defined')
        raw = self.actions[name] or {}
        properties: dict[str, Any] = raw.get("params") or {}
        # Juju "How to manage actions": additional parameters are refused unless declared.
        schema = {"type": "object", "additionalProperties": False, **raw, "properties": properties}
        defaults = {k: p["default"] for k, p in properties.items() if "default" in p}
        problems = list(_problems(schema, {**params}, "(root)"))
        if problems:
            raise ValueError("validation failed: " + "\n".join(problems))
        return {**defaults, **params}


def _problems(schema: Mapping[str, Any], value: object, where: str) -> Iterator[str]:
    """The part of JSON schema that actions.yaml uses; wording seen on a real Juju 4."""
    wanted: Any = schema.get("type") or []
    kinds: list[str] = [wanted] if isinstance(wanted, str) else wanted
    given = f"given {json.dumps(value, separators=(',', ':'))}"
    if kinds and not any(_is(kind, value) for kind in kinds):
        yield f"{where} : must be of type {', '.join(kinds)}, {given}"
    elif isinstance(value, dict):
        yield from _object_problems(schema, cast("dict[str, object]", value), where, given)
    elif isinstance(value, list):
        for index, item in enumerate(cast("list[object]", value)):
            yield from _problems(schema.get("items") or {}, item, f"{where}.{index}")
    else:
        yield from (f"{where} : {text}, {given}" for text in _scalar_problems(schema, value))


def _is(kind: str, value: object) -> bool:
    is_bool = isinstance(value, bool)  # which Python takes for an integer
    return isinstance(value, _TYPES[kind]) and (kind == "boolean" or not is_bool)


def _scalar_problems(schema: Mapping[str, Any], value: object) -> Iterator[str]:
    if "enum" in schema and value not in schema["enum"]:
        yield f"must match one of the enum values {json.dumps(schema['enum'])}"
    if isinstance(value, (int, float)):
        if value < schema.get("minimum", value):
            yield f"must be greater than or equal to {schema['minimum']}"
        if value > schema.get("maximum", value):
            yield f"must be less than or equal to {schema['maximum']}"
    if isinstance(value, str) and not re.search(schema.get("pattern", ""), value):
        yield f"does not match pattern '{schema['pattern']}'"


def _object_problems(
    schema: Mapping[str, Any], value: Mapping[str, object], where: str, given: str
) -> Iterator[str]:
    properties: dict[str, Any] = schema.get("properties") or {}
    required: list[str] = schema.get("required") or []
    for key in required:
        if key not in value:
            yield f'{where} : "{key}" property is missing and required, {given}'
    for key, item in value.items():
        if key in properties:
            yield from _problems(properties[key], item, f"{where}.{key}")
        elif schema.get("additionalProperties") is False:
            yield f'{where} : additional property "{key}" is not allowed, {given}'
