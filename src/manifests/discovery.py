# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""What a role that discovers others' pods needs: a service account that may read pods, no more."""

import json
from collections.abc import Mapping
from typing import Any

from group import Group
from names import APPLICATION_LABEL, account, pod_labels

_RBAC = "rbac.authorization.k8s.io"


def render(group: Group) -> list[dict[str, Any]]:
    """ServiceAccount, Role and RoleBinding of each role that discovers, by role name."""
    names = [role.name for role in group.roles if role.spec.discovers]
    stays = [*group.kept, *group.pinned.values()]
    names += [role["name"] for role in stays if _has_account(role, group)]
    return [manifest for name in sorted({*names}) for manifest in _for_role(name, group)]


def _has_account(kept: Mapping[str, Any], group: Group) -> bool:
    """Whether a role that stays as it runs was rendered with an account of ours."""
    return f'"serviceAccountName": "{account(group.name, kept["name"])}"' in json.dumps(kept)


def _for_role(role: str, group: Group) -> list[dict[str, Any]]:
    name = account(group.name, role)
    labels = {APPLICATION_LABEL: group.name, **pod_labels(group.name, role)}
    metadata = {"name": name, "namespace": group.namespace, "labels": labels}
    rule = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}
    subject = {"kind": "ServiceAccount", "name": name, "namespace": group.namespace}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata},
        {"apiVersion": f"{_RBAC}/v1", "kind": "Role", "metadata": metadata, "rules": [rule]},
        {
            "apiVersion": f"{_RBAC}/v1",
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": _RBAC, "kind": "Role", "name": name},
            "subjects": [subject],
        },
    ]
