"""kmock's HTTP server, with the store of this rig behind it.

kmock parses the request, serves discovery and any fault a test injects
(``cluster.api["patch rolebasedgroups"] << 500``); its own object handlers merge dicts only,
so the verbs are answered here.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import aiohttp.web
import attrs
import kmock

from rig.embedded import kinds, reviews, scale
from rig.embedded.kinds import Kind
from rig.embedded.objects import Obj, StatusError
from rig.embedded.store import Store
from rig.embedded.watching import watch
from rig.embedded.wire import (
    answer,
    body_of,
    manager_of,
    matcher,
    patched,
    shown,
    verb_name,
)

log = logging.getLogger("rig.embedded")
_MAX_BODY = 8 * 1024 * 1024
_KEPT_REQUESTS = 2000
_NAMESPACES = "/api/v1/namespaces"
_ALIAS = "cluster-namespaces"


@attrs.define(kw_only=True, eq=False)
class Api(kmock.KubernetesScaffold):
    """The emulated API server; only to be touched from its own event loop."""

    store: Store = attrs.field(factory=Store)
    # Who may do what: asked for every request and for every access review.
    access: Callable[[str, Obj], bool] | None = None

    def serve(self, kind: Kind) -> None:
        """Serves a type and lists it in discovery."""
        self.store.serve(kind)
        self.advertise(kind)

    def advertise(self, kind: Kind) -> None:
        """Lists a type in kmock's discovery."""
        for version in kind.versions:
            self.resources[kmock.resource(kind.group, version, kind.plural)] = {
                "namespaced": kind.namespaced, "kind": kind.kind,
                "singular": kind.kind.lower(), "shortnames": (), "categories": (),
                "verbs": ("create", "delete", "deletecollection", "get", "list", "patch",
                          "update", "watch"),
                "subresources": tuple(kind.subresources),
            }  # fmt: skip

    async def __call__(self, raw_request: aiohttp.web.BaseRequest) -> aiohttp.web.StreamResponse:
        """Serves one request; kmock keeps every request for ever, this keeps the last ones."""
        # A pod template may be larger than aiohttp's limit of 1 MiB; and kmock stumbles over
        # /api/v1/namespaces, which it reads as a path inside a namespace.
        url = raw_request.rel_url
        if len(url.parts) in (4, 5) and url.path.startswith(_NAMESPACES):
            url = url.with_path(
                url.path.replace(_NAMESPACES, f"/api/v1/{_ALIAS}", 1), keep_query=True
            )
        raw_request = raw_request.clone(rel_url=url, client_max_size=_MAX_BODY)
        if len(self._requests) > _KEPT_REQUESTS:
            del self._requests[: _KEPT_REQUESTS // 2]
        return await super().__call__(raw_request)

    async def _render_error(self, exc: Exception) -> aiohttp.web.StreamResponse:
        if isinstance(exc, StatusError):
            return answer(exc.status, exc.code)
        log.error("request failed", exc_info=exc)
        return answer(StatusError(500, f"Internal error occurred: {exc!r}").status, 500)

    async def _serve_server_version(self, request: kmock.Request) -> Obj:
        return {"major": "1", "minor": "36", "gitVersion": "v1.36.0+rbg-k8s.embedded",
                "platform": "linux/amd64"}  # fmt: skip

    async def _handle(self, request: kmock.Request) -> aiohttp.web.StreamResponse:
        resource = request.resource
        path = request.url.path
        if path in ("/readyz", "/livez", "/healthz"):
            return aiohttp.web.Response(text="ok")
        injected = any(
            request in payload._source and not payload._disabled.is_set()
            for payload in self._payloads
            if all(priority >= 0 for priority in payload.priorities)
        )
        if injected or resource is None or resource.plural is None:
            response = await super()._handle(request)
            if not response.prepared and response.content_type == "application/json":
                # lightkube knows an error of Kubernetes by exactly this, without a charset.
                response.headers["Content-Type"] = "application/json"
            return response
        try:
            return await self._verb(request, resource.group or "", resource.version or "")
        except StatusError as fault:
            return answer(fault.status, fault.code)

    # --- verbs ---------------------------------------------------------------------------

    async def _verb(
        self, request: kmock.Request, group: str, version: str
    ) -> aiohttp.web.StreamResponse:
        plural = request.resource.plural if request.resource else ""
        plural = "namespaces" if plural == _ALIAS else plural
        namespace, name, sub = request.namespace or "", request.name, request.subresource or ""
        method = request.method.value
        verb = verb_name(method, name, request.params)
        user = reviews.user_of(request.headers)
        if group == "authorization.k8s.io":
            return answer(reviews.review(body_of(request), user, self.access), 201)
        kind = self.store.kind_of(group, version, plural or "")
        self._authorize(user, kind, verb, namespace, name or "", sub)
        if sub == "token" and kind.plural == "serviceaccounts":
            return answer(reviews.token(namespace, name or "", body_of(request)), 201)
        if sub and sub not in kind.subresources:
            raise StatusError(404, "the server could not find the requested resource")
        if kind.namespaced and not namespace and (name or method != "GET"):
            raise StatusError(
                405, "the server does not allow this method on the requested resource"
            )
        if verb == "watch":
            first = self._selected(request, kind, namespace)
            return await watch(self.store, request, kind, version, namespace, first)
        if verb == "list":
            return self._list(request, kind, version, namespace)
        if verb == "get" and sub == "scale":
            return answer(scale.shown(kind, self.store.get(kind, namespace, name or "")), 200)
        if verb == "get":
            return self._one(self.store.get(kind, namespace, name or ""), kind, version)
        if sub == "scale":
            return self._scale(request, kind, namespace, name or "")
        return self._write(request, kind, version, verb, namespace, name, sub)

    def _write(
        self,
        request: kmock.Request,
        kind: Kind,
        version: str,
        verb: str,
        namespace: str,
        name: str | None,
        sub: str,
    ) -> aiohttp.web.StreamResponse:
        dry = request.params.get("dryRun") == "All"
        if verb == "create":
            body = self._checked(request, kind, version)
            obj = self.store.create(kind, namespace, body, dry=dry)
            self._learn(kind, obj)
            return self._one(obj, kind, version, 201)
        if verb == "update":
            old = self.store.get(kind, namespace, name or "")
            new = self._checked(request, kind, version)
            manager = manager_of(request)
            obj = self.store.update(kind, old, new, subresource=sub, dry=dry, manager=manager)
            return self._one(obj, kind, version)
        if verb == "patch":
            return self._patch(request, kind, version, namespace, name or "", sub, dry)
        return self._delete(request, kind, version, namespace, name, dry)

    def _checked(self, request: kmock.Request, kind: Kind, version: str) -> Obj:
        body = body_of(request)
        body.setdefault("apiVersion", kind.api_version(version))
        if request.params.get("fieldValidation") == "Strict":
            wrong = list(kinds.unknown(kind.schemas.get(version, {}), body))
            if wrong:
                listed = ", ".join(f'unknown field "{path}"' for path in wrong)
                raise StatusError(
                    400, f'{kind.kind} in version "{version}" cannot be handled as a '
                    f"{kind.kind}: strict decoding error: {listed}")  # fmt: skip
        return body

    def _patch(
        self, request: kmock.Request, kind: Kind, version: str, namespace: str, name: str,
        sub: str, dry: bool,
    ) -> aiohttp.web.StreamResponse:  # fmt: skip
        content = request.headers.get("Content-Type", "").partition(";")[0]
        body = body_of(request)
        if content == "application/apply-patch+yaml":
            manager = request.params.get("fieldManager")
            if not manager:
                raise StatusError(422, "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: "
                               "Required value: is required for apply patch")  # fmt: skip
            odd = kinds.undeclared(kind.schemas.get(version, {}), body)
            if odd:
                raise StatusError(
                    500, f"failed to create typed patch object ({namespace}/{name}; "
                    f"{kind.api_version(version)}, Kind={kind.kind}): .spec.{odd[0]}: "
                    "field not declared in schema")  # fmt: skip
            obj, created = self.store.apply(
                kind, namespace, name, body, manager=manager,
                force=request.params.get("force") == "true", subresource=sub, dry=dry,
            )  # fmt: skip
            return self._one(obj, kind, version, 201 if created else 200)
        old = self.store.get(kind, namespace, name)
        new = patched(old, body, content, strategic=not kind.schemas)
        if new["metadata"].get("resourceVersion") == old["metadata"]["resourceVersion"]:
            new["metadata"].pop("resourceVersion")
        manager = manager_of(request)
        obj = self.store.update(kind, old, new, subresource=sub, dry=dry, manager=manager)
        return self._one(obj, kind, version)

    def _scale(
        self, request: kmock.Request, kind: Kind, namespace: str, name: str
    ) -> aiohttp.web.StreamResponse:
        """PUT and PATCH of a Scale: the object's count, and nothing else of it."""
        old = self.store.get(kind, namespace, name)
        sent = body_of(request)
        if request.method.value == "PATCH":
            content = request.headers.get("Content-Type", "").partition(";")[0]
            sent = patched(scale.shown(kind, old), sent, content, strategic=True)
        new = self.store.update(
            kind, old, scale.scaled(kind, old, sent), dry=request.params.get("dryRun") == "All",
            manager=manager_of(request), subresource="scale",
        )  # fmt: skip
        return answer(scale.shown(kind, new), 200)

    def _delete(
        self, request: kmock.Request, kind: Kind, version: str, namespace: str,
        name: str | None, dry: bool,
    ) -> aiohttp.web.StreamResponse:  # fmt: skip
        options: Obj = body_of(request)
        if "propagationPolicy" in request.params:
            options["propagationPolicy"] = request.params["propagationPolicy"]
        if name is not None:
            obj = self.store.get(kind, namespace, name)
            if not dry:
                obj = self.store.delete(kind, namespace, name, options)
            if kind.schemas or obj["metadata"].get("finalizers"):
                return self._one(obj, kind, version)
            return answer({"kind": "Status", "apiVersion": "v1", "metadata": {},
                            "status": "Success", "details": {
                                "name": name, "group": kind.group, "kind": kind.plural,
                                "uid": obj["metadata"]["uid"]}}, 200)  # fmt: skip
        for obj in [] if dry else self._selected(request, kind, namespace):
            self.store.delete(kind, namespace, obj["metadata"]["name"], options)
        return answer({"kind": "Status", "apiVersion": "v1", "metadata": {},
                        "status": "Success"}, 200)  # fmt: skip

    # --- reading -------------------------------------------------------------------------

    def _selected(self, request: kmock.Request, kind: Kind, namespace: str) -> list[Obj]:
        matches = matcher(request)
        objs = self.store.all(kind.plural, kind.group, namespace or None)
        return [obj for obj in objs if matches(obj)]

    def _list(
        self, request: kmock.Request, kind: Kind, version: str, namespace: str
    ) -> aiohttp.web.Response:
        items = [shown(obj, kind, version) for obj in self._selected(request, kind, namespace)]
        return answer({
            "kind": f"{kind.kind}List", "apiVersion": kind.api_version(version),
            "metadata": {"resourceVersion": str(self.store.version)}, "items": items,
        }, 200)  # fmt: skip

    def _one(
        self, obj: Obj, kind: Kind, version: str, code: int = 200
    ) -> aiohttp.web.StreamResponse:
        return answer(shown(obj, kind, version), code)

    def _learn(self, kind: Kind, obj: Obj) -> None:
        if kind.plural == "customresourcedefinitions":
            self.advertise(kinds.from_crd(obj))

    def _authorize(
        self, user: str, kind: Kind, verb: str, namespace: str, name: str, sub: str
    ) -> None:
        attributes = {"verb": verb, "group": kind.group, "resource": kind.plural,
                      "namespace": namespace, "name": name, "subresource": sub}  # fmt: skip
        if self.access is None or self.access(user, attributes):
            return
        named = f'{kind.qualified} "{name}"' if name else kind.qualified
        where = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
        resource = f"{kind.plural}/{sub}" if sub else kind.plural
        raise StatusError(
            403, f'{named} is forbidden: User "{user}" cannot {verb} resource "{resource}" in '
            f'API group "{kind.group}" {where}',
            name=name, group=kind.group, kind=kind.plural,
        )  # fmt: skip
