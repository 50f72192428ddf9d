# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""What Juju says, as plain data: related databags, config and holds, with one fingerprint.

A hook whose fingerprint is the one the group was applied with has nothing to render, so it needs
neither pydantic nor the schema: that is what keeps an idle hook cheap (docs/performance.md).
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from holds import Holds

ENDPOINTS = ("engine", "decoder", "router", "role")
"""Endpoints of roles, in the order in which their problems are shown."""


@dataclass(frozen=True)
class RelatedRole:
    """One relation over which a role charm speaks."""

    endpoint: str
    relation_id: int
    application: str
    data: Mapping[str, str]

    @property
    def name(self) -> str:
        """The role's name: the endpoint's, or the application's on `role`."""
        return self.application if self.endpoint == "role" else self.endpoint


@dataclass(frozen=True)
class Inputs:
    """Everything of Juju's that decides what the group looks like."""

    application: str
    namespace: str
    config: Mapping[str, Any]
    roles: tuple[RelatedRole, ...]
    holds: Holds = field(default_factory=Holds)
    """What actions hold."""

    @property
    def groups(self) -> int:
        """How many groups are asked for, held or by config; 0 where that is no number of them."""
        said = self.holds.groups or self.config.get("groups", 1)
        return said if isinstance(said, int) and said >= 1 else 0

    @cached_property
    def fingerprint(self) -> str:
        """Digest of all of it and of this charm's own code (a new charm may render anew)."""
        said = [
            self.application,
            self.namespace,
            dict(self.config),
            [(r.endpoint, r.relation_id, r.application, dict(r.data)) for r in self.roles],
            str(self.holds),
            _code_digest(),
        ]
        return digest(said)


def digest(value: Any) -> str:
    """Short digest of JSON-like data, the same for the same data in every process."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _code_digest() -> str:
    here = Path(__file__).parent
    library = here.parent / "lib" / "charms" / "rbg_k8s"
    seen = hashlib.sha256()
    for root in (here, library):
        for file in sorted(root.rglob("*.py")):
            seen.update(file.read_bytes())
    return seen.hexdigest()[:16]
