"""Puts CustomResourceDefinitions on an API server and takes them off again."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from rig.crds import documents

from .api import Api, ApiStatus, Object, has_condition
from .wait import until

_PATH = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
# Before a new path is known, and while the storage behind it is being set up.
_NOT_YET = (404, 429, 500, 503)


def install(api: Api, source: Iterable[Path | Object], timeout: float = 120.0) -> list[str]:
    """Create or replace definitions, and wait until every served version can be used.

    Args:
        api: an administrator's connection.
        source: files, or definitions already read (`rig.crds.load`).
        timeout: seconds for all of them to be served.

    Returns:
        The names of the definitions.
    """
    definitions: list[Object] = []
    for item in source:
        definitions += documents(item) if isinstance(item, Path) else [item]
    for definition in definitions:
        _write(api, definition)
    for definition in definitions:
        name = definition["metadata"]["name"]
        until(lambda name=name: _established(api, name), f"{name} established", timeout)
        until(lambda one=definition: _usable(api, one["spec"]), f"{name} usable", timeout)
    return [definition["metadata"]["name"] for definition in definitions]


def remove(api: Api, names: Iterable[str], timeout: float = 120.0) -> None:
    """Delete definitions with everything of their kinds, and wait until they are gone."""
    names = list(names)
    for name in names:
        present = _read(api, name)
        if present is None:
            continue
        # A definition nobody has used yet is set up only now, and the API server's own clean-up,
        # which trips over that, tries again after up to two minutes.
        until(lambda one=present: _usable(api, one["spec"]), f"{name} usable", timeout)
        try:
            api.delete(f"{_PATH}/{name}")
        except ApiStatus as error:
            if error.code != 404:
                raise
    for name in names:
        until(lambda name=name: _read(api, name) is None, f"{name} gone", timeout)


def _write(api: Api, definition: Object) -> None:
    name = definition["metadata"]["name"]

    def write() -> bool:
        present = _read(api, name)
        try:
            if present is None:
                api.post(_PATH, definition)
            else:
                version = present["metadata"]["resourceVersion"]
                metadata = {**definition["metadata"], "resourceVersion": version}
                api.put(f"{_PATH}/{name}", {**definition, "metadata": metadata})
        except ApiStatus as error:
            # Its own controller writes its status meanwhile: read again.
            if error.code != 409:
                raise
            return False
        return True

    until(write, f"{name} written", 30.0)


def _read(api: Api, name: str) -> Object | None:
    try:
        return api.get(f"{_PATH}/{name}")
    except ApiStatus as error:
        if error.code != 404:
            raise
        return None


def _established(api: Api, name: str) -> bool:
    present = _read(api, name)
    return present is not None and has_condition(present, "Established")


def _usable(api: Api, spec: Object) -> bool:
    """Tell whether objects can be read in every version that is served."""
    return all(
        _listable(api, spec, version["name"]) for version in spec["versions"] if version["served"]
    )


def _listable(api: Api, spec: Object, version: str) -> bool:
    try:
        api.get(f"/apis/{spec['group']}/{version}/{spec['names']['plural']}", limit="1")
    except ApiStatus as error:
        if error.code not in _NOT_YET:
            raise
        return False
    return True
