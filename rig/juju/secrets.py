"""The secret tools. Juju documents: "Secret" (reference) and the ``secret-*`` hook commands."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

from .errors import ToolError
from .records import Secret, Unit, World


def new_id() -> str:
    """An identifier of twenty characters, as Juju's are."""
    return uuid.uuid4().hex[:20]


class SecretTools:
    """The secrets as one hook sees them; changes land with `commit_secrets`."""

    def __init__(self, world: World, unit: Unit):
        self.world = world
        self.unit = unit
        self._secrets: dict[str, Secret | None] = {}

    def commit_secrets(self) -> None:
        """Land what the hook did to secrets."""
        for key, secret in self._secrets.items():
            if secret is None:
                self.world.secrets.pop(key, None)
            else:
                self.world.secrets[key] = secret
        self._secrets.clear()

    def _all(self) -> list[Secret]:
        merged = {**self.world.secrets, **self._secrets}
        return [secret for secret in merged.values() if secret is not None]

    def _find(self, rest: list[str], options: dict[str, str]) -> Secret:
        label = options.get("label", "")
        key = rest[0].rpartition("/")[2].removeprefix("secret:") if rest else ""
        for secret in self._all():
            own_label = secret.label if secret.owner in self._owners() else ""
            known = {secret.labels.get(self.unit.name), own_label} - {"", None}
            if secret.id == key or (not rest and label in known):
                return secret
        raise ToolError(f'secret "{key or label}" not found')

    def _owners(self) -> set[str]:
        return {self.unit.name, self.unit.app.name}

    def _managed(self, rest: list[str], options: dict[str, str] | None = None) -> Secret:
        """A copy to change, for the owner; an application's secrets are its leader's."""
        secret = self._find(rest, options or {})
        if secret.owner != self.unit.name and not (
            secret.owner == self.unit.app.name and self.unit.leader
        ):
            raise ToolError("permission denied")
        copy = secret.copy()
        self._secrets[copy.id] = copy
        return copy

    def _readable(self, secret: Secret) -> bool:
        granted = [rel for who, rel in secret.grants if who in self._owners()]
        alive = any(rel == -1 or rel in self.world.relations for rel in granted)
        return alive or secret.owner in self._owners()

    def _describe(self, secret: Secret, options: dict[str, str], pairs: list[str]) -> None:
        for field in ("label", "description", "rotate", "expire"):
            if field in options:
                setattr(secret, field, options[field])
        content: dict[str, str] = {}
        for pair in pairs:
            key, _, value = pair.partition("=")
            if key.endswith("#file"):
                key, value = key.removesuffix("#file"), Path(value).read_text()
            content[key] = value
        # "secret-set": the same content makes no new revision
        if content and secret.revisions.get(secret.latest) != content:
            pending = self.world.secrets.get(secret.id)
            # One hook makes at most one revision, however often it sets the secret.
            base = pending.latest if pending else 0
            secret.revisions[base + 1] = content

    def secret_add(self, options: dict[str, str], rest: list[str]) -> str:  # noqa: D102
        owner = self.unit.name if options.get("owner") == "unit" else self.unit.app.name
        if owner == self.unit.app.name and not self.unit.leader:
            raise ToolError("this unit is not the leader")
        label = options.get("label")
        if label and any(s.label == label and s.owner == owner for s in self._all()):
            raise ToolError(f'secret with label "{label}" already exists')
        secret = Secret(new_id(), owner)
        self._describe(secret, options, rest)
        self._secrets[secret.id] = secret
        return f"secret:{secret.id}"

    def secret_set(self, options: dict[str, str], rest: list[str]) -> None:  # noqa: D102
        self._describe(self._managed(rest[:1]), options, rest[1:])

    def secret_remove(self, options: dict[str, str], rest: list[str]) -> None:  # noqa: D102
        secret = self._managed(rest)
        if "revision" in options:
            secret.revisions.pop(int(options["revision"]), None)
        if "revision" not in options or not secret.revisions:
            self._secrets[secret.id] = None

    def secret_grant(self, options: dict[str, str], rest: list[str]) -> None:  # noqa: D102
        secret = self._managed(rest)
        number = int(options["relation"].rpartition(":")[2])
        if number not in self.world.relations:
            raise ToolError(f"relation {number} not found")
        app = self.world.relations[number].other(self.unit.app.name)
        secret.grants.add((options.get("unit") or app, number))

    def secret_revoke(self, options: dict[str, str], rest: list[str]) -> None:  # noqa: D102
        secret = self._managed(rest)
        number = int(options.get("relation", "-1").rpartition(":")[2])
        who = options.get("unit") or options.get("app")
        if not who and number in self.world.relations:
            who = self.world.relations[number].other(self.unit.app.name)
        secret.grants -= {g for g in secret.grants if g[0] == who and number in (-1, g[1])}

    def secret_get(self, options: dict[str, str], rest: list[str]) -> dict[str, str]:  # noqa: D102
        found = self._find(rest, options)
        if not self._readable(found):
            raise ToolError("permission denied")
        # Which revision a unit tracks is kept at once, also when the hook fails later.
        for secret in {id(s): s for s in (found, self.world.secrets.get(found.id)) if s}.values():
            if rest and options.get("label"):
                secret.labels[self.unit.name] = options["label"]
            if "peek" not in options:
                revision = secret.tracked.get(self.unit.name, secret.latest)
                refresh = "refresh" in options or revision not in secret.revisions
                secret.tracked[self.unit.name] = secret.latest if refresh else revision
        revision = found.latest if "peek" in options else found.tracked[self.unit.name]
        return found.revisions[revision]

    def secret_ids(self, _: dict[str, str], __: list[str]) -> list[str]:  # noqa: D102
        mine = self._owners() if self.unit.leader else {self.unit.name}
        return [f"secret:{s.id}" for s in self._all() if s.owner in mine]

    def secret_info_get(self, options: dict[str, str], rest: list[str]) -> Any:  # noqa: D102
        secret = self._find(rest, options)
        mine = self._owners() if self.unit.leader else {self.unit.name}
        if secret.owner not in mine:
            raise ToolError(f'secret "{secret.id}" not found')
        info: dict[str, Any] = {"revision": secret.latest, "label": secret.label}
        info |= {"owner": "unit" if "/" in secret.owner else "application"}
        info |= {"rotation": secret.rotate or "never", "description": secret.description}
        return {secret.id: info | ({"expiry": secret.expire} if secret.expire else {})}
