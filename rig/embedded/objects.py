"""Small pure helpers of the embedded API: errors, selectors, times, quantities."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Callable
from typing import Any

Obj = dict[str, Any]

_REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    409: "Conflict",
    410: "Expired",
    415: "UnsupportedMediaType",
    422: "Invalid",
    500: "InternalError",
}


class StatusError(Exception):
    """An answer other than success, written as Kubernetes writes it (kind ``Status``)."""

    def __init__(self, code: int, message: str, reason: str = "", **details: Any) -> None:
        super().__init__(message)
        self.code = code
        self.status: Obj = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": message,
            "reason": reason or _REASONS.get(code, "Unknown"),
            "code": code,
        }
        if details:
            self.status["details"] = details


def now() -> str:
    """The time as the API writes it."""
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def dumps(value: Any) -> bytes:
    """JSON, compact."""
    return json.dumps(value, separators=(",", ":")).encode()


def label_selector(text: str) -> Callable[[dict[str, str]], bool]:
    """A test of labels for ``?labelSelector=``.

    Raises:
        StatusError: 400 for text that is not a selector.
    """
    tests: list[Callable[[dict[str, str]], bool]] = []
    for term in re.split(r",(?![^()]*\))", text):
        term = term.strip()
        if not term:
            continue
        tests.append(_label_test(term))
    return lambda labels: all(test(labels) for test in tests)


def _label_test(term: str) -> Callable[[dict[str, str]], bool]:
    found = re.fullmatch(r"(\S+)\s+(in|notin)\s*\(([^)]*)\)", term)
    if found:
        key, word, raw = found.groups()
        values = {value.strip() for value in raw.split(",")}
        if word == "in":
            return lambda labels: labels.get(key) in values
        return lambda labels: labels.get(key) not in values
    found = re.fullmatch(r"([^\s=!]+)\s*(==|=|!=)\s*([^\s=!]*)", term)
    if found:
        key, word, value = found.groups()
        if word == "!=":
            return lambda labels: labels.get(key) != value
        return lambda labels: labels.get(key) == value
    if re.fullmatch(r"![^\s=!]+", term):
        return lambda labels: term[1:] not in labels
    if re.fullmatch(r"[^\s=!]+", term):
        return lambda labels: term in labels
    raise StatusError(400, f"unable to parse requirement: {term}")


def field_selector(text: str) -> Callable[[Obj], bool]:
    """A test of an object for ``?fieldSelector=``: any dotted path, ``=`` and ``!=``."""
    tests: list[tuple[list[str], bool, str]] = []
    for term in filter(None, text.split(",")):
        negative = "!=" in term
        path, _, value = term.partition("!=" if negative else "=")
        tests.append((path.strip().split("."), negative, value.lstrip("=").strip()))

    def matches(obj: Obj) -> bool:
        for path, negative, wanted in tests:
            value: Any = obj
            for part in path:
                value = value.get(part) if isinstance(value, dict) else None
            if (str(value if value is not None else "") == wanted) == negative:
                return False
        return True

    return matches


def quantity(value: Any) -> int:
    """A whole number of devices; anything odd counts as none."""
    try:
        return int(str(value))
    except ValueError:
        return 0


def controller_of(obj: Obj) -> Obj | None:
    """The owner reference marked ``controller``."""
    for reference in obj["metadata"].get("ownerReferences") or []:
        if reference.get("controller"):
            return reference
    return None


def owner_reference(owner: Obj) -> Obj:
    """The reference that makes ``owner`` the controller of something."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def pod_ready(pod: Obj) -> bool:
    """Whether the pod's condition Ready is True."""
    return any(
        condition["type"] == "Ready" and condition["status"] == "True"
        for condition in pod.get("status", {}).get("conditions") or []
    )
