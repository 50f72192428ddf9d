# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""Scripted answers of an API server, for the charm's own client: a real HTTP code path, no rules.

It stores what is applied and answers what a test tells it to. What the real API server does with
a request is proven in tests/functional, not here.
"""

import json
from dataclasses import dataclass, field
from typing import Any

import httpx2
from lightkube import Client, KubeConfig

GROUPS = "/apis/workloads.x-k8s.io/{}/namespaces/ml/rolebasedgroups"
SETS_OF_GROUPS = "/apis/workloads.x-k8s.io/{}/namespaces/ml/rolebasedgroupsets"
OWNER = "/apis/apps/v1/namespaces/ml/statefulsets/llama"
CRD = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/rolebasedgroups.workloads.x-k8s.io"
REVIEW = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
PODS = "/api/v1/namespaces/ml/pods"
CONFIG = {
    "apiVersion": "v1",
    "kind": "Config",
    "clusters": [{"name": "c", "cluster": {"server": "http://stub"}}],
    "users": [{"name": "u", "user": {}}],
    "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
    "current-context": "x",
}


def crd(version: str = "v1alpha2", *features: str) -> dict[str, Any]:
    """A CustomResourceDefinition whose role schema has these property paths."""
    role: dict[str, Any] = {"properties": {}}
    for path in features:
        at = role
        for name in path.split("."):
            at = at.setdefault("properties", {}).setdefault(name, {"type": "object"})
    schema = {"properties": {"spec": {"properties": {"roles": {"items": role}}}}}
    served = {"name": version, "served": True, "schema": {"openAPIV3Schema": schema}}
    return {"spec": {"versions": [served]}, "status": {"storedVersions": [version]}}


@dataclass
class Api:
    """The scripted API server.

    Attributes:
        objects: path → object, for GET.
        lists: path → items, for lists.
        answers: (method, beginning of a path) → (code, Status or message), before anything else.
        requests: every request as "METHOD path?query".
    """

    objects: dict[str, Any] = field(default_factory=dict)
    lists: dict[str, list[Any]] = field(default_factory=dict)
    answers: dict[tuple[str, str], tuple[int, Any]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    version: str = "v1alpha2"
    now: float = 1000.0
    """Seconds since the epoch, for what waits."""

    def __post_init__(self):
        self.objects.setdefault(OWNER, {"metadata": {"name": "llama", "uid": "owner-uid"}})
        self.objects.setdefault(CRD, crd(self.version))

    @property
    def group_path(self) -> str:
        return GROUPS.format(self.version) + "/llama"

    @property
    def set_path(self) -> str:
        return SETS_OF_GROUPS.format(self.version) + "/llama"

    @property
    def group(self) -> dict[str, Any]:
        return self.objects[self.group_path]

    @property
    def roles(self) -> dict[str, Any]:
        return {r["name"]: r for r in self.group["spec"]["roles"]}

    def client(self, **kwargs: Any) -> Client:
        return Client(
            KubeConfig.from_dict(CONFIG), transport=httpx2.MockTransport(self._answer), **kwargs
        )

    def calls(self, method: str = "") -> list[str]:
        return [r for r in self.requests if r.startswith(method)]

    def _answer(self, request: httpx2.Request) -> httpx2.Response:
        path = request.url.path
        self.requests.append(f"{request.method} {request.url.raw_path.decode()}")
        for (method, beginning), (code, body) in self.answers.items():
            if request.method == method and path.startswith(beginning):
                if isinstance(body, Exception):
                    raise body
                return _status(code, body)
        if request.method == "PATCH":
            return self._patch(path, request)
        if request.method == "POST":
            if path == REVIEW:
                return httpx2.Response(201, json={"status": {"allowed": True}})
            return httpx2.Response(201, json=json.loads(request.content))
        if request.method == "DELETE":
            self.objects.pop(path, None)
            return httpx2.Response(200, json={"kind": "Status"})
        if path in self.objects:
            return httpx2.Response(200, json=self.objects[path])
        if path.rpartition("/")[2] in ("pods", "events") or path in self.lists:
            listed = {"items": self.lists.get(path, []), "metadata": {"resourceVersion": "7"}}
            return httpx2.Response(200, json=listed)
        return _status(404, "not found")

    def _patch(self, path: str, request: httpx2.Request) -> httpx2.Response:
        body = json.loads(request.content)
        if "merge-patch" in request.headers["content-type"]:
            if path not in self.objects:
                return _status(404, "not found")
            self.objects[path] |= body
            return httpx2.Response(200, json=self.objects[path])
        made = body if "dryRun" in request.url.params else self._apply(path, body)
        return httpx2.Response(200, json=made)

    def _apply(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        old = self.objects.get(path)
        generation = old["metadata"]["generation"] if old else 0
        changed = not old or old.get("spec") != body.get("spec")
        body["metadata"]["generation"] = generation + changed
        body["metadata"]["uid"] = "group-uid"
        when = f"2026-11-22T12:00:{generation + changed:02d}Z"
        ours = {"manager": "rbg-k8s", "operation": "Apply", "time": when}
        body["metadata"]["managedFields"] = [ours]
        self.objects[path] = body
        return body


def _status(code: int, body: Any) -> httpx2.Response:
    if isinstance(body, str):
        body = {"kind": "Status", "status": "Failure", "code": code, "message": body}
    return httpx2.Response(code, json={"code": code, **body})


def pod(
    name: str,
    role: str,
    template: dict[str, Any] | None = None,
    *,
    ready: bool = True,
    labels: dict[str, str] | None = None,
    **status: Any,
) -> dict[str, Any]:
    """A pod of the group `llama`, made from a rendered template."""
    annotations = (template or {}).get("metadata", {}).get("annotations", {})
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    said = {"rbg.workloads.x-k8s.io/group-name": "llama"}
    said["rbg.workloads.x-k8s.io/role-name"] = role
    return {
        "metadata": {
            "name": name,
            "labels": {**said, **(labels or {})},
            "annotations": annotations,
        },
        "spec": {"nodeName": "n", "containers": [{"name": "serve", "image": "example.test/e:1"}]},
        "status": {"phase": "Running", "conditions": conditions, **status},
    }
