"""Who asks, whether they may, and tokens: identities without any security."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from typing import Any

from rig.embedded.objects import Obj, now

_PREFIX = "embedded:"
ADMIN = "embedded-admin"


def token_for(namespace: str, name: str) -> str:
    """The token of a service account."""
    return f"{_PREFIX}{namespace}:{name}"


def user_of(headers: Mapping[str, str]) -> str:
    """The user behind a request; without a token it is an administrator."""
    _, _, text = headers.get("Authorization", "").partition("Bearer ")
    if text.startswith(_PREFIX):
        return "system:serviceaccount:" + text.removeprefix(_PREFIX)
    return ADMIN


def review(body: Obj, user: str, access: Callable[[str, Obj], bool] | None) -> Obj:
    """The answer to a SelfSubjectAccessReview."""
    wanted: dict[str, Any] = body.get("spec", {}).get("resourceAttributes") or {}
    attributes = {
        key: wanted.get(key, "")
        for key in ("verb", "group", "resource", "namespace", "name", "subresource")
    }
    allowed = access is None or access(user, attributes)
    status: Obj = {"allowed": allowed}
    if not allowed:
        status["reason"] = "no rule of the embedded cluster allows it"
    return {**body, "metadata": {"creationTimestamp": None}, "status": status}


def token(namespace: str, name: str, body: Obj) -> Obj:
    """The answer to a TokenRequest."""
    hour = datetime.timedelta(hours=1)
    end = (datetime.datetime.now(datetime.timezone.utc) + hour).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "metadata": {"name": name, "namespace": namespace, "creationTimestamp": now()},
        "spec": body.get("spec", {}),
        "status": {"token": token_for(namespace, name), "expirationTimestamp": end},
    }
