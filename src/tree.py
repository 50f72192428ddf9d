# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""Read Kubernetes' JSON, where anything may be absent or null, without asking at each step."""

from collections.abc import Mapping
from typing import Any, cast

Tree = Mapping[str, Any]


def leaf(tree: Tree | None, *path: str) -> Any:
    """The value at a path; None where any part of it is absent or null."""
    found: Any = tree
    for key in path:
        found = cast(Tree, found).get(key) if isinstance(found, Mapping) else None
    return found


def branch(tree: Tree | None, *path: str) -> dict[str, Any]:
    """The object at a path; an empty one where there is none."""
    found = leaf(tree, *path)
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def entries(tree: Tree | None, *path: str) -> list[Any]:
    """The list at a path; an empty one where there is none."""
    found = leaf(tree, *path)
    return cast("list[Any]", found) if isinstance(found, list) else []


def text(tree: Tree | None, *path: str) -> str:
    """The string at a path; an empty one where there is none."""
    found = leaf(tree, *path)
    return found if isinstance(found, str) else ""


def number(tree: Tree | None, *path: str, default: int = 0) -> int:
    """The integer at a path; the default where there is none."""
    found = leaf(tree, *path)
    return found if isinstance(found, int) else default


def name_of(tree: Tree) -> str:
    """`metadata.name`."""
    return text(tree, "metadata", "name")


def label(tree: Tree | None, name: str) -> str:
    """A label's value; empty where there is none."""
    return text(tree, "metadata", "labels", name)


def annotation(tree: Tree | None, name: str) -> str:
    """An annotation's value; empty where there is none."""
    return text(tree, "metadata", "annotations", name)


def without_nulls(value: Any) -> Any:
    """A copy without nulls: the API server drops them, and Go writes them into revisions."""
    if isinstance(value, Mapping):
        fields = cast(Tree, value).items()
        return {k: without_nulls(v) for k, v in fields if v is not None}
    if isinstance(value, list):
        return [without_nulls(v) for v in cast("list[Any]", value)]
    return value


def roles_by_name(group: Tree | None) -> dict[str, Tree]:
    """The entries of a group's `spec.roles`, by role name."""
    return {role["name"]: role for role in entries(group, "spec", "roles")}


def version_of(group: Tree | None) -> str:
    """API version an object was read in, without its group; v1alpha2 where there is none."""
    return text(group, "apiVersion").rpartition("/")[2] or "v1alpha2"
