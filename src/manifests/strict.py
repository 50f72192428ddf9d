# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""What is sent to the strict dry run, and which related role an answer is about.

Server-side apply drops misspelt fields in silence (RBG 0.7 and 0.8: even with strict field
validation), so a changed group is first created with dryRun=All and fieldValidation=Strict. The
schema does not look into leader and worker patches nor into the templates of components; here they
are put in as roles of their own.
"""

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from tree import Tree, branch, entries, leaf

_ROLE_PATH = re.compile(r"spec\.roles\[(\d+)\]\.?([^\s\"]*)")
_PATTERNS = re.compile(r"^(standalonePattern|leaderWorkerPattern|customComponentsPattern)\.")
_STATEFUL_SET = {"apiVersion": "apps/v1", "kind": "StatefulSet"}
_PATCHES = {
    "patchLeaderTemplate": "leader_patch",
    "patchWorkerTemplate": "worker_patch",
    "leaderTemplatePatch": "leader_patch",
    "workerTemplatePatch": "worker_patch",
}


@dataclass(frozen=True)
class Refusal:
    """A field that the API server refuses.

    Attributes:
        role: the role it is in; empty where it is not in a role.
        field: path of the field in the terms of the rbg_role interface.
        reason: the server's words, shortened.
    """

    role: str
    field: str
    reason: str


class Trial:
    """A group made ready for the strict dry run."""

    def __init__(self, group: Mapping[str, Any]):
        """Put each patch and component in as a role of its own behind the real ones."""
        self.body: dict[str, Any] = copy.deepcopy(dict(group))
        roles: list[dict[str, Any]] = self.body["spec"]["roles"]
        self._where = [(role["name"], "") for role in roles]
        for role in list(roles):
            multi = branch(role, "leaderWorkerPattern") or branch(role, "leaderWorkerSet")
            for key, field in _PATCHES.items():
                patch = branch(multi, key)
                if patch:
                    self._add(role, f"multi_node.{field}", _template(patch))
            for component in entries(role, "customComponentsPattern", "components"):
                where = f"components.{component['name']}.template"
                self._add(role, where, branch(component, "template"))

    def _add(self, role: Tree, field: str, template: dict[str, Any]) -> None:
        legacy = "leaderWorkerSet" in role
        pod: dict[str, Any] = {"template": template}
        name = f"{role['name']}-{len(self._where)}"
        body = {"workload": _STATEFUL_SET, **pod} if legacy else {"standalonePattern": pod}
        self.body["spec"]["roles"].append({"name": name, "replicas": 0, **body})
        self._where.append((role["name"], field))

    def unknown_fields(self, message: str) -> list[Refusal]:
        """Read `strict decoding error: unknown field "spec.roles[0].x", …` (HTTP 400)."""
        paths = re.findall(r'unknown field "([^"]+)"', message)
        if not paths:  # some other fault of the data, e.g. a key said twice
            return [Refusal("", "the group", _shorten(message))]
        return [self._refusal(p, "unknown field; correct its spelling") for p in paths]

    def invalid_fields(self, causes: Sequence[tuple[str, str]]) -> list[Refusal]:
        """Read the causes of a 422, as (field, message).

        The API server adds one of field `<nil>` that only says that there are others.

        A patch need not be a whole pod template: what is missing from it says nothing.
        """
        told = [(field, message) for field, message in causes if field != "<nil>"]
        found = [self._refusal(field, _shorten(message)) for field, message in told]
        return [refusal for refusal in found if not refusal.field.startswith("multi_node.")]

    def _refusal(self, path: str, reason: str) -> Refusal:
        match = _ROLE_PATH.match(path)
        if not match or int(match[1]) >= len(self._where):
            return Refusal("", path, reason)
        role, patch = self._where[int(match[1])]
        field = _PATTERNS.sub("", match[2])
        return Refusal(role, field.replace("template", patch, 1) if patch else field, reason)


def _template(patch: Mapping[str, Any]) -> dict[str, Any]:
    template = _without_directives(patch)
    return {**template, "spec": {"containers": [], **branch(template, "spec")}}


def _without_directives(value: Any) -> Any:
    """Leave out strategic-merge directives ($patch, $retainKeys …): they are no fields."""
    if isinstance(value, Mapping):
        fields = cast(Tree, value).items()
        return {k: _without_directives(v) for k, v in fields if not k.startswith("$")}
    if isinstance(value, list):
        whole = [v for v in cast("list[Any]", value) if leaf(v, "$patch") is None]
        return [_without_directives(v) for v in whole]
    return value


def _shorten(message: str) -> str:
    return " ".join(_ROLE_PATH.sub(lambda m: m[2] or "role", message).split())[:160]
