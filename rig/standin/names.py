"""Names, labels and environment of the RBG releases, as recorded from the genuine controller."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import Any

Obj = dict[str, Any]
GROUP = "workloads.x-k8s.io"
NEW = "rbg.workloads.x-k8s.io/"
OLD = "rolebasedgroup.workloads.x-k8s.io/"
OLD_SET = "rolebasedgroupset.workloads.x-k8s.io/"
WORKLOAD_TYPE = NEW + "role-workload-type"
PATTERN = NEW + "role-instance-pattern"
REVISION_HASH = "controller-revision-hash"
INSTANCE_NAME = NEW + "role-instance-name"
INPLACE_STATE = NEW + "inplace-update-state"


@dataclasses.dataclass(frozen=True)
class Release:
    """What differs between the releases that can be played."""

    name: str
    prefix: str
    group_label: str
    role_label: str
    hash_label: str
    env_prefix: str
    service_prefix: str
    version: str
    # 0.3 writes neither observedGeneration nor updatedReplicas, and no status before a role's
    # dependencies are met.
    early: bool = False

    @property
    def modern(self) -> bool:
        """0.7 and later: v1alpha2, RoleInstanceSets, one ConfigMap per group."""
        return self.version == "v1alpha2"

    @property
    def set_labels(self) -> tuple[str, str]:
        """The labels of a set's groups: the set, the number."""
        if self.modern:
            return NEW + "groupset-name", NEW + "groupset-index"
        return OLD_SET + "name", OLD_SET + "rbg-index"

    def manager(self, controller: str) -> str:
        """The field manager of a controller's plain writes: the program's name before 0.8."""
        return controller if self.name == "v0.8" else "manager"

    def workload_name(self, group: str, role: str) -> str:
        """``<rbg>-<role>``, cut to 63 characters."""
        return f"{group}-{role}"[:63].rstrip("-")

    def service_name(self, group: str, role: str) -> str:
        """The headless Service of a role."""
        return f"{self.service_prefix}{group}-{role}"[:63].rstrip("-")

    def labels(self, namespace: str, group: str, role: str) -> dict[str, str]:
        """The labels of a role's children and pods."""
        labels = {self.prefix + self.group_label: group, self.prefix + self.role_label: role}
        if self.hash_label:
            labels[self.prefix + self.hash_label] = group_uid(namespace, group)
        return labels

    def selector(self, group: str, role: str) -> dict[str, str]:
        """What the headless Service selects by."""
        return {self.prefix + self.group_label: group, self.prefix + self.role_label: role}


_RELEASES = {
    "v0.8": Release("v0.8", NEW, "group-name", "role-name", "group-uid", "RBG_", "s-", "v1alpha2"),
    "v0.6": Release("v0.6", OLD, "name", "role", "group-unique-key", "", "s-", "v1alpha1"),
    "v0.3": Release("v0.3", OLD, "name", "role", "", "", "", "v1alpha1", early=True),
}
_RELEASES["v0.7"] = dataclasses.replace(_RELEASES["v0.8"], name="v0.7")


def release(name: str) -> Release:
    """The release to play: ``v0.8``, ``v0.7``, ``v0.6`` or ``v0.3`` (a longer name is cut).

    Raises:
        ValueError: a release that is not played.
    """
    for known, found in _RELEASES.items():
        if name == known or name.startswith(f"{known}."):
            return found
    raise ValueError(f"unknown release {name!r}: one of {', '.join(sorted(_RELEASES))}")


def group_uid(namespace: str, group: str) -> str:
    """The value of the label ``group-uid``."""
    return hashlib.sha1(f"{namespace}/{group}".encode()).hexdigest()


def digest(value: Any) -> str:
    """A short hash, in the place of Kubernetes' revision hashes."""
    return hashlib.sha1(json.dumps(value, sort_keys=True).encode()).hexdigest()[:10]


def scaled(value: Any, total: int, *, up: bool = False) -> int:
    """An IntOrString against ``total``."""
    if isinstance(value, str) and value.endswith("%"):
        exact = int(value[:-1]) * total
        return -(-exact // 100) if up else exact // 100
    return int(value or 0)


def owner(obj: Obj, *, controller: bool = True) -> list[Obj]:
    """The ``ownerReferences`` of a child of ``obj``."""
    reference: Obj = {
        "apiVersion": obj["apiVersion"], "kind": obj["kind"], "name": obj["metadata"]["name"],
        "uid": obj["metadata"]["uid"], "blockOwnerDeletion": True,
    }  # fmt: skip
    return [{**reference, "controller": True} if controller else reference]


def controller_of(obj: Obj) -> Obj:
    """The owner reference marked ``controller``, or an empty one."""
    for reference in obj["metadata"].get("ownerReferences") or []:
        if reference.get("controller"):
            return reference
    return {}


def condition(obj: Obj, kind: str) -> Obj:
    """A condition of a status, or an empty one."""
    for found in (obj.get("status") or {}).get("conditions") or []:
        if found.get("type") == kind:
            return found
    return {}


def is_true(obj: Obj, kind: str) -> bool:
    """Whether a condition is True."""
    return condition(obj, kind).get("status") == "True"
