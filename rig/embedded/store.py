"""The objects of the embedded API and the rules of writing them.

Everything here runs in the one event loop of the server, so nothing is locked.
"""

from __future__ import annotations

import asyncio
import collections
import copy
import secrets
import uuid
from collections.abc import Callable

from rig.embedded import garbage, kinds, managers
from rig.embedded.admission import Admission
from rig.embedded.apply import apply
from rig.embedded.kinds import Kind
from rig.embedded.objects import Obj, StatusError, now
from rig.embedded.writing import SYSTEM, carried, spec

# (group, plural), namespace ("" for cluster-wide), name
Key = tuple[tuple[str, str], str, str]
Event = tuple[int, str, Key, Obj, "Obj | None"]


class Store:
    """Objects, their versions, their watchers."""

    def __init__(self, *, log_size: int = 20_000) -> None:
        self.kinds: dict[tuple[str, str], Kind] = {}
        self.by_kind: dict[tuple[str, str], Kind] = {}
        self.objects: dict[Key, Obj] = {}
        self.version = 0
        self.log: collections.deque[Event] = collections.deque(maxlen=log_size)
        self.listeners: list[Callable[[Event], None]] = []
        # What no schema can tell: asked before anything is stored.
        self.admission: Admission | None = None
        self._collecting: asyncio.TimerHandle | None = None
        for kind in kinds.BUILTIN:
            self.serve(kind)

    # --- types ---------------------------------------------------------------------------

    def serve(self, kind: Kind) -> None:
        """Serves a type from now on."""
        self.kinds[kind.group, kind.plural] = kind
        self.by_kind[kind.group, kind.kind] = kind

    def kind_of(self, group: str, version: str, plural: str) -> Kind:
        """The type behind a URL.

        Raises:
            StatusError: 404 as Kubernetes has it for an unknown path.
        """
        kind = self.kinds.get((group, plural))
        if kind is None or version not in kind.versions:
            fault = StatusError(
                404, "the server could not find the requested resource", details={}
            )
            fault.status["details"] = {"causes": [{"message": "404 page not found"}]}
            raise fault
        return kind

    # --- reading -------------------------------------------------------------------------

    def get(self, kind: Kind, namespace: str, name: str) -> Obj:
        """One object.

        Raises:
            StatusError: 404.
        """
        found = self.objects.get(((kind.group, kind.plural), namespace, name))
        if found is None:
            raise StatusError(
                404, f'{kind.qualified} "{name}" not found',
                name=name, group=kind.group, kind=kind.plural,
            )  # fmt: skip
        return found

    def all(self, plural: str, group: str = "", namespace: str | None = None) -> list[Obj]:
        """All objects of a type, by namespace and name."""
        wanted = (group, plural)
        return [
            obj for (gp, ns, _), obj in sorted(self.objects.items())
            if gp == wanted and namespace in (None, ns)
        ]  # fmt: skip

    # --- writing -------------------------------------------------------------------------

    def create(self, kind: Kind, namespace: str, body: Obj, *, dry: bool = False) -> Obj:
        """POST.

        Raises:
            StatusError: 409 AlreadyExists, 404 for a missing namespace, 422 without a name.
        """
        body = copy.deepcopy(body)
        meta = body.setdefault("metadata", {})
        for field in SYSTEM:
            if field != "managedFields":
                meta.pop(field, None)
        if not meta.get("name") and meta.get("generateName"):
            meta["name"] = meta["generateName"] + secrets.token_hex(3)[:5]
        name = meta.get("name", "")
        if not name:
            raise StatusError(
                422, f'{kind.kind} "" is invalid: metadata.name: Required value: '
                "name or generateName is required")  # fmt: skip
        self._check_namespace(kind, namespace)
        key = ((kind.group, kind.plural), namespace, name)
        if key in self.objects:
            raise StatusError(
                409, f'{kind.qualified} "{name}" already exists', "AlreadyExists",
                name=name, group=kind.group, kind=kind.plural,
            )  # fmt: skip
        if kind.namespaced:
            meta["namespace"] = namespace
        if kind.has_status and kind.plural != "customresourcedefinitions":
            body.pop("status", None)
            if kind.plural == "pods":
                body["status"] = {"phase": "Pending", "qosClass": "BestEffort"}
        meta["uid"] = str(uuid.uuid4())
        meta["creationTimestamp"] = now()
        if kind.has_status:
            meta["generation"] = 1
        body = self._complete(kind, body)
        self._admit(kind, None, body)
        return body if dry else self._put("ADDED", key, body)

    def _admit(self, kind: Kind, old: Obj | None, new: Obj) -> None:
        if self.admission and (text := self.admission(kind, old, new)):
            name = new["metadata"]["name"]
            raise StatusError(403, text, name=name, group=kind.group, kind=kind.plural)

    def _check_namespace(self, kind: Kind, namespace: str) -> None:
        if kind.namespaced and (("", "namespaces"), "", namespace) not in self.objects:
            raise StatusError(
                404, f'namespaces "{namespace}" not found', name=namespace, kind="namespaces"
            )

    def _complete(self, kind: Kind, body: Obj) -> Obj:
        version = str(body.get("apiVersion", "")).rpartition("/")[2]
        schema = kind.schemas.get(version, {})
        list(kinds.unknown(schema, body, prune=True))
        body = kinds.default(schema, body)
        body["apiVersion"] = kind.api_version(version or kind.versions[0])
        body["kind"] = kind.kind
        return body

    def update(
        self, kind: Kind, old: Obj, new: Obj, *,
        subresource: str = "", dry: bool = False, manager: str = "",
    ) -> Obj:  # fmt: skip
        """Stores ``new`` in the place of ``old`` (PUT, and what a PATCH came to).

        The fields that changed belong to ``manager``, when one is given.

        Raises:
            StatusError: 409 when ``new`` names another resourceVersion than the stored one.
        """
        new = carried(kind, old, copy.deepcopy(new), subresource)
        before, meta = old["metadata"], new["metadata"]
        new["apiVersion"] = new.get("apiVersion") or old["apiVersion"]
        new = self._complete(kind, new)
        if kind.has_status and spec(new) != spec(old):
            new["metadata"]["generation"] = before.get("generation", 0) + 1
        if new == old:
            return old
        if not subresource:
            self._admit(kind, old, new)
        if manager and (owners := managers.updated(old, new, manager, subresource, kind.atomic)):
            new["metadata"]["managedFields"] = owners
        if dry:
            return new
        key = ((kind.group, kind.plural), before.get("namespace", ""), before["name"])
        stored = self._put("MODIFIED", key, new)
        if meta.get("deletionTimestamp") and not meta.get("finalizers"):
            self._drop(key)
        return stored

    def apply(
        self, kind: Kind, namespace: str, name: str, body: Obj, *,
        manager: str, force: bool, subresource: str = "", dry: bool = False,
    ) -> tuple[Obj, bool]:  # fmt: skip
        """Server-side apply; returns the object and whether it was created.

        Raises:
            StatusError: 409 on a conflict, 400 for another name in the body.
        """
        meta = body.setdefault("metadata", {})
        if meta.setdefault("name", name) != name:
            raise StatusError(400, "the name of the object does not match the name on the URL")
        wanted_uid = meta.get("uid")
        old = self.objects.get(((kind.group, kind.plural), namespace, name))
        version = str(body.get("apiVersion", "")).rpartition("/")[2]
        list(kinds.unknown(kind.schemas.get(version, {}), body, prune=True))
        if old is None:
            if subresource or wanted_uid:
                self.get(kind, namespace, name)
            new = apply(None, body, manager, force, subresource, kind.atomic)
            return self.create(kind, namespace, new, dry=dry), True
        new = apply(old, body, manager, force, subresource, kind.atomic)
        new["metadata"]["resourceVersion"] = meta.get("resourceVersion")
        return self.update(kind, old, new, subresource=subresource, dry=dry), False

    def delete(self, kind: Kind, namespace: str, name: str, options: Obj | None = None) -> Obj:
        """DELETE; foreground deletion is played as background deletion.

        Raises:
            StatusError: 404, or 409 when a precondition fails.
        """
        obj = self.get(kind, namespace, name)
        key = ((kind.group, kind.plural), namespace, name)
        wanted = (options or {}).get("preconditions", {})
        for field in ("uid", "resourceVersion"):
            if wanted.get(field) not in (None, obj["metadata"][field]):
                raise StatusError(
                    409, f'Operation cannot be fulfilled on {kind.qualified} "{name}": '
                    f"Precondition failed: {field} in precondition: {wanted[field]}, "
                    f"{field} in object meta: {obj['metadata'][field]}")  # fmt: skip
        if (options or {}).get("propagationPolicy") == "Orphan":
            garbage.orphan(self, obj["metadata"]["uid"])
        if obj["metadata"].get("finalizers"):
            if not obj["metadata"].get("deletionTimestamp"):
                marked = copy.deepcopy(obj)
                marked["metadata"]["deletionTimestamp"] = now()
                return self._put("MODIFIED", key, marked)
            return obj
        if kind.plural == "customresourcedefinitions":
            spec = obj["spec"]
            served = (spec["group"], spec["names"]["plural"])
            for other in [k for k in self.objects if k[0] == served]:
                self._drop(other)
            self.kinds.pop(served, None)
        if kind.plural == "namespaces":
            for other in [k for k in self.objects if k[1] == name]:
                self._drop(other)
        return self._drop(key)

    # --- inside --------------------------------------------------------------------------

    def _put(self, event: str, key: Key, obj: Obj) -> Obj:
        self.version += 1
        obj["metadata"]["resourceVersion"] = str(self.version)
        old = self.objects.get(key)
        self.objects[key] = obj
        self._tell((self.version, event, key, obj, old))
        if obj["metadata"].get("ownerReferences"):
            self._collect_soon()
        if key[0][1] == "customresourcedefinitions":
            self.serve(kinds.from_crd(obj))
        if event == "ADDED" and key[0] == ("", "namespaces"):
            account = {"metadata": {"name": "default"}}
            self.create(self.kinds["", "serviceaccounts"], key[2], account)
        return obj

    def _drop(self, key: Key) -> Obj:
        obj = self.objects.pop(key)
        self.version += 1
        gone = copy.deepcopy(obj)
        gone["metadata"]["resourceVersion"] = str(self.version)
        self._tell((self.version, "DELETED", key, gone, obj))
        self._collect_soon()
        return gone

    def _tell(self, event: Event) -> None:
        self.log.append(event)
        for listener in list(self.listeners):
            listener(event)

    def _collect_soon(self) -> None:
        # A little later, as the garbage collector of Kubernetes is a process of its own.
        if self._collecting is None:
            self._collecting = asyncio.get_running_loop().call_later(0.05, self._collect)

    def _collect(self) -> None:
        self._collecting = None
        garbage.collect(self)

    def refer(self, key: Key, obj: Obj, owners: list[Obj]) -> None:
        """Leaves an object with these owner references."""
        changed = copy.deepcopy(obj)
        changed["metadata"]["ownerReferences"] = owners
        if not owners:
            del changed["metadata"]["ownerReferences"]
        self._put("MODIFIED", key, changed)
