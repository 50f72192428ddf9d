"""Between HTTP and objects: verbs, bodies, selectors, answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import aiohttp.web
import kmock
import yaml

from rig.embedded.kinds import Kind
from rig.embedded.objects import Obj, StatusError, dumps, field_selector, label_selector
from rig.standin.merge import json_merge, json_patch, strategic_merge


def verb_name(method: str, name: str | None, params: Any) -> str:
    """What RBAC calls the request."""
    if method == "GET":
        if params.get("watch") in ("true", "1"):
            return "watch"
        return "get" if name else "list"
    if method == "DELETE":
        return "delete" if name else "deletecollection"
    return {"POST": "create", "PUT": "update", "PATCH": "patch"}.get(method, method.lower())


def body_of(request: kmock.Request) -> Obj:
    """The body, JSON or YAML; an empty one is an empty object.

    Raises:
        StatusError: 400 for a body that is neither.
    """
    if not request.body:
        return {}
    try:
        return json.loads(request.body)
    except ValueError:
        try:
            return yaml.safe_load(request.body)
        except yaml.YAMLError as exc:
            raise StatusError(400, f"error decoding the body: {exc}") from exc


def matcher(request: kmock.Request) -> Callable[[Obj], bool]:
    """A test of objects for the selectors and the name in a request."""
    labels = label_selector(request.params.get("labelSelector", ""))
    chosen = field_selector(request.params.get("fieldSelector", ""))
    name = request.name
    return lambda obj: (
        labels(obj["metadata"].get("labels") or {})
        and chosen(obj)
        and name in (None, obj["metadata"]["name"])
    )


def manager_of(request: kmock.Request) -> str:
    """Who owns what the request changes: a name given, else the program's."""
    agent = request.headers.get("User-Agent", "").partition("/")[0]
    return request.params.get("fieldManager") or agent or "unknown"


def patched(old: Obj, body: Any, content: str, *, strategic: bool) -> Obj:
    """The object after a patch that is no apply.

    Raises:
        StatusError: 415 for an unknown kind of patch, 422 for one that does not fit.
    """
    if content == "application/json-patch+json":
        try:
            return json_patch(old, body)
        except (ValueError, KeyError, IndexError) as exc:
            raise StatusError(422, f"the server rejected our request: {exc}") from exc
    if content == "application/strategic-merge-patch+json" and strategic:
        return strategic_merge(old, body)
    if content == "application/merge-patch+json":
        return json_merge(old, body)
    raise StatusError(415, "the body of the request was in an unknown format")


def seen_as(word: str, matches: bool, matched: bool) -> str:
    """The event a watcher with a selector sees when an object enters or leaves its view."""
    if word != "MODIFIED":
        return word if matches or (word == "DELETED" and matched) else ""
    if matches:
        return "MODIFIED" if matched else "ADDED"
    return "DELETED" if matched else ""


def shown(obj: Obj, kind: Kind, version: str) -> Obj:
    """The object as the version asked for."""
    return {**obj, "apiVersion": kind.api_version(version), "kind": kind.kind}


def line(word: str, obj: Obj) -> bytes:
    """One event of a watch."""
    return dumps({"type": word, "object": obj}) + b"\n"


def answer(value: Any, code: int) -> aiohttp.web.Response:
    """A JSON answer."""
    return aiohttp.web.Response(body=dumps(value), status=code, content_type="application/json")
